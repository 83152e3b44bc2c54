//! `/v1/servers`: what is wanted of servers, and their power.

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use wharfinger_decisions::{
    condition::{Condition, Severity},
    names::ServerName,
    order::Order,
    server::{Asker, Power, ServerIntent, ServerSpec, ServerStatus, WantedPower},
};
use wharfinger_store::{
    activity::Unplaced,
    page::Page,
    record::Seen,
    servers::{self, PARTITION, ServerItem, ServerRecord},
    table::{Key, StoreError},
    unique,
    users::{self, UserRecord},
};

use crate::{
    App,
    call::{Call, Wanted},
    change::{self, Change, is_same, settle},
    found::Found,
    problem::{Kind, Problem, Refused, quoted},
    resource::{List, Resource, Would},
    status::ServerView,
};

/// `GET /v1/servers`
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let request = call.query(&["limit", "after"])?.page(false)?;
    let Page { items, next } = api.table.page::<ServerItem>(PARTITION, &request).await?;
    let items: Vec<(String, Found<ServerItem>)> = items.into_iter().map(|(name, read)| (name, read.into())).collect();
    Ok(List::answer(next, items.iter().map(|(name, found)| resource(name, found, call.now)).collect()))
}

/// `GET /v1/servers/{server}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.known_server()?;
    call.query(&[])?;
    let mut found = existing(&api, &name).await?;
    let unplaced = match &found.thing.record.status.server_id {
        Some(id) => api.table.unplaced(id).await?,
        None => None,
    };
    found.thing.record.status.conditions.extend(unplaced.map(unplaced_path));
    Ok(resource(name.as_str(), &found, call.now).shown())
}

/// What was uploaded where nobody knows whose site it is.
fn unplaced_path(Unplaced { path, user, at }: Unplaced) -> Condition {
    Condition {
        code: "unplaced_path".into(),
        severity: Severity::Error,
        message: format!(
            "{user} uploaded {}, which can't be placed on a file system: it rolled nothing out",
            quoted(&path)
        ),
        remedy: "send the user again by a PUT, and roll the site out by a POST to its rollouts".into(),
        since: at,
    }
}

/// `PUT /v1/servers/{server}`
pub(crate) async fn put(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.server()?;
    let wanted: Wanted<ServerSpec> = call.wanted(&["hours"])?;
    wanted.spec.check()?;
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(settle(api.table.chance(), || replace(&api, &call, &name, &wanted))).await
}

async fn replace(api: &App, call: &Call, name: &ServerName, wanted: &Wanted<ServerSpec>) -> Result<Response, Refused> {
    let key = servers::key(name);
    let claims = api.table.claims(servers::claims(&wanted.spec)).await?;
    let mut all = Found::<ServerItem>::all(&api.table, PARTITION).await?;
    let own = all.iter().position(|(other, _)| other == name.as_str());
    let current = own.map(|own| all.swap_remove(own).1);

    let record = current.as_ref().map(|found| &found.thing.record);
    let readable = current.as_ref().is_some_and(|found| found.unreadable.is_none());
    let same = |intent: &ServerIntent| readable && is_same(&intent.spec, &wanted.spec);
    let change = change::decide(&what(name), record, same, &wanted.preconditions)?;
    if let (Change::Replace(_), Some(record)) = (change, record) {
        wanted.spec.check_change(&record.intent.spec)?;
    }
    check_addresses(&wanted.spec, &all)?;
    check_rules(&wanted.spec, &all)?;
    check_unreadable(&key, &claims, &all)?;
    // A change of the spec is no order.
    let power = record.map_or_else(|| created(call), |record| record.intent.power.clone());
    let intent = ServerIntent { spec: wanted.spec.clone(), power };
    let next = change::next_record(change, record, intent, call.now);
    let next = match &current {
        Some(found) => ServerItem { record: next, ..found.thing.clone() },
        None => ServerItem::from(next),
    };
    let next = Found::from(next);
    if wanted.dry_run {
        let forecast = Box::pin(api.aws.forecast(record, &next.thing, call.now)).await;
        return Ok(resource(name.as_str(), &next, call.now).forecast(change.into(), forecast));
    }

    if change != Change::Keep {
        let before = record.map(|record| servers::claims(&record.intent.spec)).unwrap_or_default();
        let beside = api.table.claiming(&key, &claims, &before).await?;
        let seen = current.as_ref().map_or(Seen::Nothing, Found::seen);
        api.table.write_intent(&key, &next.thing.record, seen, beside).await?;
    }
    api.wake_server(name).await;
    let shown = resource(name.as_str(), &next, call.now);
    Ok(if change == Change::Create { shown.created(&format!("/v1/servers/{name}")) } else { shown.shown() })
}

