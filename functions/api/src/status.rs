//! What is known of a thing, as the API shows it. Nothing here is secret: keys appear by their fingerprints.

use jiff::Timestamp;
use serde::Serialize;
use wharfinger_decisions::{
    idle::Decision,
    key::PublicKey,
    rollout::Rollout,
    server::{Endpoint, ServerPhase, WantedPower},
    user::UserPhase,
    window::View,
};
use wharfinger_store::{servers::ServerItem, users::UserRecord};

/// What stands in `reason` until `reconcile` has had its first look.
const ACCEPTED: &str = "it was accepted; work on it is about to begin";
/// What stands in `reason` from a DELETE until the thing is gone.
const DELETING: &str = "it is being deleted";

/// `status` of a server.
#[derive(Debug, Serialize)]
pub(crate) struct ServerView {
    power: ServerPhase,
    reason: String,
    /// All that is wanted has been brought about.
    settled: bool,
    wanted: WantedPower,
    endpoint: Option<Endpoint>,
    host_key_fingerprints: Vec<String>,
    server_id: Option<String>,
    online_since: Option<Timestamp>,
    idle: Option<Decision>,
    observed_at: Option<Timestamp>,
}

impl ServerView {
    pub(crate) fn of(item: &ServerItem) -> Self {
        let (record, status) = (&item.record, item.record.status.clone());
        Self {
            power: if record.deleting { ServerPhase::Deleting } else { status.power },
            reason: reason(record.deleting, status.reason),
            settled: !record.deleting && status.settled_version == record.version,
            wanted: record.intent.power.clone(),
            endpoint: status.endpoint,
            host_key_fingerprints: status.host_key_fingerprints,
            server_id: status.server_id,
            online_since: status.online_since,
            idle: item.decision.clone(),
            observed_at: status.observed_at,
        }
    }
}

/// `status` of a user.
#[derive(Debug, Serialize)]
pub(crate) struct UserView {
    state: UserPhase,
    reason: String,
    /// AWS has the user as wanted.
    settled: bool,
    key_fingerprints: Vec<String>,
    observed_at: Option<Timestamp>,
}

impl UserView {
    pub(crate) fn of(record: &UserRecord) -> Self {
        let status = record.status.clone();
        Self {
            state: if record.deleting { UserPhase::Deleting } else { status.state },
            reason: reason(record.deleting, status.reason),
            settled: !record.deleting && status.settled_version == record.version,
            key_fingerprints: record.intent.public_keys.iter().map(PublicKey::fingerprint).collect(),
            observed_at: status.observed_at,
        }
    }
}

/// `status` of a site.
#[derive(Debug, Serialize)]
pub(crate) struct SiteView {
    /// The changes since the last rollout.
    pub(crate) window: View,
    /// The latest rollout.
    pub(crate) rollout: Option<Rollout>,
}

fn reason(deleting: bool, known: String) -> String {
    match (deleting, known.is_empty()) {
        (true, true) => DELETING.to_owned(),
        (true, false) => format!("{DELETING}; before: {known}"),
        (false, true) => ACCEPTED.to_owned(),
        (false, false) => known,
    }
}
