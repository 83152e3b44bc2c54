//! `/v1/servers/{server}/users`: who may log in, and what they see.

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use wharfinger_decisions::{
    names::{ServerName, SiteName, UserName},
    server::ServerPhase,
    user::{UserSpec, UserStatus},
};
use wharfinger_store::{
    page::Page,
    record::Seen,
    servers::{self, ServerItem, ServerRecord},
    sites::{self, SiteRecord},
    table::{Key, StoreError},
    users::{self, UserRecord},
};

use super::servers::{unknown as unknown_server, what as what_server};
use crate::{
    App,
    call::{Call, Wanted},
    change::{self, Change, is_same, settle},
    found::Found,
    problem::{Kind, Problem, Refused},
    resource::{List, Resource, Would},
    status::UserView,
};

/// The most users of a server, which is Transfer Family's quota.
/// <https://docs.aws.amazon.com/general/latest/gr/transfer-service.html>
const MOST_USERS: usize = 10_000;

/// `GET /v1/servers/{server}/users`
pub(crate) async fn list(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let server = call.known_server()?;
    let request = call.query(&["limit", "after"])?.page(false)?;
    let partition = users::partition(&server);
    let (found_server, Page { items, next }) = tokio::try_join!(server_of(&api, &server), async {
        Ok(api.table.page::<UserRecord>(&partition, &request).await?)
    })?;
    let items: Vec<(String, Found<UserRecord>)> = items.into_iter().map(|(user, read)| (user, read.into())).collect();
    let asleep = is_asleep(&found_server);
    let shown = items.iter().map(|(user, found)| resource(&server, user, found, UserView::of(found, asleep, call.now)));
    Ok(List::answer(next, shown.collect()))
}

/// `GET /v1/servers/{server}/users/{user}`
pub(crate) async fn show(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (server, user) = (call.known_server()?, call.known_user()?);
    call.query(&[])?;
    // The user is shown whatever became of the server's record: it only tells when changes take effect.
    let (found, found_server) = tokio::join!(existing(&api, &server, &user), server_of(&api, &server));
    let (found, asleep) = (found?, found_server.is_ok_and(|server| is_asleep(&server)));
    Ok(resource(&server, user.as_str(), &found, UserView::of(&found, asleep, call.now)).shown())
}

/// `PUT /v1/servers/{server}/users/{user}`
pub(crate) async fn put(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (server, user) = (call.known_server()?, call.user()?);
    let wanted: Wanted<UserSpec> = call.wanted(&[])?;
    wanted.spec.check()?;
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(settle(api.table.chance(), || replace(&api, &call, &server, &user, &wanted))).await
}

async fn replace(
    api: &App,
    call: &Call,
    server: &ServerName,
    user: &UserName,
    wanted: &Wanted<UserSpec>,
) -> Result<Response, Refused> {
    let key = users::key(server, user);
    let (found_server, site, current) = tokio::try_join!(server_of(api, server), site_of(api, &wanted.spec), async {
        Ok(Found::<UserRecord>::at(&api.table, &key).await?)
    },)?;

    let record = current.as_ref().map(|found| &found.thing);
    let readable = current.as_ref().is_some_and(|found| found.unreadable.is_none());
    let same = |spec: &UserSpec| readable && is_same(spec, &wanted.spec);
    let change = change::decide(&what(server, user), record, same, &wanted.preconditions)?;
    if found_server.thing.record.deleting {
        return Err(Problem::deleting(&what_server(server)));
    }
    if change == Change::Create {
        check_room(server, api.table.size_of(&users::partition(server)).await?)?;
    }
    let asleep = is_asleep(&found_server);
    let server_record = found_server.whole(&what_server(server))?.record;
    let narrows = |record: &UserRecord| readable && only_takes_keys_away(&record.intent, &wanted.spec);
    let site = match (site, &wanted.spec.site) {
        // A key is to be taken away whatever became of the site: nothing else of the user changes.
        (Some(found), Some(_)) if found.unreadable.is_some() && record.is_some_and(narrows) => None,
        (site, Some(name)) => {
            let site = site.map(|found| found.whole(&super::sites::what(name))).transpose()?;
            Some(check_site(server, &server_record, name, site)?)
        }
        (_, None) => None,
    };
    let next = Found::from(change::next_record(change, record, wanted.spec.clone(), call.now));
    let shown = resource(server, user.as_str(), &next, UserView::of(&next, asleep, call.now));
    if wanted.dry_run {
        return Ok(shown.preview(change.into()));
    }

    if change != Change::Keep {
        let linked = record.is_some_and(|record| readable && record.intent.site == wanted.spec.site);
        let link = wanted.spec.site.as_ref().zip(site.as_ref()).filter(|_| !linked);
        let link = link.map(|(name, site)| api.table.linking(name, site.version)).transpose()?;
        let seen = current.as_ref().map_or(Seen::Nothing, Found::seen);
        api.table.write_intent(&key, &next.thing, seen, link.into_iter().collect()).await?;
    }
    api.wake_server(server).await;
    let location = format!("/v1/servers/{server}/users/{user}");
    Ok(if change == Change::Create { shown.created(&location) } else { shown.shown() })
}

