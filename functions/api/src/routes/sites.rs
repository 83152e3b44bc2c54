//! `/v1/sites`: directories, and the services that mount them.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use futures::future::try_join_all;
use http::StatusCode;
use wharfinger_decisions::{
    condition::Condition,
    names::{ServerName, SiteName},
    reach,
    site::{Mount, SiteSpec},
};
use wharfinger_store::{
    page::{Page, PageRequest},
    record::Seen,
    servers::{self, ServerRecord},
    sites::{self, PARTITION, SiteRecord},
    table::{Key, StoreError},
    unique,
    unreadable::Unreadable,
    users::{self, UserRecord},
    windows::WindowRecord,
};

use super::servers::some_names;
use crate::{
    App,
    call::{Call, Wanted},
    change::{self, Change, is_same, settle},
    found::Found,
    problem::{Kind, Problem, Refused},
    resource::{List, Resource, Would},
    status::SiteView,
};

/// The most sites: all of them are read with each batch of uploads and at each sweep, to tell whose a path is.
const MOST_SITES: usize = 1_000;

/// `GET /v1/sites`
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let request = call.query(&["limit", "after"])?.page(false)?;
    let Page { items, next } = api.table.page::<SiteRecord>(PARTITION, &request).await?;
    let sites: Vec<(SiteName, Found<SiteRecord>)> =
        items.into_iter().map(|(name, read)| (SiteName::from_stored(name), read.into())).collect();
    let views = sites.iter().map(|(name, found)| view(&api, &call, name, found));
    let views = try_join_all(views).await?;
    Ok(List::answer(next, sites.iter().zip(views).map(|((name, found), view)| resource(name, found, view)).collect()))
}

/// `GET /v1/sites/{site}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.known_site()?;
    call.query(&[])?;
    let found = existing(&api, &name).await?;
    let view = view(&api, &call, &name, &found).await?;
    Ok(resource(&name, &found, view).shown())
}

/// `PUT /v1/sites/{site}`
pub(crate) async fn put(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.site()?;
    let wanted: Wanted<SiteSpec> = call.wanted(&[])?;
    wanted.spec.check()?;
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(settle(api.table.chance(), || replace(&api, &call, &name, &wanted))).await
}

async fn replace(api: &App, call: &Call, name: &SiteName, wanted: &Wanted<SiteSpec>) -> Result<Response, Refused> {
    let key = sites::key(name);
    let claims = api.table.claims(sites::claims(&wanted.spec)).await?;
    let mut all = Found::<SiteRecord>::all(&api.table, PARTITION).await?;
    let own = all.iter().position(|(other, _)| other == name.as_str());
    let current = own.map(|own| all.swap_remove(own).1);
    let record = current.as_ref().map(|found| &found.thing);
    let moved = record.filter(|record| is_moved(&record.intent, &wanted.spec));
    let users = if moved.is_some() { users_of(api, name).await? } else { Vec::new() };

    let readable = current.as_ref().is_some_and(|found| found.unreadable.is_none());
    let same = |spec: &SiteSpec| readable && is_same(spec, &wanted.spec);
    let change = change::decide(&what(name), record, same, &wanted.preconditions)?;
    if change == Change::Create {
        check_room(all.len())?;
    }
    check_neighbours(&wanted.spec, &all)?;
    check_unreadable(&key, &claims, &all)?;
    if moved.is_some_and(|record| record.intent.file_system_id != wanted.spec.file_system_id) && !users.is_empty() {
        let sentence = format!(
            "users see this site ({}): it can't move to another file system before they are gone",
            user_names(&users)
        );
        return Err(Problem::at(Kind::InUse, "/file_system_id", sentence));
    }
    let next = Found::from(change::next_record(change, record, wanted.spec.clone(), call.now));
    let shown = resource(name, &next, view(api, call, name, &next).await?);
    if wanted.dry_run {
        return Ok(shown.preview(change.into()));
    }

    if change != Change::Keep {
        let before = record.map(|record| sites::claims(&record.intent)).unwrap_or_default();
        let beside = api.table.claiming(&key, &claims, &before).await?;
        let seen = current.as_ref().map_or(Seen::Nothing, Found::seen);
        api.table.write_intent(&key, &next.thing, seen, beside).await?;
    }
    api.wake_site(name).await;
    wake_servers(api, &users).await;
    Ok(if change == Change::Create { shown.created(&format!("/v1/sites/{name}")) } else { shown.shown() })
}

