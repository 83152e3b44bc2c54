//! Rules about servers that are shut, put to sleep and woken, looked at where AWS is called and where the status is
//! written: who is cut, what could not be rebuilt, and what nobody wished.

use jiff::{SignedDuration, Timestamp};
use russh::keys::{HashAlg, PrivateKey};
use serde_json::{Value, json};
use wharfinger_decisions::{
    duration::HumanDuration,
    server::{DRAIN_FOR, MANUAL_KEEP},
};

use super::{ask, name_of, text, transfer_servers};
use crate::{
    portrait::{Portrait, fingerprints},
    rules,
    weather::{Ground, Weather},
};

/// What an order says is not known to whoever has read the record before: for as long as an invocation lasts.
const STALE: SignedDuration = SignedDuration::from_secs(60);

/// Clocks differ by seconds.
const SKEW: SignedDuration = SignedDuration::from_secs(4);

/// The labels of the versions that hold a server's host keys.
const LABELS: [&str; 3] = ["AWSCURRENT", "ecdsa", "rsa"];

/// A server that is about to be stopped or deleted, and its record.
struct Closing<'a> {
    weather: &'a Weather,
    ground: &'a Ground,
    server: Value,
    item: Value,
}

/// What asks for a server to be shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It is to be deleted.
    Deleting,
    /// A person's order, maybe to wait for nobody.
    Order { now: bool },
    /// Nobody is there.
    Idle,
    /// Its network, or what nobody knows.
    Other,
}

/// Looks at a server that is to be stopped.
pub(super) async fn stop(weather: &Weather, ground: &Ground, input: &Value) {
    let closing = Closing::of(weather, ground, &input["ServerId"]).await;
    closing.cuts();
    if closing.has_its_addresses() {
        closing.breaks_an_order();
    }
}

/// Looks at a server that is to be deleted, and keeps in mind what it was like if it is only to sleep.
pub(super) async fn delete(weather: &Weather, ground: &Ground, input: &Value) {
    let closing = Closing::of(weather, ground, &input["ServerId"]).await;
    if closing.cause() == Cause::Deleting || !closing.item.is_object() {
        return;
    }
    closing.cuts();
    closing.breaks_an_order();
    closing.is_wished();
    if let Some(lack) = closing.lack().await {
        let name = closing.name();
        weather.diary.violated(rules::REBUILDABLE, format!("{name} is deleted to sleep, but {lack}"));
    }
    weather.remember(closing.name(), portrait(ground, &closing.server).await);
}

/// Looks whether a server that is made is to sleep.
pub(super) async fn create(weather: &Weather, ground: &Ground, input: &Value) {
    let Some(name) = name_of(input) else { return };
    let item = record(ground, name).await;
    let (order, now) = (&item["order"]["M"], ground.clock.now());
    let is_recent = at(&order["at"]).is_some_and(|at| now.duration_since(at) < STALE);
    if order["power"]["S"] == "asleep" && !is_recent {
        weather.diary.violated(rules::WISHED, format!("{name} is made, though it was put to sleep"));
    }
}

/// Forgets what the servers were like whose records are removed.
pub(super) fn forget(weather: &Weather, transaction: &Value) {
    let items = transaction["TransactItems"].as_array().into_iter().flatten();
    let keys = items.map(|item| &item["Delete"]["Key"]).filter(|key| key["pk"]["S"] == "SERVERS");
    keys.filter_map(|key| key["sk"]["S"].as_str()).for_each(|name| weather.forget(name));
}

/// Looks at a server whose status was just written: one that is shown asleep costs nothing, and one that is shown online
/// is as it was before it slept.
pub(super) async fn shown(weather: &Weather, ground: &Ground, update: &Value) {
    let key = &update["Key"];
    let is_of_status = update["ExpressionAttributeValues"][":status"].is_object() && key["pk"]["S"] == "SERVERS";
    let Some(name) = key["sk"]["S"].as_str().filter(|_| is_of_status) else { return };
    let item = record(ground, name).await;
    let status = &item["status"]["M"];
    // While it is being woken it is shown as it was: a server may have been made of which no answer tells.
    let order = &item["order"]["M"];
    let is_ordered = order["power"]["S"] == "online" && at(&order["at"]) > at(&status["obeyed"]);
    let is_woken = is_ordered || status["making"]["S"].is_string();
    if is_asleep(&item) && !is_woken {
        asleep(weather, ground, (name, &item)).await;
    }
    let Some(before) = weather.portrait(name) else { return };
    let is_other = status["server_id"]["S"].as_str().is_some_and(|id| id != before.id);
    if status["power"]["S"] == "online" && status["draining"]["M"].is_null() && is_other {
        let asked = json!({ "ServerId": status["server_id"]["S"] });
        let server = &ask(ground, "transfer", "DescribeServer", asked).await["Server"];
        if let Some(difference) = before.difference(&portrait(ground, server).await) {
            weather.diary.violated(rules::REBUILT, format!("{name} has woken, but {difference}"));
        }
        weather.forget(name);
    }
}