/// Refuses one more user than Transfer Family takes. Of several that come at once some may get past: AWS refuses them,
/// which their status then says.
fn check_room(server: &ServerName, users: usize) -> Result<(), Refused> {
    if users < MOST_USERS {
        return Ok(());
    }
    let sentence = format!(
        "{} has {users} users, and Transfer Family takes {MOST_USERS} a server: delete some, or give this one to another server",
        what_server(server)
    );
    Err(Problem::new(Kind::TooMany, sentence))
}

/// The site that `spec` names, if it names one that exists.
async fn site_of(api: &App, spec: &UserSpec) -> Result<Option<Found<SiteRecord>>, Refused> {
    let Some(site) = &spec.site else { return Ok(None) };
    Ok(Found::at(&api.table, &sites::key(site)).await?)
}

/// Whether `to` is `from` with fewer keys, or the same.
fn only_takes_keys_away(from: &UserSpec, to: &UserSpec) -> bool {
    let with_all = UserSpec { public_keys: from.public_keys.clone(), ..to.clone() };
    with_all == *from && to.public_keys.iter().all(|key| from.public_keys.contains(key))
}

/// Returns the user's site, which must exist and lie on the server's file system.
fn check_site(
    name: &ServerName,
    server: &ServerRecord,
    wanted: &SiteName,
    site: Option<SiteRecord>,
) -> Result<SiteRecord, Refused> {
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
    Ok(site)
}

/// `DELETE /v1/servers/{server}/users/{user}`
pub(crate) async fn delete(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let (server, user) = (call.known_server()?, call.known_user()?);
    call.query(&["dry_run"])?.flag("dry_run")?;
    call.no_body()?;
    Box::pin(settle(api.table.chance(), || remove(&api, &call, &server, &user))).await
}

async fn remove(api: &App, call: &Call, server: &ServerName, user: &UserName) -> Result<Response, Refused> {
    let found = existing(api, server, user).await?;

    call.preconditions()?.check(&what(server, user), Some(found.thing.version))?;
    let was_deleting = found.thing.deleting;
    let mut next = found.thing.clone();
    if !was_deleting {
        (next.deleting, next.version, next.updated_at) = (true, next.version + 1, call.now);
    }
    let next = Found::from(next);
    let shown = resource(server, user.as_str(), &next, UserView::of(&next, false, call.now));
    if call.query(&["dry_run"])?.flag("dry_run")? {
        return Ok(shown.preview(Would::Delete));
    }

    if !was_deleting || found.unreadable.is_some() {
        mark_deleting(api, &users::key(server, user), &found, call.now).await?;
    }
    api.wake_server(server).await;
    Ok(shown.accepted())
}

/// Marks a user as being deleted, also if its record can't be read: `reconcile` needs only the name.
pub(super) async fn mark_deleting(
    api: &App,
    key: &Key,
    found: &Found<UserRecord>,
    now: Timestamp,
) -> Result<(), StoreError> {
    match &found.unreadable {
        Some(unreadable) => {
            api.table.mark_unreadable_deleting::<UserSpec, UserStatus>(unreadable, now).await.map(|_record| ())
        }
        None => api.table.mark_deleting(key, found.thing.version, now).await,
    }
}

async fn server_of(api: &App, server: &ServerName) -> Result<Found<ServerItem>, Refused> {
    Found::at(&api.table, &servers::key(server)).await?.ok_or_else(|| unknown_server(server))
}

async fn existing(api: &App, server: &ServerName, user: &UserName) -> Result<Found<UserRecord>, Refused> {
    if let Some(found) = Found::at(&api.table, &users::key(server, user)).await? {
        return Ok(found);
    }
    server_of(api, server).await?;
    match UserName::parse(user.as_str()) {
        Ok(_) => Err(Problem::not_found(&what(server, user))),
        Err(invalid) => Err(Problem::invalid_name("user", &invalid)),
    }
}

fn what(server: &ServerName, user: &UserName) -> String {
    format!("the user \"{user}\" of {}", what_server(server))
}

fn resource<'a>(
    server: &ServerName,
    user: &str,
    found: &'a Found<UserRecord>,
    view: UserView,
) -> Resource<&'a UserSpec, UserView> {
    let spec = found.unreadable.is_none().then_some(&found.thing.intent);
    Resource::new(user, &found.thing, spec, view).of_server(server.as_str())
}

fn is_asleep(server: &Found<ServerItem>) -> bool {
    server.thing.phase() == ServerPhase::Asleep
}
