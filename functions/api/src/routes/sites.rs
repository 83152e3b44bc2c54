//! `/v1/sites`: directories, and the services that mount them.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use futures::future::try_join_all;
use http::StatusCode;
use wharfinger_decisions::{
    names::{ServerName, SiteName},
    site::SiteSpec,
};
use wharfinger_store::{
    page::{Page, PageRequest},
    servers::{self, ServerRecord},
    sites::{self, PARTITION, SiteRecord},
    table::StoreError,
    users::{self, UserRecord},
};

use super::servers::some_names;
use crate::{
    App,
    call::{Call, Wanted},
    change::{self, Change, is_same, settle},
    problem::{Kind, Problem, Refused},
    resource::{List, Resource, Would},
    status::SiteView,
};

/// `GET /v1/sites`
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let request = call.query(&["limit", "after"])?.page(false)?;
    let page: Page<SiteRecord> = api.table.page(PARTITION, &request).await?;
    let names =
        page.items.iter().map(|(name, _)| SiteName::parse(name.as_str()).expect("the table holds checked names"));
    let names: Vec<SiteName> = names.collect();
    let views = names.iter().zip(&page.items).map(|(name, (_, record))| view(&api, &call, name, &record.intent));
    let views = try_join_all(views).await?;
    let items = page.items.iter().zip(views).map(|((name, record), view)| resource(name, record, view)).collect();
    Ok(List::answer(&page, items))
}

/// `GET /v1/sites/{site}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.site()?;
    call.query(&[])?;
    let record = existing(&api, &name).await?;
    let view = view(&api, &call, &name, &record.intent).await?;
    Ok(resource(name.as_str(), &record, view).shown())
}

/// `PUT /v1/sites/{site}`
pub(crate) async fn put(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.site()?;
    let wanted: Wanted<SiteSpec> = call.wanted(&[])?;
    wanted.spec.check()?;
    settle(|| replace(&api, &call, &name, &wanted)).await
}