/// Whether a server is shown asleep.
pub(crate) fn is_asleep(item: &Value) -> bool {
    let status = &item["status"]["M"];
    status["power"]["S"] == "stopped" && item["asleep"]["M"].is_object() && status["server_id"]["S"].is_null()
}

/// No server is billed for one that sleeps, and its addresses stay.
async fn asleep(weather: &Weather, ground: &Ground, (name, item): (&str, &Value)) {
    let billed = transfer_servers(ground).await;
    if let Some((id, _)) = billed.iter().find(|(_, server)| name_of(server) == Some(name)) {
        weather.diary.violated(rules::ASLEEP, format!("{name} is shown asleep, and {id} is billed"));
    }
    let addresses = ask(ground, "ec2", "DescribeAddresses", json!({})).await;
    let kept = |id: &str| {
        addresses["addressesSet"].as_array().into_iter().flatten().any(|address| address["allocationId"] == id)
    };
    if let Some(lost) = addresses_of(item).find(|id| !kept(id) && !weather.has_lost(id)) {
        weather.diary.violated(rules::ASLEEP, format!("{name} sleeps, and its address {lost} is released"));
    }
}

/// A server's item in the table; null if there is none.
pub(crate) async fn record(ground: &Ground, name: &str) -> Value {
    let key = json!({ "pk": { "S": "SERVERS" }, "sk": { "S": name } });
    ask(ground, "dynamodb", "GetItem", json!({ "TableName": ground.table, "Key": key })).await["Item"].clone()
}

/// What a server is like now.
async fn portrait(ground: &Ground, server: &Value) -> Portrait {
    let host_keys = ask(ground, "transfer", "ListHostKeys", json!({ "ServerId": server["ServerId"] })).await;
    let asked = json!({ "VpcEndpointId": [server["EndpointDetails"]["VpcEndpointId"]] });
    Portrait::of(server, &host_keys, &ask(ground, "ec2", "DescribeVpcEndpoints", asked).await)
}

fn addresses_of(item: &Value) -> impl Iterator<Item = &str> {
    let network = &item["intent"]["M"]["spec"]["M"]["network"]["M"];
    network["address_allocation_ids"]["L"].as_array().into_iter().flatten().filter_map(|id| id["S"].as_str())
}

fn at(of: &Value) -> Option<Timestamp> {
    of["S"].as_str()?.parse().ok()
}

impl<'a> Closing<'a> {
    async fn of(weather: &'a Weather, ground: &'a Ground, id: &Value) -> Self {
        let server = ask(ground, "transfer", "DescribeServer", json!({ "ServerId": id })).await["Server"].clone();
        let item = record(ground, name_of(&server).unwrap_or_default()).await;
        Self { weather, ground, server, item }
    }

    fn name(&self) -> &str {
        name_of(&self.server).unwrap_or_default()
    }

    fn spec(&self, member: &str) -> &Value {
        &self.item["intent"]["M"]["spec"]["M"][member]
    }

    fn duration(&self, member: &str, otherwise: HumanDuration) -> SignedDuration {
        self.spec(member)["S"].as_str().and_then(HumanDuration::from_stored).unwrap_or(otherwise).get()
    }

    fn has_its_addresses(&self) -> bool {
        let attached = self.server["EndpointDetails"]["AddressAllocationIds"].as_array();
        let attached = attached.into_iter().flatten().filter_map(Value::as_str);
        attached.eq(addresses_of(&self.item))
    }

