//! `/v1/servers`: what is wanted of servers, and their power.

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use wharfinger_decisions::{
    names::ServerName,
    server::{Asker, Power, ServerIntent, ServerSpec, WantedPower},
};
use wharfinger_store::{
    page::Page,
    servers::{self, PARTITION, ServerItem, ServerRecord},
    table::{Key, StoreError},
    users::{self, UserRecord},
};

use crate::{
    App,
    call::{Call, Wanted},
    change::{self, Change, is_same, settle},
    problem::{Kind, Problem, Refused},
    resource::{List, Resource, Would},
    status::ServerView,
};

/// `GET /v1/servers`
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let request = call.query(&["limit", "after"])?.page(false)?;
    let page: Page<ServerItem> = api.table.page(PARTITION, &request).await?;
    let items = page.items.iter().map(|(name, item)| resource(name, item)).collect();
    Ok(List::answer(&page, items))
}

/// `GET /v1/servers/{server}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.server()?;
    call.query(&[])?;
    Ok(resource(name.as_str(), &existing(&api, &name).await?).shown())
}

/// `PUT /v1/servers/{server}`
pub(crate) async fn put(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.server()?;
    let wanted: Wanted<ServerSpec> = call.wanted(&["hours"])?;
    wanted.spec.check()?;
    settle(|| replace(&api, &call, &name, &wanted)).await
}

async fn replace(api: &App, call: &Call, name: &ServerName, wanted: &Wanted<ServerSpec>) -> Result<Response, Refused> {
    let all: Vec<(String, ServerItem)> = api.table.all(PARTITION).await?;
    let current = all.iter().find(|(other, _)| other == name.as_str()).map(|(_, item)| item);

    let record = current.map(|item| &item.record);
    let change =
        change::decide(&what(name), record, |intent| is_same(&intent.spec, &wanted.spec), &wanted.preconditions)?;
    if let (Change::Replace(_), Some(record)) = (change, record) {
        wanted.spec.check_change(&record.intent.spec)?;
    }
    check_addresses(name, &wanted.spec, &all)?;
    check_rules(name, &wanted.spec, &all)?;
    // A new server is to be online; a change of the spec leaves the power alone.
    let power = record.map_or_else(|| asked(Power::Online, "created", call), |record| record.intent.power.clone());
    let intent = ServerIntent { spec: wanted.spec.clone(), power };
    let next = ServerItem {
        record: change::next_record(change, record, intent, call.now),
        decision: current.and_then(|item| item.decision.clone()),
        armed: current.map(|item| item.armed.clone()).unwrap_or_default(),
    };
    if wanted.dry_run {
        return Ok(resource(name.as_str(), &next).preview(change.into()));
    }

    change::write(&api.table, &servers::key(name), change, &next.record).await?;
    api.wake_server(name).await;
    let shown = resource(name.as_str(), &next);
    Ok(if change == Change::Create { shown.created(&format!("/v1/servers/{name}")) } else { shown.shown() })
}

/// An Elastic IP serves one server.
fn check_addresses(name: &ServerName, spec: &ServerSpec, all: &[(String, ServerItem)]) -> Result<(), Refused> {
    for (other, item) in all.iter().filter(|(other, _)| other != name.as_str()) {
        let theirs = &item.record.intent.spec.network.address_allocation_ids;
        let shared = spec.network.address_allocation_ids.iter().position(|address| theirs.contains(address));
        if let Some(index) = shared {
            let field = format!("/network/address_allocation_ids/{index}");
            let sentence = format!("the server \"{other}\" has this Elastic IP: give another one");
            return Err(Problem::at(Kind::Taken, field, sentence));
        }
    }
    Ok(())
}

/// One server keeps rules in a security group: EC2 holds the same rule only once, so two servers that let the same
/// block in would own it together, and a change of one would lock out the clients of the other.
fn check_rules(name: &ServerName, spec: &ServerSpec, all: &[(String, ServerItem)]) -> Result<(), Refused> {
    let keeper = |spec: &ServerSpec| match &spec.network {
        network if network.allowed_cidrs.is_empty() => None,
        network => network.security_group_ids.first().cloned(),
    };
    let Some(group) = keeper(spec) else { return Ok(()) };
    let mut others = all.iter().filter(|(other, _)| other != name.as_str());
    if let Some((other, _)) = others.find(|(_, item)| keeper(&item.record.intent.spec).as_ref() == Some(&group)) {
        let sentence = format!("the server \"{other}\" keeps its rules in this security group: give another one first");
        return Err(Problem::at(Kind::Taken, "/network/security_group_ids/0", sentence));
    }
    Ok(())
}

fn asked(power: Power, done: &str, call: &Call) -> WantedPower {
    let reason = format!("{done} by {}", call.caller);
    WantedPower { power, by: Asker::Person(call.caller.clone()), reason, at: call.now }
}

