//! Whether a server is idle and may be closed, and why not.
//!
//! A server is idle only if every sign agrees: no datapoint of traffic (Transfer Family emits them while a session is
//! open, even if nothing is transferred), no event, no window or rollout, and online long enough to know. An unanswered
//! question counts as possible use. More signs of use never turn "keep" into "close".

mod signs;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    duration::describe,
    server::{IdlePolicy, ServerPhase},
};

pub use signs::{Answer, Signs, SiteSign, Traffic};

/// Datapoints come when their period is over, and late: so many periods without one say that nobody was there.
const SILENT_PERIODS: i32 = 3;

/// What is done with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It stays as it is.
    Keep,
    /// It is closed as its idle policy says: stopped, or put to sleep. Records call it `stop`.
    #[serde(rename = "stop")]
    Close,
}

/// A decision, as the sweep makes it, the table keeps it and the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is done.
    pub action: Action,
    /// Why, in a sentence for people.
    pub reason: String,
    /// When it was made.
    pub at: Timestamp,
    /// When it may be closed if nobody comes, as far as can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub possible_at: Option<Timestamp>,
}

impl Decision {
    /// Keeps a server as it is, for this reason.
    #[must_use]
    pub fn keep(reason: impl Into<String>, at: Timestamp) -> Self {
        Self { action: Action::Keep, reason: reason.into(), at, possible_at: None }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            Action::Keep => "keep",
            Action::Close => "close",
        };
        write!(formatter, "{action}: {}", self.reason)
    }
}

/// How long a server must have been unused: what the policy says, but at least as long as metrics need to show it.
/// `period` is the one at which metrics are emitted.
#[must_use]
pub fn window(policy: &IdlePolicy, period: SignedDuration) -> SignedDuration {
    policy.after.get().max(period * SILENT_PERIODS)
}

/// Decides from the `signs` at `now`. Without a `policy` a server is never closed for being idle.
#[must_use]
pub fn decide(policy: Option<&IdlePolicy>, period: SignedDuration, signs: &Signs, now: Timestamp) -> Decision {
    let verdict = match policy {
        None => Err("it has no idle policy".to_owned()),
        Some(policy) => quiet_for(window(policy, period), policy, signs, now),
    };
    let possible_at = policy.and_then(|policy| possible_at(window(policy, period), signs));
    match verdict {
        Err(reason) => Decision { possible_at, ..Decision::keep(reason, now) },
        Ok(quiet) => {
            let reason = format!("nobody was here for {}", ago(quiet));
            Decision { action: Action::Close, reason, at: now, possible_at: None }
        }
    }
}

/// The end of the window that began with the last sign of use.
fn possible_at(window: SignedDuration, signs: &Signs) -> Option<Timestamp> {
    let online_since = signs.online_since.filter(|_| signs.phase == ServerPhase::Online)?;
    let last = last_sign(signs, online_since)?;
    Some(last.saturating_add(window).unwrap_or(Timestamp::MAX))
}

/// The last sign of use, or `None` if it is not known.
fn last_sign(signs: &Signs, online_since: Timestamp) -> Option<Timestamp> {
    let (traffic, last_event) = (signs.traffic.known("").ok()?, signs.last_event.known("").ok()?);
    let changes = signs.sites.known("").ok()?.iter().filter_map(|site| site.last_change);
    [Some(online_since), traffic.last_session, *last_event, signs.asked_at].into_iter().flatten().chain(changes).max()
}

/// How long the server has been unused, or why it is kept.
fn quiet_for(
    window: SignedDuration,
    policy: &IdlePolicy,
    signs: &Signs,
    now: Timestamp,
) -> Result<SignedDuration, String> {
    if signs.phase != ServerPhase::Online {
        return Err("it is not online".into());
    }
    let online_since = signs.online_since.ok_or("it is not known since when it is online")?;
    let traffic = signs.traffic.known("its traffic is")?;
    let last_event = signs.last_event.known("its events are")?;
    let sites = signs.sites.known("its sites are")?;
    busy_site(sites)?;
    let since = |at: Timestamp| now.duration_since(at).max(SignedDuration::ZERO);
    let recent = |at: Option<Timestamp>| at.map(since).filter(|passed| *passed < window);

    if let Some(passed) = recent(traffic.last_session) {
        return Err(match traffic.bytes {
            0 => format!("a session was open {} ago", ago(passed)),
            bytes => format!(
                "{} moved in the last {}, in a session that was open {} ago",
                size(bytes),
                ago(window),
                ago(passed)
            ),
        });
    }
    if let Some(passed) = recent(*last_event) {
        return Err(format!("its files were used {} ago", ago(passed)));
    }
    for site in sites {
        if let Some(passed) = recent(site.last_change) {
            return Err(format!("site {} was changed {} ago", site.site, ago(passed)));
        }
    }
    if let Some(passed) = recent(Some(online_since)) {
        let needed = if window > policy.after.get() { "three metric periods are" } else { "idle.after is" };
        return Err(format!("online for only {}, {needed} {}", ago(passed), ago(window)));
    }
    if let Some(passed) = recent(signs.asked_at) {
        return Err(format!("a person asked for it {} ago", ago(passed)));
    }
    Ok(since(last_sign(signs, online_since).unwrap_or(online_since)))
}

fn busy_site(sites: &[SiteSign]) -> Result<(), String> {
    for site in sites {
        if site.window_open {
            return Err(format!("site {} has uploads waiting for their rollout", site.site));
        }
        if site.rollout_in_flight {
            return Err(format!("site {} is being rolled out", site.site));
        }
    }
    Ok(())
}

/// Minutes are enough once there are some.
fn ago(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let rounded = if seconds < 600 { seconds } else { seconds - seconds % 60 };
    describe(SignedDuration::from_secs(rounded))
}

/// Bytes for people, in powers of 1000.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests;
