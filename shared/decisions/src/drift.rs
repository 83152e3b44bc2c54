//! What is wanted of a site compared with what its service runs, when no upload asks for a rollout: the site may have
//! been changed, others may have deployed a task definition without its mounts, and what an earlier rollout failed of may
//! be mended. A site that was never rolled out waits for its first upload, as its directory need not exist yet.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    condition::{Condition, Severity},
    rollout::{Failure, Revisions, Rollout, State, Trigger},
    site::{Drift, Mount},
    verdict::{ROLLBACK_GRACE, Service},
    wakeup::TRUSTED_FOR,
};

/// The mounts of a site are not what its service runs.
pub const NOT_MOUNTED: &str = "not_mounted";
/// The mounts of a site are taken away again and again.
pub const REPEATED_DRIFT: &str = "repeated_drift";

/// How many repairs against the same other are made within [`WITHIN`].
pub const MOST_REPAIRS: usize = 3;
/// How many repairs are made within [`WITHIN`], whoever they are against.
pub const MOST_OF_ALL: usize = 6;
/// The time in which repairs are counted.
pub const WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// A rollout that repaired what somebody else's deployment took away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// When it was started.
    pub at: Timestamp,
    /// Who had deployed: the principal that registered the revision, or its family.
    pub against: String,
}

/// The latest comparison of a site with what its service runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// When it was made.
    pub at: Timestamp,
    /// The version of the site.
    pub spec_version: u64,
    /// The revision that ran.
    #[serde(default)]
    pub task_definition: Option<String>,
    /// What is not as wanted, and is left so.
    #[serde(default)]
    pub condition: Option<Condition>,
    /// The latest repairs, as far as they are counted.
    #[serde(default)]
    pub repairs: Vec<Repair>,
}

impl Comparison {
    /// Whether it tells nothing of the site at version `version`, or of the present any more.
    #[must_use]
    pub fn is_stale(&self, version: u64, now: Timestamp) -> bool {
        self.spec_version != version || now.duration_since(self.at) >= TRUSTED_FOR
    }

    /// Whether it found the revision `task_definition` to be as the site at version `version` wants it.
    #[must_use]
    pub fn approved(&self, version: u64, task_definition: Option<&str>) -> bool {
        let same = self.task_definition.is_some() && self.task_definition.as_deref() == task_definition;
        same && self.spec_version == version && self.condition.is_none()
    }
}

/// What a service runs, as far as a site is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// The service.
    pub service: &'a Service,
    /// The site's places where its directory is not mounted.
    pub missing: &'a [Mount],
    /// Why no revision can be made for the site.
    pub refusal: Option<&'a str>,
    /// Who registered what runs.
    pub by: &'a str,
    /// The deployment of others that goes on has gone on for longer than the site waits for one.
    pub endless: bool,
}

/// What comes of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as wanted.
    AsWanted,
    /// ECS is at work on a deployment: its end tells.
    Unsettled,
    /// It is not as wanted, and nothing is done about it.
    Told(Condition),
    /// A rollout is due.
    Due {
        /// What for.
        trigger: Trigger,
        /// Why, in a sentence.
        reason: String,
    },
}

/// Compares a site, whose spec is at `version`, with what its service is `running`. `latest` is its latest rollout,
/// which is over; `repairs` are those of before.
#[must_use]
pub fn compare(
    (version, policy): (u64, Drift),
    latest: &Rollout,
    running: Running<'_>,
    repairs: &[Repair],
    now: Timestamp,
) -> Finding {
    if running.service.obstacle().is_some() {
        return Finding::AsWanted;
    }
    if running.service.deployment_of_others(&[]).is_some() && !running.endless {
        return Finding::Unsettled;
    }
    let mended = latest.state == State::Failed
        && matches!(latest.failure, Some(Failure::Service | Failure::Definition))
        && running.refusal.is_none();
    if mended {
        let reason = format!("what the rollout before failed of is mended ({})", latest.reason);
        return Finding::Due { trigger: Trigger::Mended, reason };
    }
    if running.missing.is_empty() {
        return Finding::AsWanted;
    }
    let lack = lack(running);
    if let Some(refusal) = running.refusal {
        return Finding::Told(condition(NOT_MOUNTED, format!("{lack}: {refusal}"), "", now));
    }
    if latest.spec_version.is_some_and(|made_from| made_from < version) {
        return Finding::Due { trigger: Trigger::Spec, reason: format!("the site was changed, and {lack}") };
    }
    if went_back(latest, running.service) {
        let message = format!("{lack}, since the rollout before did not succeed: {}", latest.reason);
        return Finding::Told(condition(NOT_MOUNTED, message, "mend that, and roll the site out again", now));
    }
    drifted(policy, lack, running.by, repairs, now)
}

