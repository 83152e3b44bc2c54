//! What is known of a thing, as the API shows it. Nothing here is secret: keys appear by their fingerprints.

use jiff::Timestamp;
use serde::Serialize;
use wharfinger_decisions::{
    condition::Condition,
    idle::Decision,
    key::PublicKey,
    rollout::Rollout,
    server::{Endpoint, ServerPhase, WantedPower},
    user::UserPhase,
    window::View,
};
use wharfinger_store::{servers::ServerItem, users::UserRecord};

use crate::found::Found;

/// The `reason` until `reconcile` has first looked.
const ACCEPTED: &str = "it was accepted; work on it is about to begin";
/// The `reason` between a DELETE and the end of the resource.
const DELETING: &str = "it is being deleted";

/// The `reason` while a record can't be read.
const UNREADABLE: &str = "its record can't be read, so it is left as it is: see the conditions";

/// `status` of a server.
#[derive(Debug, Serialize)]
pub(crate) struct ServerView {
    power: ServerPhase,
    reason: String,
    /// Everything is as wanted.
    settled: bool,
    /// `null` where the record can't be read.
    wanted: Option<WantedPower>,
    endpoint: Option<Endpoint>,
    host_key_fingerprints: Vec<String>,
    server_id: Option<String>,
    online_since: Option<Timestamp>,
    idle: Option<Decision>,
    observed_at: Option<Timestamp>,
    conditions: Vec<Condition>,
}

impl ServerView {
    pub(crate) fn of(found: &Found<ServerItem>, now: Timestamp) -> Self {
        let (record, status) = (&found.thing.record, found.thing.record.status.clone());
        let readable = found.unreadable.is_none();
        Self {
            conditions: found.conditions(&status.conditions, now),
            power: if record.deleting { ServerPhase::Deleting } else { status.power },
            reason: reason(record.deleting, readable, status.reason),
            settled: readable && !record.deleting && status.settled_version == record.version,
            wanted: readable.then(|| record.intent.power.clone()),
            endpoint: status.endpoint,
            host_key_fingerprints: status.host_key_fingerprints,
            server_id: status.server_id,
            online_since: status.online_since,
            idle: found.thing.decision.clone(),
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
    conditions: Vec<Condition>,
}

impl UserView {
    pub(crate) fn of(found: &Found<UserRecord>, now: Timestamp) -> Self {
        let (record, status) = (&found.thing, found.thing.status.clone());
        Self {
            conditions: found.conditions(&status.conditions, now),
            state: if record.deleting { UserPhase::Deleting } else { status.state },
            reason: reason(record.deleting, found.unreadable.is_none(), status.reason),
            settled: found.unreadable.is_none() && !record.deleting && status.settled_version == record.version,
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
    pub(crate) conditions: Vec<Condition>,
}

fn reason(deleting: bool, readable: bool, known: String) -> String {
    match (deleting, known.is_empty()) {
        (true, true) => DELETING.to_owned(),
        (true, false) => format!("{DELETING}; before: {known}"),
        (false, _) if !readable => UNREADABLE.to_owned(),
        (false, true) => ACCEPTED.to_owned(),
        (false, false) => known,
    }
}