fn renew(record: &mut ServerRecord, seen: u64, now: Timestamp) {
    record.version = seen + 1;
    record.updated_at = now;
}

/// `DELETE /v1/servers/{server}`
pub(crate) async fn delete(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.server()?;
    call.query(&["dry_run", "with_users"])?;
    call.no_body()?;
    settle(|| remove(&api, &call, &name)).await
}

async fn remove(api: &App, call: &Call, name: &ServerName) -> Result<Response, Refused> {
    let query = call.query(&["dry_run", "with_users"])?;
    let (dry_run, with_users) = (query.flag("dry_run")?, query.flag("with_users")?);
    let mut item = existing(api, name).await?;
    let users: Vec<(String, UserRecord)> = api.table.all(&users::partition(name)).await?;

    let seen = item.record.version;
    call.preconditions()?.check(&what(name), Some(seen))?;
    let staying: Vec<_> = users.iter().filter(|(_, user)| !user.deleting).collect();
    if !staying.is_empty() && !with_users {
        let names = some_names(staying.iter().map(|(name, _)| name.as_str()));
        let detail = format!(
            "{} has users ({names}): delete them first, or with the server by ?with_users=true; no file is deleted",
            what(name)
        );
        return Err(Problem::new(Kind::InUse, detail));
    }
    let was_deleting = std::mem::replace(&mut item.record.deleting, true);
    if !was_deleting {
        renew(&mut item.record, seen, call.now);
    }
    if dry_run {
        return Ok(resource(name.as_str(), &item).preview(Would::Delete));
    }

    if !was_deleting {
        api.table.mark_deleting(&servers::key(name), seen, call.now).await?;
    }
    // From here on the server takes no new users, and `reconcile` forgets those that a crash would leave out here.
    for (user, record) in staying {
        let key = Key::new(users::partition(name), user);
        match api.table.mark_deleting(&key, record.version, call.now).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    api.wake_server(name).await;
    Ok(resource(name.as_str(), &item).accepted())
}

/// `POST /v1/servers/{server}/start`
pub(crate) async fn start(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    power(&api, &call, Power::Online, "started").await
}

/// `POST /v1/servers/{server}/stop`
pub(crate) async fn stop(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    power(&api, &call, Power::Stopped, "stopped").await
}

/// `POST /v1/servers/{server}/sleep`
pub(crate) async fn sleep() -> Refused {
    let detail = "sleep is not yet supported: POST …/stop shuts the door, and AWS bills a stopped server like one that is online";
    Problem::new(Kind::NotSupported, detail)
}

/// `POST /v1/servers/{server}/wake`
pub(crate) async fn wake() -> Refused {
    Problem::new(Kind::NotSupported, "wake is not yet supported: POST …/start opens the door of a stopped server")
}

async fn power(api: &App, call: &Call, power: Power, done: &str) -> Result<Response, Refused> {
    let name = call.server()?;
    call.query(&["dry_run"])?;
    call.no_body()?;
    settle(|| set_power(api, call, &name, asked(power, done, call))).await
}

/// Asking twice for `online` is a sign of use: the second request renews the first, so that the idle sweep waits from
/// then on. Asking twice for `stopped` changes nothing.
async fn set_power(api: &App, call: &Call, name: &ServerName, asked: WantedPower) -> Result<Response, Refused> {
    let mut item = existing(api, name).await?;

    let seen = item.record.version;
    call.preconditions()?.check(&what(name), Some(seen))?;
    if item.record.deleting {
        return Err(Problem::deleting(&what(name)));
    }
    let keep = asked.power == Power::Stopped && item.record.intent.power.power == Power::Stopped;
    if !keep {
        item.record.intent.power = asked;
        renew(&mut item.record, seen, call.now);
    }
    if call.query(&["dry_run"])?.flag("dry_run")? {
        let would = if keep { Would::Keep } else { Would::Change };
        return Ok(resource(name.as_str(), &item).preview(would));
    }

    if !keep {
        api.table.replace_intent(&servers::key(name), &item.record.intent, seen, call.now).await?;
    }
    api.wake_server(name).await;
    Ok(resource(name.as_str(), &item).accepted())
}

async fn existing(api: &App, name: &ServerName) -> Result<ServerItem, Refused> {
    let item: Option<ServerItem> = api.table.get(&servers::key(name)).await?;
    item.ok_or_else(|| Problem::not_found(&what(name)))
}

/// The server in a sentence.
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

fn resource<'a>(name: &str, item: &'a ServerItem) -> Resource<&'a ServerSpec, ServerView> {
    Resource::new(name, &item.record, &item.record.intent.spec, ServerView::of(item))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
}
