//! Servers in the table: partition `SERVERS`, one item a server.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use wharfinger_decisions::{
    deployment::Adoption,
    idle::{Action, Decision},
    names::ServerName,
    order::Order,
    server::{Asker, Asleep, Power, ServerIntent, ServerPhase, ServerSpec, ServerStatus},
    wish::{Next, Wish, next, wish},
};

use crate::{
    item::Unreadable,
    lease::{Armed, Lease},
    record::Record,
    stored::{leniently, part},
    table::{Guard, Key, StoreError, Table},
    unique::Claim,
};

/// The partition of all servers.
pub const PARTITION: &str = "SERVERS";

/// A server as the table holds it.
pub type ServerRecord = Record<ServerIntent, ServerStatus>;

/// A server's whole item: the record, and what functions store beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerItem {
    /// What is wanted and what is known.
    #[serde(flatten)]
    pub record: ServerRecord,
    /// The last order about its power.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The last decision of the idle sweep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What it is rebuilt from, while it sleeps or is being woken. Release 0.1, which writes the status anew, keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asleep: Option<Asleep>,
    /// A person's order to take over a server of another deployment, until it is carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adoption>,
    /// What a server on AWS bears that was made or adopted for this record, and nobody can guess: another one after each
    /// deletion. `None` before there is one. Release 0.1, which writes the status anew, keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// The wake-up that `reconcile` has armed.
    pub armed: Armed,
}

impl<'de> Deserialize<'de> for ServerItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let item = Value::deserialize(deserializer)?;
        let record = Record::from_stored(&item).map_err(D::Error::custom)?;
        let (order, decision) = (part(&item, "/order"), part(&item, "/decision"));
        let (asleep, adopt) = (asleep(&item), part(&item, "/adopt"));
        let (record_id, armed) = (part(&item, "/record_id"), leniently(item.get("armed")));
        Ok(Self { record, order, decision, asleep, adopt, record_id, armed })
    }
}

impl From<ServerRecord> for ServerItem {
    fn from(record: ServerRecord) -> Self {
        let (order, decision, asleep, adopt, record_id) = (None, None, None, None, None);
        Self { record, order, decision, asleep, adopt, record_id, armed: Armed::default() }
    }
}

#[derive(Deserialize)]
struct RecordId {
    record_id: String,
}

/// What a server is rebuilt from. Builds before this release had it in the status.
fn asleep(item: &Value) -> Option<Asleep> {
    part::<Option<_>>(item, "/asleep").or_else(|| part(item, "/status/asleep"))
}

impl ServerItem {
    /// What is left of one that can't be read.
    #[must_use]
    pub fn remains(unreadable: &Unreadable) -> Self {
        Self { asleep: asleep(&unreadable.item), ..unreadable.remains().into() }
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> ServerPhase {
        self.record.status.phase()
    }

    /// The last order about its power. One that release 0.1 recorded counts if it is the later one; that a server is to
    /// be online may be as old as the server there, and is an order only after another.
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        let of_0_1 = Order::of_0_1(&self.record.intent.power);
        match &self.order {
            Some(order) => Some(of_0_1.filter(|other| other.at > order.at).unwrap_or_else(|| order.clone())),
            None => of_0_1.filter(|order| order.power != Power::Online),
        }
    }

    /// The idle sweep's last decision. One that release 0.1 recorded as a wanted power counts if it is the later one.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        let power = &self.record.intent.power;
        let is_of_0_1 = power.by == Asker::Autostop && power.power == Power::Stopped;
        let noted = self.decision.clone();
        if !is_of_0_1 || noted.as_ref().is_some_and(|decision| decision.at > power.at) {
            return noted;
        }
        Some(Decision { action: Action::Close, ..Decision::keep(&power.reason, power.at) })
    }

    /// What its power is to be at `now`.
    #[must_use]
    pub fn wish(&self, now: Timestamp) -> Wish {
        wish(&self.record.intent.spec, self.order().as_ref(), self.decision().as_ref(), now)
    }

    /// Whether it is known to be as wanted at `now`: the spec is brought about, the last order is obeyed, and it does what
    /// its power is to be. One that sleeps is not rebuilt to be stopped.
    #[must_use]
    pub fn is_settled(&self, now: Timestamp) -> bool {
        let is_so = match self.wish(now).power {
            Power::Online => self.phase() == ServerPhase::Online,
            Power::Stopped => matches!(self.phase(), ServerPhase::Stopped | ServerPhase::Asleep),
            Power::Asleep => self.phase() == ServerPhase::Asleep,
        };
        !self.record.deleting && self.record.status.settled_version == self.record.version && self.is_obeyed() && is_so
    }

    /// Whether the last order is the one that was last obeyed. Clocks differ: a later order may bear an earlier time.
    #[must_use]
    pub fn is_obeyed(&self) -> bool {
        self.order().is_none_or(|order| self.record.status.obeyed == Some(order.at))
    }

    /// What is to be expected after `wish`.
    #[must_use]
    pub fn next(&self, wish: &Wish) -> Option<Next> {
        next(&self.record.intent.spec, wish, self.decision().as_ref())
    }
}