    fn cause(&self) -> Cause {
        let (order, decision) = (&self.item["order"]["M"], &self.item["decision"]["M"]);
        // One that waits for the end of an order is not acted upon yet.
        let counts = at(&decision["possible_at"]).is_none_or(|from| from <= self.ground.clock.now());
        let is_idle = counts && decision["action"]["S"] == "stop" && at(&decision["at"]) >= at(&order["at"]);
        match order["power"]["S"].as_str() {
            _ if self.item["deleting"]["BOOL"] == true => Cause::Deleting,
            Some("stopped" | "asleep") => Cause::Order { now: order["now"]["BOOL"] == true },
            _ if is_idle && !self.spec("idle").is_null() => Cause::Idle,
            _ => Cause::Other,
        }
    }

    /// Nobody is cut for idleness, and whoever is there may go on for `drain_for` after a person's order.
    fn cuts(&self) {
        let (id, now) = (text(&self.server["ServerId"]), self.ground.clock.now());
        let Some(since) = self.weather.session_since(&id) else { return };
        let seen = format!("a session on {} is open since {since}", self.name());
        match self.cause() {
            Cause::Idle => self.weather.diary.violated(rules::NOT_CUT, seen),
            Cause::Order { now: false } => {
                let until = at(&self.item["status"]["M"]["draining"]["M"]["since"]);
                let until = until.map(|since| since + self.duration("drain_for", DRAIN_FOR));
                if until.is_none_or(|until| now + SKEW < until) {
                    self.weather.diary.violated(rules::DRAINED, format!("{seen}, and may go on until {until:?}"));
                }
            }
            Cause::Deleting | Cause::Order { now: true } | Cause::Other => {}
        }
    }

    /// What a person opened is kept open for `manual_keep`.
    fn breaks_an_order(&self) {
        let (order, now) = (&self.item["order"]["M"], self.ground.clock.now());
        let Some(ordered) = at(&order["at"]).filter(|_| order["power"]["S"] == "online") else { return };
        let until = ordered + self.duration("manual_keep", MANUAL_KEEP);
        if self.cause() != Cause::Deleting && now.duration_since(ordered) > STALE && now + SKEW < until {
            let seen = format!("{} was opened at {ordered}, and is closed before {until}", self.name());
            self.weather.diary.violated(rules::KEPT, seen);
        }
    }

    /// A server is deleted only if somebody, or nobody's presence, asks for sleep.
    fn is_wished(&self) {
        let (order, now) = (&self.item["order"]["M"], self.ground.clock.now());
        let sleeps = match self.cause() {
            Cause::Idle => self.spec("idle")["M"]["action"]["S"] == "sleep",
            _ => order["power"]["S"] == "asleep",
        };
        let is_recent = at(&order["at"]).is_some_and(|at| now.duration_since(at) < STALE);
        if !sleeps && !is_recent {
            self.weather.diary.violated(rules::WISHED, format!("{} is deleted, and nobody wants it so", self.name()));
        }
    }

    /// What a server rebuilt from the table and the secrets would not have.
    async fn lack(&self) -> Option<String> {
        let (ground, name) = (self.ground, self.name());
        if !self.has_its_addresses() {
            return Some(format!("it has {}", self.server["EndpointDetails"]["AddressAllocationIds"]));
        }
        let asked = json!({ "ServerId": self.server["ServerId"] });
        let there = ask(ground, "transfer", "ListHostKeys", asked.clone()).await;
        let mut kept = Vec::new();
        for label in LABELS {
            let asked =
                json!({ "SecretId": format!("{}servers/{name}/host-key", ground.secrets), "VersionStage": label });
            let secret = ask(ground, "secretsmanager", "GetSecretValue", asked).await;
            let key = PrivateKey::from_openssh(secret["SecretString"].as_str().unwrap_or_default());
            kept.extend(key.map(|key| key.public_key().fingerprint(HashAlg::Sha256).to_string()));
        }
        if let Some(lost) = fingerprints(&there).find(|fingerprint| !kept.contains(fingerprint)) {
            return Some(format!("its host key {lost} is in no secret"));
        }
        let users = ask(ground, "transfer", "ListUsers", asked).await;
        for user in users["Users"].as_array().into_iter().flatten() {
            let key = json!({ "pk": { "S": format!("USERS#{name}") }, "sk": { "S": user["UserName"] } });
            let asked = json!({ "TableName": ground.table, "Key": key });
            if ask(ground, "dynamodb", "GetItem", asked).await["Item"].is_null() {
                return Some(format!("its user {} has no record", user["UserName"]));
            }
        }
        None
    }
}
