//! What is known of a thing, as the API shows it. Nothing here is secret: keys appear by their fingerprints.

use jiff::Timestamp;
use serde::Serialize;
use wharfinger_decisions::{
    condition::Condition,
    gate::SiteHold,
    idle::{Action, Decision},
    key::PublicKey,
    rollout::Rollout,
    server::{Endpoint, IdleAction, IdlePolicy, ServerPhase},
    user::UserPhase,
    window::View,
    wish::{Next, Wish},
};
use wharfinger_store::{servers::ServerItem, users::UserRecord};

use crate::found::Found;

/// The `reason` until `reconcile` has first looked.
const ACCEPTED: &str = "it was accepted; work on it is about to begin";
/// The `reason` of a user that the server does not have as wanted yet, because it sleeps.
const WHEN_IT_WAKES: &str = "it was accepted, and is in effect when the server wakes";
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
    wanted: Option<Wish>,
    /// What happens next without anybody's doing.
    next: Option<Next>,
    /// While it drains: who was logged in when it was last looked at.
    users_logged_in: Vec<String>,
    endpoint: Option<Endpoint>,
    host_key_fingerprints: Vec<String>,
    server_id: Option<String>,
    online_since: Option<Timestamp>,
    idle: Option<IdleView>,
    observed_at: Option<Timestamp>,
    conditions: Vec<Condition>,
}

impl ServerView {
    pub(crate) fn of(found: &Found<ServerItem>, now: Timestamp) -> Self {
        let (record, status) = (&found.thing.record, found.thing.record.status.clone());
        let readable = found.unreadable.is_none();
        let wanted = readable.then(|| found.thing.wish(now));
        let kept = wanted.clone().filter(|wish| wish.until.is_some());
        Self {
            conditions: found.conditions(&status.conditions, now),
            power: if record.deleting { ServerPhase::Deleting } else { found.thing.phase() },
            reason: reason(record.deleting, readable, status.reason),
            settled: readable && found.thing.is_settled(now),
            next: wanted.as_ref().filter(|_| !record.deleting).and_then(|wish| found.thing.next(wish)),
            wanted,
            users_logged_in: status.draining.map(|draining| draining.users).unwrap_or_default(),
            endpoint: status.endpoint.filter(|_| may_answer(&found.thing)),
            host_key_fingerprints: status.host_key_fingerprints,
            server_id: status.server_id,
            online_since: status.online_since,
            idle: found.thing.decision().map(|decision| IdleView::of(decision, record.intent.spec.idle, kept.as_ref())),
            observed_at: status.observed_at,
        }
    }
}

/// Whether `server` may answer at its endpoint. One that sleeps, or is being rebuilt, does not; one that was to sleep and
/// could not is there as before.
fn may_answer(server: &ServerItem) -> bool {
    let is_there = matches!(server.phase(), ServerPhase::Online | ServerPhase::Draining | ServerPhase::Stopped);
    server.asleep.is_none() || is_there
}

/// What the idle sweep decided.
#[derive(Debug, Serialize)]
struct IdleView {
    /// `keep`, or what the policy says of an idle server: `stop` or `sleep`.
    action: &'static str,
    reason: String,
    at: Timestamp,
}

impl IdleView {
    /// `kept` is the wish for a server that an order keeps for a while.
    fn of(decision: Decision, policy: Option<IdlePolicy>, kept: Option<&Wish>) -> Self {
        let counts_at = decision.possible_at.filter(|_| decision.action == Action::Close);
        if let (Some(until), Some(wish)) = (counts_at, kept) {
            let reason = format!("{}, but it is kept until {until:.0}: {}", decision.reason, wish.reason);
            return Self { action: "keep", reason, at: decision.at };
        }
        let action = match (decision.action, policy.map(|policy| policy.action)) {
            (Action::Keep, _) => "keep",
            (Action::Close, Some(IdleAction::Sleep)) => "sleep",
            (Action::Close, _) => "stop",
        };
        Self { action, reason: decision.reason, at: decision.at }
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
    /// What is known of the user, whose server may be asleep.
    pub(crate) fn of(found: &Found<UserRecord>, asleep: bool, now: Timestamp) -> Self {
        let (record, status) = (&found.thing, found.thing.status.clone());
        let (readable, settled) = (found.unreadable.is_none(), status.settled_version == record.version);
        let waits = asleep && readable && !record.deleting && !settled;
        Self {
            conditions: found.conditions(&status.conditions, now),
            state: if record.deleting { UserPhase::Deleting } else { status.state },
            reason: if waits { WHEN_IT_WAKES.into() } else { reason(record.deleting, readable, status.reason) },
            settled: readable && !record.deleting && settled,
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
    /// A person's word that it is not rolled out for a while.
    pub(crate) hold: Option<SiteHold>,
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
