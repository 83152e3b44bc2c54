//! Verdicts on every state that ECS shows.

use proptest::prelude::*;

use super::*;
use crate::{names::SiteName, rollout::Revisions, window::Window};

const OURS: &str = "ecs-svc/1";

fn rollout() -> Rollout {
    Rollout {
        id: "id".into(),
        site: SiteName::parse("blog").unwrap(),
        state: State::Deploying,
        reason: String::new(),
        cause: Window::default().cause(String::new()),
        task_definition: Revisions { before: Some("web:1".into()), after: Some("web:2".into()) },
        deployment_id: Some(OURS.into()),
        started_at: Timestamp::UNIX_EPOCH,
        finished_at: None,
        failure: None,
        spec_version: None,
        undoes: None,
        broken_off_by: None,
        changes: Vec::new(),
    }
}

fn since(second: i64) -> Patience {
    Patience { since: Timestamp::from_second(second).unwrap(), lasts: crate::site::VERDICT_AFTER }
}

fn deployment(id: &str, status: &str, revision: &str, state: &str) -> Deployment {
    Deployment {
        id: id.into(),
        status: status.into(),
        task_definition: revision.into(),
        rollout_state: (!state.is_empty()).then(|| state.into()),
        ..Deployment::default()
    }
}

fn judge(deployments: Vec<Deployment>, seconds: i64) -> State {
    let service = Service { status: "ACTIVE".into(), deployments, ..Service::default() };
    decide(&rollout(), since(0), Some(&service), Timestamp::from_second(seconds).unwrap()).state
}

