//! What is wanted of a site compared with what its service runs, when no upload asks for a rollout: the site may have
//! been changed, others may have deployed a task definition without its mounts, and what an earlier rollout failed of may
//! be mended. A site that was never rolled out waits for its first upload, as its directory need not exist yet.

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{rollout::Revisions, verdict::Deployment};

    fn latest(state: State, version: Option<u64>) -> Rollout {
        serde_json::from_value(json!({"id": "1", "site": "blog", "state": state, "reason": "so it was",
            "cause": {"reason": "", "changes": 0, "files": [], "users": [], "bytes": 0, "first_change": null,
                "last_change": null, "from_seq": 1, "to_seq": 1},
            "task_definition": {"before": "web:1", "after": "web:2"}, "started_at": at(0), "spec_version": version}))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn service(revision: &str) -> Service {
        Service { status: "ACTIVE".into(), task_definition: Some(revision.into()), ..Service::default() }
    }

    fn places() -> Vec<Mount> {
        serde_json::from_value(json!([{"container": "web", "path": "/srv"}])).unwrap()
    }

    /// What is found of a site at version 3 whose service runs `revision`, with or without its mount.
    fn find(policy: Drift, latest: &Rollout, revision: &str, missing: &[Mount], repairs: &[Repair]) -> Finding {
        let service = service(revision);
        let running = Running { service: &service, missing, refusal: None, by: "ci", endless: false };
        compare((3, policy), latest, running, repairs, at(5_000))
    }

    fn trigger(finding: &Finding) -> Option<Trigger> {
        match finding {
            Finding::Due { trigger, .. } => Some(*trigger),
            _ => None,
        }
    }

    #[test]
    fn a_mount_that_is_there_needs_nothing() {
        for state in [State::Succeeded, State::Failed, State::RolledBack, State::Superseded] {
            assert_eq!(find(Drift::Repair, &latest(state, Some(2)), "web:9", &[], &[]), Finding::AsWanted, "{state:?}");
        }
    }

    #[test]
    fn a_changed_site_is_rolled_out_whatever_is_done_about_drift() {
        for policy in [Drift::Repair, Drift::Report] {
            let found = find(policy, &latest(State::Succeeded, Some(2)), "web:2", &places(), &[]);
            assert_eq!(trigger(&found), Some(Trigger::Spec));
        }
        let failed = find(Drift::Repair, &latest(State::RolledBack, Some(3)), "web:1", &places(), &[]);
        assert!(matches!(failed, Finding::Told(_)), "once for each change: {failed:?}");
    }

    #[test]
    fn what_others_take_away_is_repaired_or_told() {
        let succeeded = latest(State::Succeeded, Some(3));
        let repaired = find(Drift::Repair, &succeeded, "web:9", &places(), &[]);
        assert_eq!(trigger(&repaired), Some(Trigger::Drift));
        let Finding::Told(told) = find(Drift::Report, &succeeded, "web:9", &places(), &[]) else { panic!() };
        assert_eq!(
            (told.code.as_ref(), told.message.contains("web:9 runs without the site at /srv of web")),
            (NOT_MOUNTED, true)
        );
        let of_before = latest(State::Succeeded, None);
        assert_eq!(trigger(&find(Drift::Repair, &of_before, "web:9", &places(), &[])), Some(Trigger::Drift));
    }

    #[test]
    fn after_three_repairs_within_an_hour_there_is_peace() {
        let succeeded = latest(State::Succeeded, Some(3));
        let war = |against: &str, first: i64| {
            (0..3).fold(Vec::new(), |repairs, one| repaired(&repairs, against, at(first + one * 60)))
        };
        let found = find(Drift::Repair, &succeeded, "web:9", &places(), &war("ci", 4_000));
        assert!(matches!(&found, Finding::Told(told) if told.code == REPEATED_DRIFT), "{found:?}");
        for repairs in [war("another", 4_000), war("ci", 1_300)] {
            let found = find(Drift::Repair, &succeeded, "web:9", &places(), &repairs);
            assert_eq!(trigger(&found), Some(Trigger::Drift), "{repairs:?}");
        }
        assert_eq!(repaired(&war("ci", 0), "ci", at(4_000)).len(), 1, "the old ones are forgotten");
    }

    #[test]
    fn a_role_is_the_same_other_in_each_of_its_sessions() {
        let session = |build: i64| format!("arn:aws:sts::123456789012:assumed-role/deploy/build-{build}");
        assert_eq!(principal(&session(1)), "arn:aws:sts::123456789012:assumed-role/deploy");
        for whole in ["arn:aws:iam::123456789012:user/ci/main", "arn:aws:iam::123456789012:root", "web", ""] {
            assert_eq!(principal(whole), whole);
        }
        let repairs = (0..3).fold(Vec::new(), |repairs, one| repaired(&repairs, &session(one), at(4_000 + one)));
        let found = find(Drift::Repair, &latest(State::Succeeded, Some(3)), "web:9", &places(), &repairs);
        assert_eq!(trigger(&found), Some(Trigger::Drift), "ci has made no war");
        let (service, missing) = (service("web:9"), places());
        let running = Running { service: &service, missing: &missing, refusal: None, by: &session(9), endless: false };
        let found = compare((3, Drift::Repair), &latest(State::Succeeded, Some(3)), running, &repairs, at(5_000));
        assert!(matches!(&found, Finding::Told(told) if told.code == REPEATED_DRIFT), "{found:?}");
    }

    #[test]
    fn after_six_repairs_within_an_hour_there_is_peace_whoever_they_are_against() {
        let repairs =
            (0..6).fold(Vec::new(), |repairs, one| repaired(&repairs, &format!("family-{one}"), at(4_000 + one)));
        let succeeded = latest(State::Succeeded, Some(3));
        let found = find(Drift::Repair, &succeeded, "web:9", &places(), &repairs);
        assert!(matches!(&found, Finding::Told(told) if told.code == REPEATED_DRIFT), "{found:?}");
        let found = find(Drift::Repair, &succeeded, "web:9", &places(), &repairs[1..]);
        assert_eq!(trigger(&found), Some(Trigger::Drift));
    }

    #[test]
    fn what_was_just_cancelled_or_went_further_back_is_told_and_not_rolled_out_again() {
        let over = |state, broken_off_by: Option<&str>| Rollout {
            task_definition: Revisions { before: Some("web:7".into()), after: Some("web:8".into()) },
            finished_at: Some(at(1_000)),
            broken_off_by: broken_off_by.map(ToOwned::to_owned),
            ..latest(state, Some(3))
        };
        let begun = |at: Timestamp, reason: &str| Deployment {
            status: "PRIMARY".into(),
            task_definition: "web:5".into(),
            rollout_state: Some("COMPLETED".into()),
            rollout_reason: Some(reason.into()),
            created_at: Some(at),
            ..Deployment::default()
        };
        let of = |latest: &Rollout, revision: &str, primary: Deployment| {
            let service = Service { deployments: vec![primary], ..service(revision) };
            let missing = places();
            let running = Running { service: &service, missing: &missing, refusal: None, by: "ci", endless: false };
            compare((3, Drift::Repair), latest, running, &[], at(5_000))
        };
        for latest in [over(State::RolledBack, None), over(State::RolledBack, Some("me"))] {
            let found = of(&latest, "web:5", begun(at(1_005), "done"));
            assert!(matches!(&found, Finding::Told(told) if told.code == NOT_MOUNTED), "{found:?}");
            let found = of(&latest, "web:5", begun(at(1_500), "rolling back"));
            assert!(matches!(&found, Finding::Told(_)), "{found:?}");
            assert_eq!(trigger(&of(&latest, "web:5", begun(at(1_500), "done"))), Some(Trigger::Drift));
            assert_eq!(trigger(&of(&latest, "web:9", begun(at(1_005), "done"))), Some(Trigger::Drift));
        }
        let found = of(&over(State::Superseded, None), "web:5", begun(at(1_005), "done"));
        assert_eq!(trigger(&found), Some(Trigger::Drift));
    }

    #[test]
    fn a_failure_is_repeated_when_its_cause_is_mended_and_not_before() {
        for (failure, again) in [
            (Failure::Service, true),
            (Failure::Definition, true),
            (Failure::Tasks, false),
            (Failure::Refused, false),
            (Failure::NoEnd, false),
        ] {
            let failed = Rollout { failure: Some(failure), ..latest(State::Failed, Some(3)) };
            for missing in [&places()[..], &[]] {
                let found = find(Drift::Repair, &failed, "web:1", missing, &[]);
                assert_eq!(trigger(&found) == Some(Trigger::Mended), again, "{failure:?} {found:?}");
            }
        }
        let failed = Rollout { failure: Some(Failure::Definition), ..latest(State::Failed, Some(3)) };
        let (service, missing) = (service("web:1"), places());
        let running =
            Running { service: &service, missing: &missing, refusal: Some("no container"), by: "ci", endless: false };
        let found = compare((3, Drift::Repair), &failed, running, &[], at(5_000));
        assert!(matches!(found, Finding::Told(_)), "it would fail again: {found:?}");
    }

    #[test]
    fn a_deployment_that_goes_on_is_waited_for() {
        let under_way = Deployment {
            status: "PRIMARY".into(),
            task_definition: "web:9".into(),
            rollout_state: Some("IN_PROGRESS".into()),
            ..Deployment::default()
        };
        let service = Service { deployments: vec![under_way], ..service("web:9") };
        let missing = places();
        let running = Running { service: &service, missing: &missing, refusal: None, by: "ci", endless: false };
        let found = compare((3, Drift::Repair), &latest(State::Succeeded, Some(3)), running, &[], at(5_000));
        assert_eq!(found, Finding::Unsettled);
        let found = compare(
            (3, Drift::Repair),
            &latest(State::Succeeded, Some(3)),
            Running { endless: true, ..running },
            &[],
            at(5_000),
        );
        assert_eq!(trigger(&found), Some(Trigger::Drift), "but not for ever");
    }
}