/// Refuses an Elastic IP that another server has.
fn check_addresses(spec: &ServerSpec, others: &[(String, Found<ServerItem>)]) -> Result<(), Refused> {
    for (other, found) in others {
        let theirs = &found.thing.record.intent.spec.network.address_allocation_ids;
        let shared = spec.network.address_allocation_ids.iter().position(|address| theirs.contains(address));
        if let Some(index) = shared {
            let field = format!("/network/address_allocation_ids/{index}");
            let sentence = format!("the server \"{other}\" has this Elastic IP: give another one");
            return Err(Problem::at(Kind::Taken, field, sentence));
        }
    }
    Ok(())
}

/// Refuses a security group in which another server keeps its rules.
fn check_rules(spec: &ServerSpec, others: &[(String, Found<ServerItem>)]) -> Result<(), Refused> {
    let keeper = |spec: &ServerSpec| match &spec.network {
        network if network.allowed_cidrs.is_empty() => None,
        network => network.security_group_ids.first().cloned(),
    };
    let Some(group) = keeper(spec) else { return Ok(()) };
    let of = |found: &Found<ServerItem>| keeper(&found.thing.record.intent.spec);
    if let Some((other, _)) = others.iter().find(|(_, found)| of(found).as_ref() == Some(&group)) {
        let sentence = format!("the server \"{other}\" keeps its rules in this security group: give another one first");
        return Err(Problem::at(Kind::Taken, "/network/security_group_ids/0", sentence));
    }
    Ok(())
}

/// Refuses what belongs to a server whose record can't be read.
fn check_unreadable(own: &Key, claims: &[unique::Seen], others: &[(String, Found<ServerItem>)]) -> Result<(), Refused> {
    let unreadable = |name: &str| others.iter().any(|(other, found)| other == name && found.unreadable.is_some());
    match claims.iter().filter_map(|claim| claim.other_holder(own)).find(|holder| unreadable(holder)) {
        Some(other) => {
            let sentence = format!(
                "the server \"{other}\", whose record can't be read, has an Elastic IP or a security group of this one"
            );
            Err(Problem::at(Kind::Taken, "/network", sentence))
        }
        None => Ok(()),
    }
}

/// What release 0.1 reads of a new server's power.
fn created(call: &Call) -> WantedPower {
    let reason = format!("created by {}", call.caller);
    WantedPower { power: Power::Online, by: Asker::Person(call.caller.clone()), reason, at: call.now }
}

fn renew(record: &mut ServerRecord, seen: u64, now: Timestamp) {
    record.version = seen + 1;
    record.updated_at = now;
}

/// `DELETE /v1/servers/{server}`
pub(crate) async fn delete(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.known_server()?;
    call.query(&["dry_run", "with_users"])?;
    call.no_body()?;
    Box::pin(settle(api.table.chance(), || remove(&api, &call, &name))).await
}