#[test]
fn only_our_completed_primary_deployment_is_success() {
    assert_eq!(judge(vec![deployment(OURS, "PRIMARY", "web:2", "COMPLETED")], 60), State::Succeeded);
    assert_eq!(judge(vec![deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS")], 60), State::Deploying);
    assert_eq!(judge(vec![deployment(OURS, "PRIMARY", "web:2", "FAILED")], 60), State::Failed);
}

#[test]
fn a_completed_rollback_is_no_success() {
    let back = deployment("ecs-svc/2", "PRIMARY", "web:1", "COMPLETED");
    assert_eq!(judge(vec![back.clone()], 60), State::RolledBack);
    assert_eq!(judge(vec![back, deployment(OURS, "ACTIVE", "web:2", "FAILED")], 60), State::RolledBack);
}

#[test]
fn another_deployment_supersedes_ours() {
    let other = deployment("ecs-svc/2", "PRIMARY", "web:9", "IN_PROGRESS");
    assert_eq!(judge(vec![other.clone()], 60), State::Superseded);
    assert_eq!(judge(vec![other, deployment(OURS, "ACTIVE", "web:2", "IN_PROGRESS")], 60), State::Superseded);
}

#[test]
fn a_deployment_that_is_not_listed_yet_is_waited_for() {
    let old = vec![deployment("ecs-svc/0", "PRIMARY", "web:1", "COMPLETED")];
    assert_eq!(judge(old, 5), State::Deploying);
}

#[test]
fn the_time_before_the_deployment_does_not_count() {
    let at = |seconds: i64, deployment: Deployment| {
        let service = Service { status: "ACTIVE".into(), deployments: vec![deployment], ..Service::default() };
        decide(&rollout(), since(4_000), Some(&service), Timestamp::from_second(seconds).unwrap()).state
    };
    let old = deployment("ecs-svc/0", "PRIMARY", "web:1", "COMPLETED");
    assert_eq!(at(4_005, old.clone()), State::Deploying, "ECS may not list it yet");
    assert_eq!(at(4_010, old), State::RolledBack);
    let ours = deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS");
    assert_eq!(at(7_600, ours.clone()), State::Deploying);
    assert_eq!(at(7_601, ours), State::Failed);
}

#[test]
fn a_deployment_without_end_is_given_up_with_advice() {
    let service = Service {
        status: "ACTIVE".into(),
        deployments: vec![deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS")],
        ..Service::default()
    };
    let verdict = decide(&rollout(), since(0), Some(&service), Timestamp::from_second(3_601).unwrap());
    assert_eq!(verdict.state, State::Failed);
    assert!(verdict.reason.contains("circuit breaker"), "{}", verdict.reason);
}

#[test]
fn a_service_that_went_away_ends_the_rollout() {
    let now = Timestamp::from_second(60).unwrap();
    assert_eq!(decide(&rollout(), since(0), None, now).state, State::Failed);
    let draining = Service { status: "DRAINING".into(), ..Service::default() };
    assert_eq!(decide(&rollout(), since(0), Some(&draining), now).state, State::Failed);
}

fn verdict_of(service: &Service, seconds: i64) -> Verdict {
    decide(&rollout(), since(0), Some(service), Timestamp::from_second(seconds).unwrap())
}

fn active(deployments: Vec<Deployment>) -> Service {
    Service { status: "ACTIVE".into(), deployments, ..Service::default() }
}

#[test]
fn a_rollback_may_go_further_back_than_to_the_revision_before() {
    for reason in [
        "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/9.",
        "ECS deployment ecs-svc/1 alarm detected: rolling back to deploymentId ecs-svc/9.",
    ] {
        let back =
            Deployment { rollout_reason: Some(reason.into()), ..deployment("x", "PRIMARY", "web:0", "IN_PROGRESS") };
        let ours = deployment(OURS, "ACTIVE", "web:2", "FAILED");
        assert_eq!(judge(vec![back.clone(), ours], 60), State::RolledBack);
        assert_eq!(judge(vec![back], 60), State::RolledBack);
    }
}

#[test]
fn a_deployment_of_our_revision_that_somebody_forced_counts() {
    let ours = deployment(OURS, "ACTIVE", "web:2", "IN_PROGRESS");
    let forced = |state| deployment("ecs-svc/2", "PRIMARY", "web:2", state);
    assert_eq!(judge(vec![forced("IN_PROGRESS"), ours.clone()], 60), State::Deploying);
    assert_eq!(judge(vec![forced("COMPLETED")], 60), State::Succeeded);
    assert_eq!(judge(vec![forced("FAILED"), ours], 60), State::Failed);
}

#[test]
fn without_a_completed_revision_before_a_failure_is_not_waited_upon() {
    let failed = Deployment {
        updated_at: Some(Timestamp::from_second(60).unwrap()),
        ..deployment(OURS, "PRIMARY", "web:2", "FAILED")
    };
    let service = Service { rolls_back: true, ..active(vec![failed]) };
    assert_eq!(verdict_of(&service, 179).state, State::Deploying);
    let verdict = verdict_of(&service, 180);
    assert_eq!((verdict.state, verdict.failure), (State::Failed, Some(Failure::Tasks)));
    assert!(verdict.reason.contains("no completed revision"), "{}", verdict.reason);
}

#[test]
fn what_a_success_shows_is_said() {
    let ours = |desired, running| Deployment { desired, running, ..deployment(OURS, "PRIMARY", "web:2", "COMPLETED") };
    let reason = |service: &Service| verdict_of(service, 60).reason;
    assert_eq!(reason(&active(vec![ours(2, 2)])), "all 2 tasks run the new revision");
    assert!(reason(&active(vec![ours(0, 0)])).contains("proves nothing"));
    let earlier = Deployment { running: 1, ..deployment("ecs-svc/0", "ACTIVE", "web:1", "COMPLETED") };
    let early = Service { succeeds_early: true, ..active(vec![ours(2, 1), earlier]) };
    assert!(
        reason(&early).contains("early: 1 of 2 tasks run the new revision, 1 an earlier one"),
        "{}",
        reason(&early)
    );
    let done = Service { succeeds_early: true, ..active(vec![ours(2, 2)]) };
    assert_eq!(reason(&done), "all 2 tasks run the new revision");
}

fn blue_green(status: &str) -> Service {
    let ours = ServiceDeployment {
        arn: "sd/1".into(),
        status: status.into(),
        task_definition: Some("web:2".into()),
        stage: Some("BAKE_TIME".into()),
        ..ServiceDeployment::default()
    };
    // What `deployments` say does not count.
    Service {
        strategy: Some("BLUE_GREEN".into()),
        task_definition: Some("web:2".into()),
        service_deployments: vec![ours],
        ..active(vec![deployment(OURS, "PRIMARY", "web:2", "COMPLETED")])
    }
}

#[test]
fn other_strategies_are_judged_by_their_service_deployment() {
    for (status, state) in [
        ("PENDING", State::Deploying),
        ("IN_PROGRESS", State::Deploying),
        ("STOP_REQUESTED", State::Deploying),
        ("ROLLBACK_REQUESTED", State::Deploying),
        ("ROLLBACK_IN_PROGRESS", State::Deploying),
        ("SUCCESSFUL", State::Succeeded),
        ("STOPPED", State::Failed),
        ("ROLLBACK_SUCCESSFUL", State::RolledBack),
        ("ROLLBACK_FAILED", State::Failed),
    ] {
        assert_eq!(verdict_of(&blue_green(status), 60).state, state, "{status}");
    }
    let replaced = Service { task_definition: Some("web:9".into()), ..blue_green("STOPPED") };
    assert_eq!(verdict_of(&replaced, 60).state, State::Superseded);
    let unlisted = Service { service_deployments: Vec::new(), ..blue_green("") };
    assert_eq!(verdict_of(&unlisted, 60).state, State::Deploying);
}

#[test]
fn a_bake_takes_as_long_as_the_site_gives_it_and_a_pause_as_long_as_people_take() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let day = Patience { since: at(0), lasts: SignedDuration::from_hours(24) };
    let bakes = blue_green("IN_PROGRESS");
    assert_eq!(decide(&rollout(), day, Some(&bakes), at(80_000)).state, State::Deploying);
    assert_eq!(decide(&rollout(), day, Some(&bakes), at(86_401)).failure, Some(Failure::NoEnd));
    let mut paused = bakes;
    paused.service_deployments[0].awaits = Some("approve".into());
    let verdict = verdict_of(&paused, 900_000);
    assert!(verdict.paused && verdict.state == State::Deploying && verdict.reason.contains("the hook approve"));
    let mut rolling = Service { strategy: None, ..paused };
    rolling.deployments[0].rollout_state = Some("IN_PROGRESS".into());
    assert!(verdict_of(&rolling, 900_000).paused, "a hook can pause a rolling deployment too");
}

#[test]
fn deployments_of_others_are_told_from_ours() {
    let rolling = active(vec![deployment("ecs-svc/2", "PRIMARY", "web:9", "IN_PROGRESS")]);
    assert!(rolling.deployment_of_others(&["web:2"]).unwrap().contains("ecs-svc/2"));
    assert_eq!(rolling.deployment_of_others(&["web:9"]), None);
    assert_eq!(blue_green("IN_PROGRESS").deployment_of_others(&["web:2"]), None);
    assert!(blue_green("IN_PROGRESS").deployment_of_others(&[]).unwrap().contains("sd/1"));
    assert_eq!(blue_green("SUCCESSFUL").deployment_of_others(&[]), None);
}

#[test]
fn what_our_deployment_replaced_unseen_is_found() {
    let ours = deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS");
    let base = deployment("ecs-svc/0", "ACTIVE", "web:1", "COMPLETED");
    let others = deployment("ecs-svc/9", "ACTIVE", "web:9", "IN_PROGRESS");
    let unseen = |deployments| active(deployments).replaced_unseen("web:2", &["web:1"], None).map(str::to_owned);
    assert_eq!(unseen(vec![ours.clone(), base.clone()]), None);
    assert_eq!(unseen(vec![ours.clone(), others.clone(), base.clone()]), Some("web:9".to_owned()));
    let earlier = deployment("ecs-svc/8", "ACTIVE", "web:0", "COMPLETED");
    assert_eq!(unseen(vec![ours.clone(), base.clone(), earlier]), None, "what was there before still stops");
    assert_eq!(unseen(vec![Deployment { status: "PRIMARY".into(), ..others }, base]), None, "ours is the replaced one");
}

#[test]
fn what_was_there_before_a_base_that_failed_was_seen() {
    let at = |second: i64| Timestamp::from_second(second).ok();
    let begun = |one: Deployment, second: i64| Deployment { created_at: at(second), ..one };
    let ours = begun(deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS"), 30);
    let good = begun(deployment("ecs-svc/8", "ACTIVE", "web:0", "COMPLETED"), 10);
    let later = begun(deployment("ecs-svc/9", "ACTIVE", "web:9", "IN_PROGRESS"), 25);
    let (before, all) = (active(vec![ours.clone(), good.clone()]), active(vec![ours, later, good]));
    // The base, web:1, was begun at 20, never ran a task, and is gone from the list.
    assert_eq!(before.replaced_unseen("web:2", &["web:1"], at(20)), None);
    assert_eq!(all.replaced_unseen("web:2", &["web:1"], at(20)), Some("web:9"));
    assert_eq!(all.latest_begun(), at(30));
}

#[test]
fn what_our_deployment_replaced_unseen_is_found_when_all_is_over() {
    let one = |revision: &str, second: i64, status: &str| ServiceDeployment {
        task_definition: Some(revision.into()),
        created_at: Timestamp::from_second(second).ok(),
        status: status.into(),
        ..ServiceDeployment::default()
    };
    let ours = one("web:2", 9, "SUCCESSFUL");
    let since = Timestamp::from_second(5).unwrap();
    let unseen = |before: ServiceDeployment| {
        let service_deployments =
            vec![one("web:5", 10, "PENDING"), ours.clone(), before, one("web:1", 1, "SUCCESSFUL")];
        let service = Service { service_deployments, ..active(Vec::new()) };
        service.replaced_since("web:2", &["web:1"], since).map(str::to_owned)
    };
    assert_eq!(unseen(one("web:9", 8, "STOPPED")), Some("web:9".to_owned()));
    assert_eq!(unseen(one("web:9", 4, "SUCCESSFUL")), None, "it was there when the service was read");
    assert_eq!(unseen(one("web:9", 8, "ROLLBACK_SUCCESSFUL")), None, "it did not stay");
    assert_eq!(unseen(one("web:1", 8, "SUCCESSFUL")), None);
}

#[test]
fn what_can_t_be_rolled_out_is_refused_with_a_sentence() {
    let fine = Service { task_definition: Some("web:1".into()), ..active(Vec::new()) };
    assert_eq!(fine.obstacle(), None);
    for controller in ["EXTERNAL", "CODE_DEPLOY"] {
        let service = Service { controller: Some(controller.into()), ..fine.clone() };
        assert!(service.obstacle().unwrap().contains(controller));
    }
    let express = Service { managed_by: Some("ECS".into()), ..fine };
    assert!(express.obstacle().unwrap().contains("Express"));
}

fn any_deployment() -> impl Strategy<Value = Deployment> {
    let id = prop::sample::select(vec![OURS, "ecs-svc/2", "ecs-svc/3"]);
    let status = prop::sample::select(vec!["PRIMARY", "ACTIVE", "INACTIVE", ""]);
    let revision = prop::sample::select(vec!["web:1", "web:2", "web:3"]);
    let state = prop::sample::select(vec!["", "IN_PROGRESS", "COMPLETED", "FAILED"]);
    (id, status, revision, state).prop_map(|(id, status, revision, state)| deployment(id, status, revision, state))
}

proptest! {
    #[test]
    fn success_is_never_told_of_anything_else(
        deployments in prop::collection::vec(any_deployment(), 0..4),
        active: bool, rolls_back: bool, seconds in 0..10_000_i64,
    ) {
        let status = if active { "ACTIVE" } else { "INACTIVE" }.into();
        let service = Service { status, rolls_back, deployments, ..Service::default() };
        let verdict = decide(&rollout(), since(0), Some(&service), Timestamp::from_second(seconds).unwrap());
        let ours = service.primary().is_some_and(|primary| {
            primary.is("COMPLETED") && primary.task_definition == "web:2"
        });
        prop_assert_eq!(verdict.state == State::Succeeded, active && ours);
        prop_assert!(!verdict.reason.is_empty());
        prop_assert!(verdict.state.is_final() || (verdict.state == State::Deploying && seconds <= 3_600));
    }
}