/// Whether `service` runs what it ran before `latest`, or went further back, and nobody has deployed it since.
fn went_back(latest: &Rollout, service: &Service) -> bool {
    let Revisions { before, after } = &latest.task_definition;
    let present = service.task_definition.as_deref();
    let to_before = before.is_none() || before.as_deref() == present;
    let is_earlier = present.zip(after.as_deref()).and_then(|(present, ours)| is_earlier(present, ours));
    let is_undone = latest.state == State::RolledBack || latest.broken_off_by.is_some();
    let further = is_undone && is_earlier.unwrap_or_default() && !is_deployed_since(latest, service);
    latest.state != State::Succeeded && (to_before || further)
}

/// Whether a deployment was begun after `latest` was over that ECS did not make to go back.
fn is_deployed_since(latest: &Rollout, service: &Service) -> bool {
    let since = service.primary().filter(|primary| !primary.goes_back()).and_then(|primary| primary.created_at);
    since.zip(latest.finished_at).is_some_and(|(since, over)| since.duration_since(over) > ROLLBACK_GRACE)
}

/// Whether `present` is an earlier revision of the same family; `None` if it is of another one.
fn is_earlier(present: &str, ours: &str) -> Option<bool> {
    let ((family, number), (own_family, own_number)) = (present.rsplit_once(':')?, ours.rsplit_once(':')?);
    let numbers = number.parse::<u64>().ok().zip(own_number.parse::<u64>().ok()).filter(|_| family == own_family);
    numbers.map(|(number, own)| number < own)
}

fn drifted(policy: Drift, lack: String, by: &str, repairs: &[Repair], now: Timestamp) -> Finding {
    const REMEDY: &str =
        "deploy a task definition that keeps the mounts, or one that is made from what the service runs";
    if policy == Drift::Report {
        return Finding::Told(condition(NOT_MOUNTED, format!("{lack}; the site says only to report it"), REMEDY, now));
    }
    let of_all = repairs.iter().filter(|repair| now.duration_since(repair.at) < WITHIN);
    let against = of_all.clone().filter(|repair| principal(&repair.against) == principal(by)).count();
    if against >= MOST_REPAIRS || of_all.count() >= MOST_OF_ALL {
        let whom =
            if against >= MOST_REPAIRS { format!("{against} times against {by}") } else { "again and again".into() };
        let message = format!("{lack}; it was mended {whom} within an hour, and is left alone for now");
        return Finding::Told(condition(REPEATED_DRIFT, message, REMEDY, now));
    }
    Finding::Due { trigger: Trigger::Drift, reason: format!("{lack}: {by} deployed a task definition without it") }
}

/// The repairs after another one against `by`. Those that are no longer counted are forgotten.
#[must_use]
pub fn repaired(repairs: &[Repair], by: &str, now: Timestamp) -> Vec<Repair> {
    let counted = repairs.iter().filter(|repair| now.duration_since(repair.at) < WITHIN).cloned();
    counted.chain([Repair { at: now, against: by.to_owned() }]).collect()
}

/// Who `registered_by` is, whatever session of a role it was: each build has a session of its own.
#[must_use]
pub fn principal(registered_by: &str) -> &str {
    let role = registered_by.split_once(":assumed-role/").and_then(|(_, role)| role.split_once('/'));
    role.map_or(registered_by, |(_, session)| &registered_by[..registered_by.len() - session.len() - 1])
}

fn lack(running: Running<'_>) -> String {
    let places: Vec<String> =
        running.missing.iter().map(|place| format!("{} of {}", place.path, place.container)).collect();
    let revision = running.service.task_definition.as_deref().and_then(|arn| arn.rsplit('/').next());
    format!("{} runs without the site at {}", revision.unwrap_or("the service"), places.join(", "))
}

/// What is told while the rollout that is due for `reason` waits for something else.
#[must_use]
pub fn waiting(reason: &str, now: Timestamp) -> Condition {
    let message = format!("{reason}; it is mended by the rollout that waits");
    condition(NOT_MOUNTED, message, "let that rollout go on", now)
}

fn condition(code: &'static str, message: String, remedy: &str, since: Timestamp) -> Condition {
    Condition { code: code.into(), severity: Severity::Error, message, remedy: remedy.to_owned(), since }
}