impl ServerItem {
    /// Whether people want the same of the server as when `other` was read.
    fn is_wanted_as(&self, other: &Self) -> bool {
        let inputs = |item: &Self| (item.record.version, item.record.deleting, item.order());
        inputs(self) == inputs(other)
    }
}

/// What has become of a visit's right to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may act.
    Holds,
    /// People want something else by now.
    Outdated,
    /// Its lease is over, and another visit may have taken it.
    Replaced,
}

/// The key of a server.
#[must_use]
pub fn key(server: &ServerName) -> Key {
    Key::new(PARTITION, server.as_str())
}

/// What only one server may have: its Elastic IPs, and the security group with its rules. EC2 keeps identical rules
/// only once, so two servers that allow the same block would share a rule, and a change of one would lock out the
/// clients of the other.
#[must_use]
pub fn claims(spec: &ServerSpec) -> Vec<Claim> {
    let network = &spec.network;
    let addresses = network.address_allocation_ids.iter().filter_map(|id| Claim::new("address", &[id.as_str()]));
    let group = network.security_group_ids.first().filter(|_| !network.allowed_cidrs.is_empty());
    addresses.chain(group.and_then(|group| Claim::new("rules", &[group.as_str()]))).collect()
}

impl Table {
    /// Gives a server that was read at version `seen` and is not being deleted an order about its power. The version
    /// stays. Release 0.1 reads the order too, as far as it knows such orders.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn give_order(&self, server: &ServerName, order: &Order, seen: u64) -> Result<(), StoreError> {
        let guard = Guard::that("version = :seen AND deleting = :no").value(":seen", seen)?.value(":no", false)?;
        let guard = guard.value(":order", order)?.name("#order", "order");
        let guard = guard.value(":power", order.known_to_0_1())?.name("#power", "power");
        self.update(&key(server), "SET #order = :order, intent.#power = :power", guard).await
    }

    /// Orders that a server which was read at version `seen`, and is not being deleted, be taken over from another
    /// deployment. The version stays.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn give_adoption(&self, server: &ServerName, adoption: &Adoption, seen: u64) -> Result<(), StoreError> {
        let guard = Guard::that("version = :seen AND deleting = :no").value(":seen", seen)?.value(":no", false)?;
        self.update(&key(server), "SET adopt = :adopt", guard.value(":adopt", adoption)?).await
    }

    /// Removes the order `adoption`, which is carried out. Does nothing if another one was given since.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn end_adoption(&self, server: &ServerName, adoption: &Adoption) -> Result<(), StoreError> {
        let guard = Guard::that("adopt.#at = :at").name("#at", "at").value(":at", adoption.at)?;
        match self.update(&key(server), "REMOVE adopt", guard).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }

    /// Whether the visit that has `lease` may act on what it read as `seen`: AWS makes it wait, and people go on.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn stands(&self, lease: &Lease, seen: &ServerItem) -> Result<Standing, StoreError> {
        let item = self.read::<Value>(&lease.key).await?.and_then(Result::ok).unwrap_or_default();
        if item["lease_owner"] != *lease.owner {
            return Ok(Standing::Replaced);
        }
        let is_same = ServerItem::deserialize(&item).map_or(true, |now| now.is_wanted_as(seen));
        Ok(if is_same { Standing::Holds } else { Standing::Outdated })
    }

    /// Writes what is known of the server that `lease` is for, and what it is rebuilt from if it sleeps.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the lease is lost: what its former holder saw is old by now.
    pub async fn write_server_status(
        &self,
        lease: &Lease,
        status: &ServerStatus,
        asleep: Option<&Asleep>,
    ) -> Result<(), StoreError> {
        let guard = Guard::that("lease_owner = :owner").value(":owner", &lease.owner)?;
        let guard = guard.name("#status", "status").value(":status", status)?;
        let (change, guard) = match asleep {
            Some(asleep) => ("SET #status = :status, asleep = :asleep", guard.value(":asleep", asleep)?),
            None => ("SET #status = :status REMOVE asleep", guard),
        };
        self.update(&lease.key, change, guard).await
    }

    /// Gives the record of the server that `lease` is for another id, and returns it: who could read the tags of the server
    /// that is gone knows the one before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the lease is lost.
    pub async fn renew_record_id(&self, lease: &Lease) -> Result<String, StoreError> {
        let id = self.chance().id();
        let guard = Guard::that("lease_owner = :owner").value(":owner", &lease.owner)?;
        self.update(&lease.key, "SET record_id = :id", guard.value(":id", &id)?).await?;
        Ok(id)
    }

    /// The id of the record of the server that `lease` is for. It is made when it is first asked for.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the lease is lost.
    pub async fn give_record_id(&self, lease: &Lease) -> Result<String, StoreError> {
        let guard = Guard::that("lease_owner = :owner").value(":owner", &lease.owner)?;
        let change = "SET record_id = if_not_exists(record_id, :id)";
        let item =
            self.update_and_read::<RecordId>(&lease.key, change, guard.value(":id", self.chance().id())?).await?;
        Ok(item.map_err(StoreError::Unreadable)?.record_id)
    }

    /// Removes a server that was read as `record`, and its claims, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn forget_server(&self, server: &ServerName, record: &ServerRecord) -> Result<(), StoreError> {
        let key = key(server);
        let gone = self.delete_in_transaction(&key, Guard::that("version = :seen").value(":seen", record.version)?);
        let mut writes = self.freeing(&key, &claims(&record.intent.spec)).await?;
        writes.push(gone);
        self.transact("forget a server", writes).await
    }

    /// Records a decision to keep a server as it is. Does nothing if `server` does not exist.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn note_decision(&self, server: &ServerName, decision: &Decision) -> Result<(), StoreError> {
        let condition = Guard::present().value(":decision", decision)?;
        match self.update(&key(server), "SET decision = :decision", condition).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }

    /// Records the decision to close a server that nobody uses.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the server has changed since `seen` was read, or somebody gave an order.
    pub async fn close_unused(
        &self,
        server: &ServerName,
        decision: &Decision,
        seen: &ServerItem,
    ) -> Result<(), StoreError> {
        let unchanged = "version = :seen AND deleting = :no AND intent.#power.#at = :asked_at";
        let same_order = match &seen.order {
            Some(_) => "#order.#at = :ordered_at",
            None => "attribute_not_exists(#order)",
        };
        let mut guard = Guard::that(format!("{unchanged} AND {same_order}"))
            .value(":seen", seen.record.version)?
            .value(":no", false)?
            .value(":asked_at", seen.record.intent.power.at)?
            .value(":decision", decision)?
            .name("#power", "power")
            .name("#order", "order")
            .name("#at", "at");
        if let Some(order) = &seen.order {
            guard = guard.value(":ordered_at", order.at)?;
        }
        self.update(&key(server), "SET decision = :decision", guard).await
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use wharfinger_chance::Chance;
    use wharfinger_decisions::server::WantedPower;
    use wharfinger_test_cloud::{Cloud, TABLE};

    use super::*;

    #[test]
    fn an_item_reads_back_as_it_was_written() {
        let record = serde_json::json!({
            "intent": {
                "spec": {
                    "file_system_id": "fs-0a1b2c3d",
                    "network": {"vpc_id": "vpc-0a1b2c3d", "subnet_ids": ["subnet-0a1b2c3d"], "security_group_ids": ["sg-0a1b2c3d"]},
                    "idle": {"after": "30m", "action": "stop"},
                },
                "power": {"power": "online", "by": {"person": "alice"}, "reason": "asked", "at": "2026-01-01T00:00:00Z"},
            },
            "status": {"power": "online", "reason": "asked", "settled_version": 3},
            "version": 3, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        let record: ServerRecord = serde_json::from_value(record).unwrap();
        let armed = Armed { at: Some("2026-01-01T00:00:02Z".parse().unwrap()), step: "starting".into(), tries: 2 };
        let item = ServerItem { armed, ..ServerItem::from(record) };
        let attributes: crate::table::Attributes = serde_dynamo::to_item(&item).unwrap();
        assert_eq!(serde_dynamo::from_item::<_, ServerItem>(attributes).unwrap(), item);
    }

    #[tokio::test]
    async fn what_a_server_is_rebuilt_from_is_read_from_the_status_of_earlier_builds_and_goes_when_it_is_awake() {
        let cloud = Cloud::new();
        let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, Chance::seeded(1));
        let name = ServerName::parse("main").unwrap();
        let fixture = include_bytes!("../fixtures/present/server-asleep.json");
        let mut item: Value = serde_json::from_slice(fixture).unwrap();
        let asleep = item.as_object_mut().unwrap().remove("asleep").unwrap();
        item["status"]["M"]["asleep"] = asleep;
        cloud.put(&item);
        let read = async || table.get::<ServerItem>(&key(&name)).await.unwrap().unwrap();

        let of_earlier = read().await;

        let tags = of_earlier.asleep.as_ref().map(|asleep| asleep.settings.tags.len());
        assert_eq!((of_earlier.phase(), tags), (ServerPhase::Asleep, Some(1)));
        let lease = Lease { key: key(&name), owner: "a visit".into(), armed: Armed::default() };
        let refused = table.write_server_status(&lease, &of_earlier.record.status, None).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        table.lease(&lease.key, &lease.owner, now, SignedDuration::from_mins(1)).await.unwrap();
        table.write_server_status(&lease, &of_earlier.record.status, of_earlier.asleep.as_ref()).await.unwrap();
        assert_eq!(read().await, of_earlier);
        let id = table.give_record_id(&lease).await.unwrap();
        table.write_server_status(&lease, &of_earlier.record.status, None).await.unwrap();
        assert_eq!((read().await.asleep, read().await.record_id.as_ref()), (None, Some(&id)));
        assert_eq!(table.give_record_id(&lease).await.unwrap(), id, "it is made once");
        let another = table.renew_record_id(&lease).await.unwrap();
        assert_eq!(read().await.record_id.as_ref().filter(|given| **given != id), Some(&another));
        let lost = table.give_record_id(&Lease { owner: "another".into(), ..lease }).await;
        assert!(matches!(lost, Err(StoreError::Conflict)), "{lost:?}");
    }

    #[tokio::test]
    async fn a_decision_to_close_gives_way_to_whoever_orders_meanwhile() {
        let cloud = Cloud::new();
        let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, Chance::seeded(1));
        let (name, now): (_, Timestamp) = (ServerName::parse("main").unwrap(), "2026-01-01T01:00:00Z".parse().unwrap());
        let fixture = include_bytes!("../fixtures/present/server.json");
        let mut item: Value = serde_json::from_slice(fixture).unwrap();
        (item["pk"], item["sk"]) = (serde_json::json!({"S": PARTITION}), serde_json::json!({"S": "main"}));
        cloud.put(&item);
        let read = async || table.get::<ServerItem>(&key(&name)).await.unwrap().unwrap();
        let close = Decision { action: Action::Close, ..Decision::keep("nobody was here", now) };
        let order = |at| Order { power: Power::Online, by: "alice".into(), at, now: false };

        for at in [now, now + SignedDuration::from_secs(1)] {
            let seen = read().await;
            table.give_order(&name, &order(at), seen.record.version).await.unwrap();
            let closed = table.close_unused(&name, &close, &seen).await;
            assert!(matches!(closed, Err(StoreError::Conflict)), "{closed:?}");
        }

        let seen = read().await;
        table.close_unused(&name, &close, &seen).await.unwrap();
        let after = read().await;
        assert_eq!((after.decision, after.record.version), (Some(close), seen.record.version));
    }

    #[test]
    fn what_release_0_1_recorded_last_counts() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let fixture = include_bytes!("../fixtures/present/server.json");
        let stored: serde_dynamo::Item = serde_json::from_slice(fixture).unwrap();
        let mut item: ServerItem = serde_dynamo::from_item(stored).unwrap();
        let by_0_1 = |by, power, second| WantedPower { power, by, reason: "why".into(), at: at(second) };
        let alice = || Asker::Person("alice".into());
        (item.order, item.decision) = (None, None);

        item.record.intent.power = by_0_1(alice(), Power::Stopped, 5);
        assert_eq!(item.order().map(|order| (order.power, order.at)), Some((Power::Stopped, at(5))));
        item.order = Some(Order { power: Power::Asleep, by: "bob".into(), at: at(5), now: false });
        assert_eq!(item.order().unwrap().by, "bob", "its own words for the same order");
        item.record.intent.power = by_0_1(alice(), Power::Online, 6);
        assert_eq!(item.order().map(|order| (order.power, order.by)), Some((Power::Online, "alice".into())));
        item.order = None;
        assert_eq!(item.order(), None, "it may be as old as the server");
        item.order = Some(Order { power: Power::Asleep, by: "bob".into(), at: at(5), now: false });

        item.record.intent.power = by_0_1(Asker::Autostop, Power::Stopped, 7);
        assert_eq!(item.order().unwrap().by, "bob");
        assert_eq!(item.decision().map(|decision| (decision.action, decision.at)), Some((Action::Close, at(7))));
        item.decision = Some(Decision::keep("somebody is there", at(8)));
        assert_eq!(item.decision().unwrap().action, Action::Keep);
    }

    #[test]
    fn an_item_without_notes_is_read() {
        let armed: Armed = serde_json::from_str("{}").unwrap();
        assert!(!armed.is_pending("2026-01-01T00:00:00Z".parse().unwrap(), jiff::SignedDuration::from_secs(30)));
    }
}