async fn replace(api: &App, call: &Call, name: &SiteName, wanted: &Wanted<SiteSpec>) -> Result<Response, Refused> {
    let all: Vec<(String, SiteRecord)> = api.table.all(PARTITION).await?;
    let current = all.iter().find(|(other, _)| other == name.as_str()).map(|(_, record)| record);
    let moved = current.filter(|record| is_moved(&record.intent, &wanted.spec));
    let users = if moved.is_some() { users_of(api, name).await? } else { Vec::new() };

    let same = |spec: &SiteSpec| is_same(spec, &wanted.spec);
    let change = change::decide(&what(name), current, same, &wanted.preconditions)?;
    check_neighbours(name, &wanted.spec, &all)?;
    if moved.is_some_and(|record| record.intent.file_system_id != wanted.spec.file_system_id) && !users.is_empty() {
        let sentence = format!(
            "users see this site ({}): it can't move to another file system before they are gone",
            user_names(&users)
        );
        return Err(Problem::at(Kind::InUse, "/file_system_id", sentence));
    }
    let next = change::next_record(change, current, wanted.spec.clone(), call.now);
    let shown = resource(name.as_str(), &next, view(api, call, name, &wanted.spec).await?);
    if wanted.dry_run {
        return Ok(shown.preview(change.into()));
    }

    change::write(&api.table, &sites::key(name), change, &next).await?;
    api.wake_site(name).await;
    wake_servers(api, &users).await;
    Ok(if change == Change::Create { shown.created(&format!("/v1/sites/{name}")) } else { shown.shown() })
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

/// A directory belongs to one site, and so does a place in a container: an upload must have one meaning.
fn check_neighbours(name: &SiteName, spec: &SiteSpec, all: &[(String, SiteRecord)]) -> Result<(), Refused> {
    for (other, record) in all.iter().filter(|(other, _)| other != name.as_str()) {
        let theirs = &record.intent;
        if theirs.file_system_id == spec.file_system_id && theirs.directory == spec.directory {
            let sentence = format!("the site \"{other}\" has this directory: an upload would roll out both");
            return Err(Problem::at(Kind::Taken, "/directory", sentence));
        }
        let same_container = theirs.shares_service_with(spec) && theirs.container == spec.container;
        if same_container && theirs.mount_path == spec.mount_path {
            let sentence = format!("the site \"{other}\" is mounted there in the same container: give another path");
            return Err(Problem::at(Kind::Taken, "/mount_path", sentence));
        }
    }
    Ok(())
}

/// `DELETE /v1/sites/{site}`
pub(crate) async fn delete(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.site()?;
    call.query(&["dry_run"])?.flag("dry_run")?;
    call.no_body()?;
    settle(|| Box::pin(remove(&api, &call, &name))).await
}

/// Nothing of AWS's is undone: the files, the service and its mount stay as they are.
async fn remove(api: &App, call: &Call, name: &SiteName) -> Result<Response, Refused> {
    let window = async { Ok(api.table.window(name).await?) };
    let (record, users, window) = tokio::try_join!(existing(api, name), users_of(api, name), window)?;
    let shown = view(api, call, name, &record.intent).await?;

    call.preconditions()?.check(&what(name), Some(record.version))?;
    if !users.is_empty() {
        let detail = format!(
            "users see {} ({}): give them another site or a directory, or delete them, first",
            what(name),
            user_names(&users)
        );
        return Err(Problem::new(Kind::InUse, detail));
    }
    if let Some(rollout) = &window.rollout {
        let detail = format!("the rollout {rollout} of {} is under way: wait until it is over", what(name));
        return Err(Problem::new(Kind::InUse, detail));
    }
    if call.query(&["dry_run"])?.flag("dry_run")? {
        return Ok(resource(name.as_str(), &record, shown).preview(Would::Delete));
    }

    api.table.forget_site(name, record.version, &window).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn existing(api: &App, name: &SiteName) -> Result<SiteRecord, Refused> {
    let record: Option<SiteRecord> = api.table.get(&sites::key(name)).await?;
    record.ok_or_else(|| Problem::not_found(&what(name)))
}

/// The users that see the site, each with its server.
async fn users_of(api: &App, site: &SiteName) -> Result<Vec<(ServerName, String)>, Refused> {
    let servers: Vec<(String, ServerRecord)> = api.table.all(servers::PARTITION).await?;
    let users = try_join_all(servers.into_iter().map(|(name, _)| async move {
        let server = ServerName::parse(name).expect("the table holds checked names");
        let users: Vec<(String, UserRecord)> = api.table.all(&users::partition(&server)).await?;
        let see = users.into_iter().filter(|(_, user)| !user.deleting && user.intent.site.as_ref() == Some(site));
        Ok::<_, StoreError>(see.map(|(user, _)| (server.clone(), user)).collect::<Vec<_>>())
    }));
    Ok(users.await?.concat())
}

fn user_names(users: &[(ServerName, String)]) -> String {
    let names: Vec<String> = users.iter().map(|(server, user)| format!("{user} on {server}")).collect();
    some_names(names.iter().map(String::as_str))
}

/// The window and the latest rollout.
async fn view(api: &App, call: &Call, name: &SiteName, spec: &SiteSpec) -> Result<SiteView, Refused> {
    let latest = PageRequest::first(1);
    let (window, rollouts) = tokio::try_join!(api.table.window(name), api.table.rollouts(name, &latest))?;
    let window = window.window.show(&spec.finish, window.rollout.is_some(), call.now);
    Ok(SiteView { window, rollout: rollouts.items.into_iter().next().map(|(_, rollout)| rollout) })
}

/// The site in a sentence.
pub(crate) fn what(name: &SiteName) -> String {
    format!("the site \"{name}\"")
}

fn resource<'a>(name: &str, record: &'a SiteRecord, view: SiteView) -> Resource<&'a SiteSpec, SiteView> {
    Resource::new(name, record, &record.intent, view)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharfinger_decisions::rollout::{Rollout, State};
    use wharfinger_store::{table::Table, windows::WindowRecord};

    use super::*;
    use crate::testing::Stage;

    async fn with_a_site() -> (Table, SiteName) {
        let stage = Stage::new();
        let spec = json!({"file_system_id": "fs-0a1b2c3d4e5f60718", "directory": "/blog", "cluster": "local",
            "service": "web", "container": "web", "mount_path": "/srv"});
        stage.ask("PUT /v1/sites/blog", &spec).await.expect(201);
        (stage.table, SiteName::parse("blog").unwrap())
    }

    async fn claim(table: &Table, name: &SiteName, window: &WindowRecord) -> Result<(), StoreError> {
        let rollout: Rollout = serde_json::from_value(json!({"id": "1", "site": name, "state": State::Claimed,
            "reason": "the window is over", "cause": window.window.cause(String::new()),
            "started_at": "2026-01-01T00:00:00Z"}))
        .unwrap();
        table.claim(&WindowRecord { rollout: Some("1".into()), ..window.clone() }, &rollout).await
    }

    #[tokio::test]
    async fn a_rollout_that_begins_meanwhile_keeps_its_site() {
        let (table, name) = with_a_site().await;
        let seen = table.write_window(&name, &WindowRecord::default()).await.unwrap();
        claim(&table, &name, &seen).await.unwrap();
        let locked = table.window(&name).await.unwrap();
        for window in [WindowRecord::default(), seen, locked] {
            assert!(matches!(table.forget_site(&name, 1, &window).await, Err(StoreError::Conflict)));
        }
        assert!(table.get::<SiteRecord>(&sites::key(&name)).await.unwrap().is_some());
        assert!(table.window(&name).await.unwrap().rollout.is_some());
    }

    #[tokio::test]
    async fn a_site_takes_its_idle_window_with_it() {
        let (table, name) = with_a_site().await;
        let window = table.write_window(&name, &WindowRecord::default()).await.unwrap();
        assert!(matches!(table.forget_site(&name, 2, &window).await, Err(StoreError::Conflict)));
        assert_eq!(table.window(&name).await.unwrap(), window, "both or none");
        table.forget_site(&name, 1, &window).await.unwrap();
        assert_eq!(table.window(&name).await.unwrap(), WindowRecord::default());
        assert!(matches!(claim(&table, &name, &window).await, Err(StoreError::Conflict)));
    }

    #[tokio::test]
    async fn a_site_is_forgotten_after_its_rollout() {
        let (table, name) = with_a_site().await;
        claim(&table, &name, &WindowRecord::default()).await.unwrap();
        table.finish_rollout(&table.rollout_record(&name, "1").await.unwrap().unwrap()).await.unwrap();
        let window = table.window(&name).await.unwrap();
        table.forget_site(&name, 1, &window).await.unwrap();
        assert!(table.get::<SiteRecord>(&sites::key(&name)).await.unwrap().is_none());
    }
}
