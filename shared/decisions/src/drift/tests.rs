//! What is found of a site, and what is done about it.

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
    let repairs = (0..6).fold(Vec::new(), |repairs, one| repaired(&repairs, &format!("family-{one}"), at(4_000 + one)));
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
