//! Uploads that are under way, by the structured log of sessions: no event tells that one has begun.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::{server::ServerPhase, site::SiteSpec};
use wharfinger_store::servers::{self, ServerItem};

use crate::App;

/// How far back the log is read at least. An upload that began earlier is not seen.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(2);

/// How long until the log is looked at again. Lines come some seconds late.
pub(crate) const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_secs(15);

/// What somebody is uploading to the site `spec`, in a sentence. Where the log can't be read, or servers write none,
/// nobody is.
pub(crate) async fn under_way(app: &App, spec: &SiteSpec, now: Timestamp) -> Option<String> {
    let listed = match app.table.all_may_lag::<ServerItem>(servers::PARTITION).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "the servers can't be listed: uploads that are under way are not waited for");
            return None;
        }
    };
    let servers = listed.iter().filter_map(|(_, read)| server_on(spec, read.as_ref().ok()?));
    let longest = spec.finish.max_wait.get().saturating_add(spec.finish.hold_partial_for.get());
    let since = now.saturating_sub(longest.max(LOOK_BACK)).unwrap_or(Timestamp::UNIX_EPOCH);
    let logs = join_all(servers.map(|id| app.logs.sessions(&app.log_group, id, since))).await;
    logs.into_iter().find_map(|read| match read {
        Ok(presence) => {
            let upload = presence.uploads_to(spec).next()?;
            let who = upload.user.as_deref().unwrap_or("somebody");
            Some(format!("{who} has been uploading {} since {:.0}", upload.path, upload.since))
        }
        Err(error) => {
            tracing::warn!(%error, "the log of sessions can't be read: uploads that are under way are not waited for");
            None
        }
    })
}

/// The id of a server on which somebody may upload to the site.
fn server_on<'a>(spec: &SiteSpec, item: &'a ServerItem) -> Option<&'a str> {
    let may_upload = matches!(item.phase(), ServerPhase::Online | ServerPhase::Draining);
    let is_there = item.record.intent.spec.file_system_id == spec.file_system_id;
    item.record.status.server_id.as_deref().filter(|_| may_upload && is_there)
}