/// Marks a server as being deleted, also if its record can't be read: `reconcile` finds it by its id or our tags, so
/// that nothing is left behind and billed.
async fn remove(api: &App, call: &Call, name: &ServerName) -> Result<Response, Refused> {
    let query = call.query(&["dry_run", "with_users"])?;
    let (dry_run, with_users) = (query.flag("dry_run")?, query.flag("with_users")?);
    let mut found = existing(api, name).await?;
    let users = Found::<UserRecord>::all(&api.table, &users::partition(name)).await?;

    let seen = found.thing.record.version;
    call.preconditions()?.check(&what(name), Some(seen))?;
    let staying: Vec<_> = users.iter().filter(|(_, user)| !user.thing.deleting).collect();
    if !staying.is_empty() && !with_users {
        let names = some_names(staying.iter().map(|(name, _)| name.as_str()));
        let detail = format!(
            "{} has users ({names}): delete them first, or with the server by ?with_users=true; no file is deleted",
            what(name)
        );
        return Err(Problem::new(Kind::InUse, detail));
    }
    let was_deleting = std::mem::replace(&mut found.thing.record.deleting, true);
    if !was_deleting {
        renew(&mut found.thing.record, seen, call.now);
    }
    if dry_run {
        return Ok(resource(name.as_str(), &found, call.now).preview(Would::Delete));
    }

    match &found.unreadable {
        Some(unreadable) => {
            found.thing.record =
                api.table.mark_unreadable_deleting::<ServerIntent, ServerStatus>(unreadable, call.now).await?;
        }
        None if was_deleting => {}
        None => api.table.mark_deleting(&servers::key(name), seen, call.now).await?,
    }
    // From here on the server takes no new users, and `reconcile` forgets those that a crash would leave out here.
    for (user, found) in staying {
        let key = Key::new(users::partition(name), user);
        match super::users::mark_deleting(api, &key, found, call.now).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    api.wake_server(name).await;
    Ok(resource(name.as_str(), &found, call.now).accepted())
}

/// `POST /v1/servers/{server}/start`, and `/wake`: whether it is stopped or asleep, it is opened.
pub(crate) async fn open(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    power(&api, &call, Power::Online, &["dry_run"]).await
}

/// `POST /v1/servers/{server}/stop`
pub(crate) async fn stop(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    power(&api, &call, Power::Stopped, &["dry_run", "now"]).await
}

/// `POST /v1/servers/{server}/sleep`
pub(crate) async fn sleep(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    power(&api, &call, Power::Asleep, &["dry_run", "now"]).await
}

async fn power(api: &App, call: &Call, power: Power, parameters: &[&str]) -> Result<Response, Refused> {
    let name = call.known_server()?;
    let query = call.query(parameters)?;
    call.no_body()?;
    let order = Order { power, by: call.caller.clone(), at: call.now, now: query.flag("now")? };
    let dry_run = query.flag("dry_run")?;
    settle(api.table.chance(), || give(api, call, &name, &order, dry_run)).await
}

/// Gives an order. The version stays: it counts changes of the spec. The same order given again counts as given now: a
/// server that was opened is kept open from then on.
async fn give(api: &App, call: &Call, name: &ServerName, order: &Order, dry_run: bool) -> Result<Response, Refused> {
    let found = existing(api, name).await?;

    let seen = found.thing.record.version;
    call.preconditions()?.check(&what(name), Some(seen))?;
    if found.thing.record.deleting {
        return Err(Problem::deleting(&what(name)));
    }
    let mut item = found.whole(&what(name))?;
    if order.power == Power::Asleep && item.record.intent.spec.network.address_allocation_ids.is_empty() {
        let detail = format!("{} has no Elastic IPs and would wake with other addresses: stop it instead", what(name));
        return Err(Problem::at(Kind::InvalidField, "/network/address_allocation_ids", detail));
    }
    let keep = item.wish(call.now).power == order.power && !order.now;
    item.record.intent.power = order.known_to_0_1();
    item.order = Some(order.clone());
    let found = Found::from(item);
    let shown = resource(name.as_str(), &found, call.now);
    if dry_run {
        return Ok(shown.preview(if keep { Would::Keep } else { Would::Change }));
    }

    api.table.give_order(name, order, seen).await?;
    api.wake_server(name).await;
    Ok(shown.accepted())
}

pub(super) async fn existing(api: &App, name: &ServerName) -> Result<Found<ServerItem>, Refused> {
    Found::at(&api.table, &servers::key(name)).await?.ok_or_else(|| unknown(name))
}

/// The server does not exist, or its name is not allowed.
pub(crate) fn unknown(name: &ServerName) -> Refused {
    match ServerName::parse(name.as_str()) {
        Ok(_) => Problem::not_found(&what(name)),
        Err(invalid) => Problem::invalid_name("server", &invalid),
    }
}

/// The server's name in sentences.
pub(crate) fn what(name: &ServerName) -> String {
    format!("the server \"{name}\"")
}

/// The first few of `names`, for a sentence.
pub(crate) fn some_names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const MOST: usize = 3;
    let more = names.len().saturating_sub(MOST);
    let first = names.take(MOST).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

pub(super) fn resource<'a>(
    name: &str,
    found: &'a Found<ServerItem>,
    now: Timestamp,
) -> Resource<&'a ServerSpec, ServerView> {
    let record = &found.thing.record;
    let spec = found.unreadable.is_none().then_some(&record.intent.spec);
    Resource::new(name, record, spec, ServerView::of(found, now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Stage;

    #[tokio::test]
    async fn a_security_group_keeps_the_rules_of_one_server() {
        let server = |groups: &[&str], cidrs: &[&str]| {
            json!({
                "file_system_id": "fs-0a1b2c3d4e5f60718",
                "network": {
                    "vpc_id": "vpc-0a1b2c3d4e5f60718",
                    "subnet_ids": ["subnet-0a1b2c3d4e5f60718"],
                    "security_group_ids": groups,
                    "allowed_cidrs": cidrs,
                },
            })
        };
        let (shared, own) = ("sg-0a1b2c3d4e5f60718", "sg-0a1b2c3d4e5f60719");
        let office = ["203.0.113.0/24"];
        let stage = Stage::new();
        stage.ask("PUT /v1/servers/main", &server(&[shared], &office)).await.expect(201);

        let refused = stage.ask("PUT /v1/servers/second", &server(&[shared, own], &office)).await.expect(409);

        assert_eq!(refused.body["field"], "/network/security_group_ids/0");
        stage.ask("PUT /v1/servers/second", &server(&[own, shared], &office)).await.expect(201);
        stage.ask("PUT /v1/servers/third", &server(&[shared], &[])).await.expect(201);
        stage.ask("PUT /v1/servers/main", &server(&[shared], &office)).await.expect(200);
    }

    #[tokio::test]
    async fn a_path_that_nobody_could_place_is_a_condition_of_its_server() {
        let stage = Stage::new();
        let server = json!({
            "file_system_id": "fs-0a1b2c3d4e5f60718",
            "network": {
                "vpc_id": "vpc-0a1b2c3d4e5f60718",
                "subnet_ids": ["subnet-0a1b2c3d4e5f60718"],
                "security_group_ids": ["sg-0a1b2c3d4e5f60718"],
            },
        });
        stage.ask("PUT /v1/servers/main", &server).await.expect(201);
        let status = ServerStatus { server_id: Some("s-1".into()), ..ServerStatus::default() };
        stage.show(&ServerName::parse("main").unwrap(), &status, None).await;
        let codes = |body: &serde_json::Value| body["status"]["conditions"].to_string();
        assert!(!codes(&stage.get("GET /v1/servers/main").await.expect(200).body).contains("unplaced_path"));
        let unplaced =
            Unplaced { path: "/a".into(), user: "alice".into(), at: "2026-01-01T00:00:00Z".parse().unwrap() };
        stage.table.note_unplaced("s-1", &unplaced).await.unwrap();
        let shown = codes(&stage.get("GET /v1/servers/main").await.expect(200).body);
        assert!(shown.contains("unplaced_path") && shown.contains("alice uploaded"), "{shown}");
    }
}
