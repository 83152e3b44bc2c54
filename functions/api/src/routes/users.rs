//! `/v1/servers/{server}/users`: who may log in, and what they see.

use axum::{extract::State, response::Response};
use wharfinger_decisions::{
    names::{ServerName, UserName},
    user::UserSpec,
};
use wharfinger_store::{
    page::Page,
    servers::{self, ServerRecord},
    sites::{self, SiteRecord},
    users::{self, UserRecord},
};

use super::servers::what as what_server;
use crate::{
    App,
    call::{Call, Wanted},
    change::{self, Change, is_same, settle},
    problem::{Problem, Refused},
    resource::{List, Resource, Would},
    status::UserView,
};

/// `GET /v1/servers/{server}/users`
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let server = call.server()?;
    let request = call.query(&["limit", "after"])?.page(false)?;
    let partition = users::partition(&server);
    let (_, page) = tokio::try_join!(server_of(&api, &server), async {
        let page: Page<UserRecord> = api.table.page(&partition, &request).await?;
        Ok(page)
    })?;
    let items = page.items.iter().map(|(user, record)| resource(&server, user, record)).collect();
    Ok(List::answer(&page, items))
}

/// `GET /v1/servers/{server}/users/{user}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (server, user) = (call.server()?, call.user()?);
    call.query(&[])?;
    let record = existing(&api, &server, &user).await?;
    Ok(resource(&server, user.as_str(), &record).shown())
}

/// `PUT /v1/servers/{server}/users/{user}`
pub(crate) async fn put(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (server, user) = (call.server()?, call.user()?);
    let wanted: Wanted<UserSpec> = call.wanted(&[])?;
    wanted.spec.check()?;
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(settle(|| replace(&api, &call, &server, &user, &wanted))).await
}

async fn replace(
    api: &App,
    call: &Call,
    server: &ServerName,
    user: &UserName,
    wanted: &Wanted<UserSpec>,
) -> Result<Response, Refused> {
    let key = users::key(server, user);
    let (server_record, site, current) = tokio::try_join!(server_of(api, server), site_of(api, &wanted.spec), async {
        Ok(api.table.get::<UserRecord>(&key).await?)
    },)?;

    let same = |spec: &UserSpec| is_same(spec, &wanted.spec);
    let change = change::decide(&what(server, user), current.as_ref(), same, &wanted.preconditions)?;
    if server_record.deleting {
        return Err(Problem::deleting(&what_server(server)));
    }
    check_site(server, &server_record, &wanted.spec, site.as_ref())?;
    let next = change::next_record(change, current.as_ref(), wanted.spec.clone(), call.now);
    let shown = resource(server, user.as_str(), &next);
    if wanted.dry_run {
        return Ok(shown.preview(change.into()));
    }

    change::write(&api.table, &key, change, &next).await?;
    api.wake_server(server).await;
    let location = format!("/v1/servers/{server}/users/{user}");
    Ok(if change == Change::Create { shown.created(&location) } else { shown.shown() })
}

/// The site that `spec` names, if it names one that exists.
async fn site_of(api: &App, spec: &UserSpec) -> Result<Option<SiteRecord>, Refused> {
    match &spec.site {
        Some(site) => Ok(api.table.get(&sites::key(site)).await?),
        None => Ok(None),
    }
}

/// A user's site exists and lies on the file system that the server shows.
fn check_site(
    name: &ServerName,
    server: &ServerRecord,
    spec: &UserSpec,
    site: Option<&SiteRecord>,
) -> Result<(), Refused> {
    let Some(wanted) = &spec.site else { return Ok(()) };
    let Some(site) = site.filter(|site| !site.deleting) else {
        let sentence = format!("the site \"{wanted}\" does not exist: make it first with PUT /v1/sites/{wanted}");
        return Err(Problem::field("/site", sentence));
    };
    let (theirs, ours) = (&site.intent.file_system_id, &server.intent.spec.file_system_id);
    if theirs != ours {
        let sentence = format!(
            "the site \"{wanted}\" is on {theirs}, {} shows {ours}: give a site on {ours}, or make the user on another server",
            what_server(name)
        );
        return Err(Problem::field("/site", sentence));
    }
    Ok(())
}

/// `DELETE /v1/servers/{server}/users/{user}`
pub(crate) async fn delete(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (server, user) = (call.server()?, call.user()?);
    call.query(&["dry_run"])?.flag("dry_run")?;
    call.no_body()?;
    settle(|| remove(&api, &call, &server, &user)).await
}

async fn remove(api: &App, call: &Call, server: &ServerName, user: &UserName) -> Result<Response, Refused> {
    let mut record = existing(api, server, user).await?;

    let seen = record.version;
    call.preconditions()?.check(&what(server, user), Some(seen))?;
    let was_deleting = std::mem::replace(&mut record.deleting, true);
    if !was_deleting {
        (record.version, record.updated_at) = (seen + 1, call.now);
    }
    let shown = resource(server, user.as_str(), &record);
    if call.query(&["dry_run"])?.flag("dry_run")? {
        return Ok(shown.preview(Would::Delete));
    }

    if !was_deleting {
        api.table.mark_deleting(&users::key(server, user), seen, call.now).await?;
    }
    api.wake_server(server).await;
    Ok(shown.accepted())
}

async fn server_of(api: &App, server: &ServerName) -> Result<ServerRecord, Refused> {
    let record: Option<ServerRecord> = api.table.get(&servers::key(server)).await?;
    record.ok_or_else(|| Problem::not_found(&what_server(server)))
}

async fn existing(api: &App, server: &ServerName, user: &UserName) -> Result<UserRecord, Refused> {
    let record: Option<UserRecord> = api.table.get(&users::key(server, user)).await?;
    match record {
        Some(record) => Ok(record),
        None => {
            server_of(api, server).await?;
            Err(Problem::not_found(&what(server, user)))
        }
    }
}

fn what(server: &ServerName, user: &UserName) -> String {
    format!("the user \"{user}\" of {}", what_server(server))
}

fn resource<'a>(server: &ServerName, user: &str, record: &'a UserRecord) -> Resource<&'a UserSpec, UserView> {
    Resource::new(user, record, &record.intent, UserView::of(record)).of_server(server.as_str())
}