fn check_room(sites: usize) -> Result<(), Refused> {
    if sites < MOST_SITES {
        return Ok(());
    }
    let sentence =
        format!("there are {sites} sites, and {MOST_SITES} are the most: delete some, or deploy another stack");
    Err(Problem::new(Kind::TooMany, sentence))
}

fn is_moved(from: &SiteSpec, to: &SiteSpec) -> bool {
    (&from.file_system_id, &from.directory) != (&to.file_system_id, &to.directory)
}

/// The home directories of users follow their site.
async fn wake_servers(api: &App, users: &[(ServerName, String)]) {
    let mut servers: Vec<&ServerName> = users.iter().map(|(server, _)| server).collect();
    servers.dedup();
    for server in servers {
        api.wake_server(server).await;
    }
}

/// Refuses a directory or a mount path that another site has: an upload must belong to one site.
fn check_neighbours(spec: &SiteSpec, others: &[(String, Found<SiteRecord>)]) -> Result<(), Refused> {
    for (other, found) in others {
        let theirs = &found.thing.intent;
        if theirs.file_system_id == spec.file_system_id && theirs.directory == spec.directory {
            let sentence = format!("the site \"{other}\" has this directory: an upload would roll out both");
            return Err(Problem::at(Kind::Taken, "/directory", sentence));
        }
        if let Some((field, place)) = common_place(spec, theirs) {
            let (path, container) = (&place.path, &place.container);
            let sentence = format!("the site \"{other}\" is mounted at {path} of {container}: give another path");
            return Err(Problem::at(Kind::Taken, field, sentence));
        }
    }
    Ok(())
}

/// The place of `spec` that the site `theirs` has too, and the field that names it.
fn common_place(spec: &SiteSpec, theirs: &SiteSpec) -> Option<(&'static str, Mount)> {
    let taken = if theirs.shares_service_with(spec) { theirs.places() } else { Vec::new() };
    let field = if spec.mounts.is_empty() { "/mount_path" } else { "/mounts" };
    let place = spec.places().into_iter().find(|place| taken.iter().any(|other| other.is_at(place)))?;
    Some((field, place))
}

/// Refuses what belongs to a site whose record can't be read.
fn check_unreadable(own: &Key, claims: &[unique::Seen], others: &[(String, Found<SiteRecord>)]) -> Result<(), Refused> {
    let unreadable = |name: &str| others.iter().any(|(other, found)| other == name && found.unreadable.is_some());
    match claims.iter().filter_map(|claim| claim.other_holder(own)).find(|holder| unreadable(holder)) {
        Some(other) => {
            let sentence = format!(
                "the site \"{other}\", whose record can't be read, has this directory or this place in the container"
            );
            Err(Problem::at(Kind::Taken, "/directory", sentence))
        }
        None => Ok(()),
    }
}

/// `DELETE /v1/sites/{site}`
pub(crate) async fn delete(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.known_site()?;
    call.query(&["dry_run"])?.flag("dry_run")?;
    call.no_body()?;
    Box::pin(settle(api.table.chance(), || remove(&api, &call, &name))).await
}

