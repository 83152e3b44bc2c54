//! What is wanted, compared with what runs.

use wharfinger_decisions::{
    drift,
    gate::{SiteHold, Word},
    rollout::Trigger,
};

use super::{course::ended, *};

impl Stage {
    /// The blog, rolled out at 90 seconds.
    async fn rolled_out() -> Self {
        let stage = Self::new();
        stage.deploy(1, 0).await;
        stage.complete();
        stage.tick(at(90)).await;
        assert_eq!(stage.latest().await.state, State::Succeeded);
        stage
    }

    /// Somebody else has deployed a revision without the mount, and it is complete.
    fn others_replace(&self) {
        let mut ecs = self.ecs.lock().unwrap();
        let others = json!({"family": "web", "registeredBy": "ci",
            "containerDefinitions": [{"name": "web", "image": "httpd:2"}]});
        ecs.revisions.push(Some(others));
        let number = ecs.revisions.len();
        ecs.web["taskDefinition"] = json!(arn(number));
        ecs.web["deployments"] = json!([deployment(number, &arn(number), "COMPLETED")]);
    }

    async fn hears_of_the_end(&self, now: i64) {
        assert_eq!(self.send(&[ended()], at(now)).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_deployment_by_others_without_the_mount_is_mended_by_one_rollout() {
    let stage = Stage::rolled_out().await;
    stage.others_replace();
    stage.hears_of_the_end(200).await;
    let repair = stage.latest().await;
    assert_eq!(
        (repair.state, repair.cause.trigger, repair.cause.summary.changes),
        (State::Deploying, Trigger::Drift, 0)
    );
    assert!(repair.cause.reason.contains("web:3 runs without the site at /srv of web: ci deployed"), "{repair:?}");
    stage.complete();
    stage.hears_of_the_end(230).await;
    assert_eq!(stage.latest().await.state, State::Succeeded);
    stage.hears_of_the_end(231).await;
    stage.tick(at(2_000)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 2, "once");
}

#[tokio::test]
async fn the_sweep_finds_what_no_event_told() {
    let stage = Stage::rolled_out().await;
    stage.others_replace();
    stage.tick(at(600)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1, "it was compared less than ten minutes ago");
    stage.tick(at(661)).await;
    assert_eq!(stage.latest().await.cause.trigger, Trigger::Drift);
}

#[tokio::test]
async fn a_deployment_by_others_that_keeps_the_mount_is_left_alone() {
    let stage = Stage::rolled_out().await;
    {
        let mut ecs = stage.ecs.lock().unwrap();
        let mut theirs = ecs.revisions[1].clone().unwrap();
        theirs["containerDefinitions"][0]["image"] = json!("httpd:2");
        ecs.revisions.push(Some(theirs));
        ecs.web["taskDefinition"] = json!(arn(3));
        ecs.web["deployments"] = json!([deployment(3, &arn(3), "COMPLETED")]);
    }
    stage.hears_of_the_end(200).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
    let _ = stage.cloud.calls();
    stage.hears_of_the_end(201).await;
    assert_eq!(stage.cloud.count("DescribeTaskDefinition"), 0, "a revision never changes");
}

#[tokio::test]
async fn a_site_that_only_reports_drift_says_so_and_changes_nothing() {
    let stage = Stage::rolled_out().await;
    stage.put_site("blog", 1, &[("drift", "report")], 2);
    stage.others_replace();
    stage.hears_of_the_end(200).await;
    stage.hears_of_the_end(260).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
    let condition = stage.window_of("blog").await.compared.unwrap().condition.unwrap();
    assert_eq!((condition.code.as_ref(), condition.since), (drift::NOT_MOUNTED, at(200)));
    stage.deploy(2, 300).await;
    assert_eq!(stage.window_of("blog").await.compared.unwrap().condition, None, "the next upload mends it");
}

#[tokio::test]
async fn a_war_ends_after_three_repairs() {
    let stage = Stage::rolled_out().await;
    for round in 1..=5 {
        stage.others_replace();
        stage.hears_of_the_end(100 + round * 100).await;
        stage.complete();
        stage.hears_of_the_end(150 + round * 100).await;
    }
    assert_eq!(stage.ecs.lock().unwrap().updates, 1 + drift::MOST_REPAIRS);
    let condition = stage.window_of("blog").await.compared.unwrap().condition.unwrap();
    assert_eq!(condition.code, drift::REPEATED_DRIFT);
    assert!(condition.message.contains("ci"), "{}", condition.message);
    stage.tick(at(200 + 3_600)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 2 + drift::MOST_REPAIRS, "an hour later it is tried again");
}

#[tokio::test]
async fn a_war_against_a_role_ends_though_each_build_has_a_session_of_its_own() {
    let stage = Stage::rolled_out().await;
    for round in 1..=5 {
        stage.others_replace();
        let by = format!("arn:aws:sts::000000000000:assumed-role/deploy/build-{round}");
        stage.ecs.lock().unwrap().revisions.last_mut().unwrap().as_mut().unwrap()["registeredBy"] = json!(by);
        stage.hears_of_the_end(100 + round * 100).await;
        stage.complete();
        stage.hears_of_the_end(150 + round * 100).await;
    }
    assert_eq!(stage.ecs.lock().unwrap().updates, 1 + drift::MOST_REPAIRS);
}

#[tokio::test]
async fn a_deployment_by_others_without_the_mount_and_without_an_end_is_mended_as_well() {
    let stage = Stage::rolled_out().await;
    stage.others_replace();
    {
        let deployment = &mut stage.ecs.lock().unwrap().web["deployments"][0];
        (deployment["rolloutState"], deployment["createdAt"]) = (json!("IN_PROGRESS"), json!(at(100).as_second()));
    }
    stage.tick(at(3_700)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1, "it may still end");
    stage.tick(at(3_701)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 2);
}

#[tokio::test]
async fn an_event_that_is_faster_than_what_ecs_shows_brings_one_more_look() {
    let stage = Stage::rolled_out().await;
    stage.others_replace();
    stage.ecs.lock().unwrap().web["deployments"][0]["rolloutState"] = json!("IN_PROGRESS");
    let _ = stage.cloud.messages();
    stage.hears_of_the_end(200).await;
    assert_eq!(stage.cloud.messages(), [json!({"site": "blog"})]);
    stage.tick(at(215)).await;
    assert_eq!((stage.ecs.lock().unwrap().updates, stage.cloud.messages().len()), (1, 0), "the sweep looks on");
    stage.complete();
    stage.tick(at(220)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 2);
}

#[tokio::test]
async fn a_mount_that_is_gone_is_told_while_the_site_s_changes_wait() {
    let stage = Stage::rolled_out().await;
    assert_eq!(stage.send(&[upload(2, "/sites/blog/b", at(100))], at(100)).await, [""; 0]);
    let window = stage.window_of("blog").await;
    let hold = SiteHold { until: at(3_000), reason: "the sale".into(), by: "alice".into(), at: at(100) };
    let held = WindowRecord { word: Word { hold: Some(hold), ..Word::default() }, ..window };
    stage.app.table.write_window(&blog(), &held).await.unwrap();
    stage.others_replace();
    for event in [true, false] {
        match event {
            true => stage.hears_of_the_end(200).await,
            false => stage.tick(at(900)).await,
        }
        let condition = stage.window_of("blog").await.compared.unwrap().condition.unwrap();
        assert_eq!((condition.code.as_ref(), condition.since), (drift::NOT_MOUNTED, at(200)));
        assert_eq!(stage.ecs.lock().unwrap().updates, 1, "nothing is done during the hold");
    }
    stage.tick(at(3_000)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 2);
    assert_eq!(stage.window_of("blog").await.compared.unwrap().condition, None);
}

#[tokio::test]
async fn a_changed_site_is_rolled_out_and_leaves_its_old_place() {
    let stage = Stage::rolled_out().await;
    stage.put_site("blog", 2, &[("mount_path", "/elsewhere")], 2);
    stage.tick(at(200)).await;
    let rollout = stage.latest().await;
    assert_eq!(
        (rollout.state, rollout.cause.trigger, rollout.spec_version),
        (State::Deploying, Trigger::Spec, Some(2))
    );
    let ecs = stage.ecs.lock().unwrap();
    let points = ecs.revisions[2].as_ref().unwrap()["containerDefinitions"][0]["mountPoints"].clone();
    let expected = json!([{"sourceVolume": "wharfinger-blog", "containerPath": "/elsewhere", "readOnly": false}]);
    assert_eq!(points, expected);
}

#[tokio::test]
async fn a_site_changed_during_its_rollout_is_rolled_out_again_after_it() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    stage.put_site("blog", 2, &[("mount_path", "/elsewhere")], 2);
    stage.tick(at(70)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
    stage.complete();
    stage.hears_of_the_end(90).await;
    let rollout = stage.latest().await;
    assert_eq!((rollout.cause.trigger, rollout.spec_version), (Trigger::Spec, Some(2)));
}

#[tokio::test]
async fn what_failed_is_repeated_once_its_cause_is_mended() {
    let stage = Stage::new();
    let container = |name: &str| {
        let mut ecs = stage.ecs.lock().unwrap();
        ecs.revisions[0].as_mut().unwrap()["containerDefinitions"][0]["name"] = json!(name);
    };
    container("nginx");
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    stage.tick(at(60)).await;
    let failed = stage.latest().await;
    assert_eq!(failed.state, State::Failed, "{}", failed.reason);
    stage.tick(at(700)).await;
    assert_eq!(stage.latest().await.id, failed.id, "nothing is mended yet");
    let condition = stage.window_of("blog").await.compared.unwrap().condition.unwrap();
    assert!(condition.message.contains("no container web"), "{}", condition.message);
    container("web");
    stage.tick(at(1_400)).await;
    let again = stage.latest().await;
    assert_eq!((again.state, again.cause.trigger), (State::Deploying, Trigger::Mended));
}

#[tokio::test]
async fn a_site_that_was_never_rolled_out_waits_for_its_first_upload() {
    let stage = Stage::new();
    stage.tick(at(10)).await;
    stage.hears_of_the_end(20).await;
    assert_eq!(stage.cloud.count("DescribeServices"), 0);
    assert!(stage.app.table.latest_rollout(&blog()).await.unwrap().is_none());
}