/// Removes the record alone: files, service and mount stay as they are.
async fn remove(api: &App, call: &Call, name: &SiteName) -> Result<Response, Refused> {
    let links = api.table.links(name).await?;
    let window = async { Ok(window(api, name).await?) };
    let (found, users, (window, unreadable)) = tokio::try_join!(existing(api, name), users_of(api, name), window)?;
    let shown = view(api, call, name, &found).await?;

    call.preconditions()?.check(&what(name), Some(found.thing.version))?;
    if !users.is_empty() {
        let detail = format!(
            "users see {} ({}): give them another site or a directory, or delete them, first",
            what(name),
            user_names(&users)
        );
        return Err(Problem::new(Kind::InUse, detail));
    }
    if let Some(unreadable) = unreadable {
        let detail = format!(
            "the window of {} can't be read by this version ({}): deploy the version that wrote it, then delete the site",
            what(name),
            unreadable.reason
        );
        return Err(Problem::new(Kind::Unreadable, detail));
    }
    if let Some(rollout) = &window.rollout {
        let detail = format!("the rollout {rollout} of {} is under way: wait until it is over", what(name));
        return Err(Problem::new(Kind::InUse, detail));
    }
    if call.query(&["dry_run"])?.flag("dry_run")? {
        return Ok(resource(name, &found, shown).preview(Would::Delete));
    }

    api.table.forget_site(name, found.seen(), &sites::claims(&found.thing.intent), links, &window).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn existing(api: &App, name: &SiteName) -> Result<Found<SiteRecord>, Refused> {
    Found::at(&api.table, &sites::key(name)).await?.ok_or_else(|| unknown(name))
}

/// The site does not exist, or its name is not allowed.
pub(crate) fn unknown(name: &SiteName) -> Refused {
    match SiteName::parse(name.as_str()) {
        Ok(_) => Problem::not_found(&what(name)),
        Err(invalid) => Problem::invalid_name("site", &invalid),
    }
}

/// The users that see the site, each with its server.
async fn users_of(api: &App, site: &SiteName) -> Result<Vec<(ServerName, String)>, Refused> {
    let servers = api.table.all::<ServerRecord>(servers::PARTITION).await?;
    let users = try_join_all(servers.into_iter().map(|(name, _)| async move {
        let server = ServerName::from_stored(name);
        let users = Found::<UserRecord>::all(&api.table, &users::partition(&server)).await?;
        let sees = |user: &UserRecord| !user.deleting && user.intent.site.as_ref() == Some(site);
        let see = users.into_iter().filter(|(_, found)| sees(&found.thing));
        Ok::<_, StoreError>(see.map(|(user, _)| (server.clone(), user)).collect::<Vec<_>>())
    }));
    Ok(users.await?.concat())
}

fn user_names(users: &[(ServerName, String)]) -> String {
    let names: Vec<String> = users.iter().map(|(server, user)| format!("{user} on {server}")).collect();
    some_names(names.iter().map(String::as_str))
}

/// The window, or an empty one and a condition if it can't be read.
async fn window(api: &App, name: &SiteName) -> Result<(WindowRecord, Option<Box<Unreadable>>), StoreError> {
    match api.table.window(name).await {
        Ok(window) => Ok((window, None)),
        Err(StoreError::Unreadable(unreadable)) => Ok((WindowRecord::default(), Some(unreadable))),
        Err(error) => Err(error),
    }
}

/// The window, the latest rollout, and the conditions.
async fn view(api: &App, call: &Call, name: &SiteName, found: &Found<SiteRecord>) -> Result<SiteView, Refused> {
    let latest = PageRequest::first(1);
    let ((window, unreadable), rollouts) = tokio::try_join!(window(api, name), api.table.rollouts(name, &latest))?;
    let (rollout, unread) = match rollouts.items.into_iter().next().map(|(_, read)| read).transpose() {
        Ok(rollout) => (rollout, None),
        Err(unread) => (None, Some(unread)),
    };
    let mut known: Vec<Condition> = found.thing.status.conditions.clone();
    known.extend([unreadable, unread].into_iter().flatten().map(|unreadable| unreadable.condition(call.now)));
    known.extend(window.compared.as_ref().and_then(|compared| compared.condition.clone()));
    known.extend(rollout.as_ref().and_then(reach::closed));
    let spec = &found.thing.intent;
    let shown = window.window.show(window.decide(spec, call.now), &spec.finish, window.rollout.is_some(), call.now);
    Ok(SiteView {
        hold: window.word.hold_at(call.now).cloned(),
        window: window.waits.map_or(shown.clone(), |ahead| shown.queued(&ahead)),
        rollout,
        conditions: found.conditions(&known, call.now),
    })
}

/// The site's name in sentences.
pub(crate) fn what(name: &SiteName) -> String {
    format!("the site \"{name}\"")
}

fn resource<'a>(name: &SiteName, found: &'a Found<SiteRecord>, view: SiteView) -> Resource<&'a SiteSpec, SiteView> {
    let spec = found.unreadable.is_none().then_some(&found.thing.intent);
    Resource::new(name.as_str(), &found.thing, spec, view)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;
    use wharfinger_decisions::rollout::{Rollout, State};
    use wharfinger_store::{rollouts::RolloutRecord, table::Table, windows::WindowRecord};

    use super::*;
    use crate::testing::Stage;

    async fn with_a_site() -> (Table, SiteName) {
        let stage = Stage::new();
        let spec = json!({"file_system_id": "fs-0a1b2c3d4e5f60718", "directory": "/blog", "cluster": "local",
            "service": "web", "container": "web", "mount_path": "/srv"});
        stage.ask("PUT /v1/sites/blog", &spec).await.expect(201);
        (stage.table, SiteName::parse("blog").unwrap())
    }

    async fn forget(table: &Table, name: &SiteName, seen: u64, window: &WindowRecord) -> Result<(), StoreError> {
        let links = table.links(name).await?;
        table.forget_site(name, Seen::Version(seen), &[], links, window).await
    }

    async fn claim(table: &Table, name: &SiteName, window: &WindowRecord) -> Result<(), StoreError> {
        let rollout: Rollout = serde_json::from_value(json!({"id": "1", "site": name, "state": State::Claimed,
            "reason": "the window is over", "cause": window.window.cause(String::new()),
            "started_at": "2026-01-01T00:00:00Z"}))
        .unwrap();
        let rollout = RolloutRecord::begun(rollout, Timestamp::UNIX_EPOCH);
        let site: SiteRecord = table.get(&sites::key(name)).await?.ok_or(StoreError::Conflict)?;
        let turns = table.turns(&site.intent).await?;
        table.claim(&WindowRecord { rollout: Some("1".into()), ..window.clone() }, &turns, &rollout).await
    }

    #[tokio::test]
    async fn a_rollout_that_begins_meanwhile_keeps_its_site() {
        let (table, name) = with_a_site().await;
        let seen = table.write_window(&name, &WindowRecord::default()).await.unwrap();
        claim(&table, &name, &seen).await.unwrap();
        let locked = table.window(&name).await.unwrap();
        for window in [WindowRecord::default(), seen, locked] {
            assert!(matches!(forget(&table, &name, 1, &window).await, Err(StoreError::Conflict)));
        }
        assert!(table.get::<SiteRecord>(&sites::key(&name)).await.unwrap().is_some());
        assert!(table.window(&name).await.unwrap().rollout.is_some());
    }

    #[tokio::test]
    async fn a_site_takes_its_idle_window_with_it() {
        let (table, name) = with_a_site().await;
        let window = table.write_window(&name, &WindowRecord::default()).await.unwrap();
        assert!(matches!(forget(&table, &name, 2, &window).await, Err(StoreError::Conflict)));
        assert_eq!(table.window(&name).await.unwrap(), window, "both or none");
        forget(&table, &name, 1, &window).await.unwrap();
        assert_eq!(table.window(&name).await.unwrap(), WindowRecord::default());
        assert!(matches!(claim(&table, &name, &window).await, Err(StoreError::Conflict)));
    }

    #[tokio::test]
    async fn a_site_is_forgotten_after_its_rollout() {
        let (table, name) = with_a_site().await;
        claim(&table, &name, &WindowRecord::default()).await.unwrap();
        table.free_window(&table.rollout(&name, "1").await.unwrap().unwrap()).await.unwrap();
        let window = table.window(&name).await.unwrap();
        forget(&table, &name, 1, &window).await.unwrap();
        assert!(table.get::<SiteRecord>(&sites::key(&name)).await.unwrap().is_none());
    }
}
