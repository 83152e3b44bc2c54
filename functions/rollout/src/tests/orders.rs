//! What persons order: a rollout now, the end of one, and the way back.

use serde_json::{Value, json};
use wharfinger_decisions::{
    gate::{Cancellation, SiteHold, SiteOrder},
    rollout::Trigger,
};

use super::*;

pub(super) async fn say(stage: &Stage, change: impl FnOnce(&mut WindowRecord)) {
    let mut record = stage.window_of("blog").await;
    change(&mut record);
    stage.app.table.write_window(&blog(), &record).await.unwrap();
}

pub(super) async fn order(stage: &Stage, undoes: Option<&str>) -> String {
    let id = stage.app.chance.uuid_v7(at(1_000));
    let order = SiteOrder {
        id: id.clone(),
        reason: "the mount was mended".into(),
        by: "alice".into(),
        at: at(0),
        undoes: undoes.map(str::to_owned),
    };
    say(stage, |record| record.word.order = Some(order)).await;
    id
}

pub(super) async fn break_off(stage: &Stage, rollout: &str) {
    let word = Cancellation { rollout: rollout.into(), by: "alice".into(), at: at(0) };
    say(stage, |record| record.word.cancellation = Some(word)).await;
}

/// A first rollout that succeeded, so that the service runs revision 2.
pub(super) async fn rolled_out(stage: &Stage) -> String {
    stage.deploy(1, 0).await;
    stage.complete();
    stage.tick(at(90)).await;
    let latest = stage.latest().await;
    assert_eq!(latest.state, State::Succeeded);
    latest.id
}

pub(super) fn runs(stage: &Stage) -> Value {
    stage.ecs.lock().unwrap().web["taskDefinition"].clone()
}

pub(super) fn updates(stage: &Stage) -> usize {
    stage.ecs.lock().unwrap().updates
}

#[tokio::test]
async fn a_person_rolls_a_site_out_once_though_nothing_has_changed() {
    let stage = Stage::new();
    rolled_out(&stage).await;
    let id = order(&stage, None).await;
    stage.tick(at(1_001)).await;
    let latest = stage.latest().await;
    assert_eq!(
        (latest.id.as_str(), latest.state, latest.cause.trigger),
        (id.as_str(), State::Deploying, Trigger::Order)
    );
    assert_eq!(latest.cause.reason, "alice asked for it: the mount was mended");
    assert!(latest.changes.iter().any(|change| change.path.contains("WHARFINGER_ROLLOUT")), "{:?}", latest.changes);
    stage.complete();
    stage.tick(at(1_100)).await;
    stage.tick(at(1_200)).await;
    assert_eq!(stage.latest().await.state, State::Succeeded);
    assert_eq!(stage.window_of("blog").await.word.order, None);
    assert_eq!(updates(&stage), 2);
}

#[tokio::test]
async fn a_rollout_that_failed_is_made_again_by_an_order() {
    let stage = Stage::new();
    stage.answer_with(|operation, _| {
        (operation == "UpdateService").then(|| (400, json!({"__type": "InvalidParameterException", "message": "no"})))
    });
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    stage.tick(at(60)).await;
    assert_eq!(stage.latest().await.state, State::Failed);
    stage.answer_with(|_, _| None);
    let id = order(&stage, None).await;
    stage.tick(at(1_001)).await;
    assert_eq!((stage.latest().await.id, stage.latest().await.state), (id, State::Deploying));
}

#[tokio::test]
async fn a_hold_keeps_changes_until_it_ends() {
    let stage = Stage::new();
    let hold = SiteHold { until: at(300), reason: "the sale".into(), by: "alice".into(), at: at(0) };
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    say(&stage, |record| record.word.hold = Some(hold)).await;
    stage.tick(at(60)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 0);
    stage.tick(at(300)).await;
    assert_eq!(stage.latest().await.state, State::Deploying);
}

#[tokio::test]
async fn a_rollback_brings_back_what_ran_before_and_makes_no_revision() {
    let stage = Stage::new();
    let undone = rolled_out(&stage).await;
    let id = order(&stage, Some(&undone)).await;
    stage.tick(at(1_001)).await;
    let latest = stage.latest().await;
    assert_eq!(
        (latest.id.as_str(), latest.state, latest.undoes.as_deref()),
        (id.as_str(), State::Deploying, Some(undone.as_str()))
    );
    assert_eq!((runs(&stage), latest.task_definition.before), (json!(arn(1)), Some(arn(2))));
    stage.complete();
    stage.tick(at(1_100)).await;
    stage.tick(at(1_200)).await;
    assert_eq!((stage.latest().await.state, runs(&stage)), (State::Succeeded, json!(arn(1))), "and it stays so");
    assert_eq!(stage.ecs.lock().unwrap().revisions.iter().flatten().count(), 2);
    assert_eq!(stage.window_of("blog").await.rollout, None);
}

#[tokio::test]
async fn a_rollback_that_died_after_any_call_is_taken_up() {
    for dies_at in ["UpdateService", "PutItem"] {
        let stage = Stage::new();
        let undone = rolled_out(&stage).await;
        order(&stage, Some(&undone)).await;
        // The answer comes to nobody: what was done is done.
        let ecs = Arc::clone(&stage.ecs);
        let left = Mutex::new(1);
        stage.answer_with(move |operation, input| {
            let is_rollout = operation != "PutItem" || input["Item"]["rollout"]["M"]["state"]["S"] == "deploying";
            let mut left = left.lock().unwrap();
            (operation == dies_at && is_rollout && *left > 0).then(|| {
                *left -= 1;
                let _ = ecs.lock().unwrap().answer(operation, input);
                (500, json!({"__type": "ServerException", "message": "down"}))
            })
        });
        let _ = stage.send(&[json!({"site": "blog"})], at(1_001)).await;
        stage.tick(at(1_100)).await;
        stage.complete();
        stage.tick(at(1_200)).await;
        let latest = stage.latest().await;
        assert_eq!((latest.state, runs(&stage)), (State::Succeeded, json!(arn(1))), "{dies_at}: {}", latest.reason);
    }
}

#[tokio::test]
async fn nobody_s_work_is_undone_by_a_rollback() {
    let stage = Stage::new();
    let undone = rolled_out(&stage).await;
    {
        let mut ecs = stage.ecs.lock().unwrap();
        let theirs = ecs.revisions[1].clone();
        ecs.revisions.push(theirs);
        ecs.web["taskDefinition"] = json!(arn(3));
        ecs.web["deployments"] = json!([deployment(9, &arn(3), "COMPLETED")]);
    }
    order(&stage, Some(&undone)).await;
    stage.tick(at(1_001)).await;
    let latest = stage.latest().await;
    assert_eq!((latest.state, runs(&stage)), (State::Failed, json!(arn(3))));
    assert!(latest.reason.contains("nothing of it to undo"), "{}", latest.reason);
}

#[tokio::test]
async fn a_rollout_is_broken_off_before_ecs_has_it() {
    let stage = Stage::new();
    stage.answer_with(|operation, _| {
        (operation == "UpdateService").then(|| (500, json!({"__type": "ServerException", "message": "down"})))
    });
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    stage.tick(at(60)).await;
    let id = stage.latest().await.id;
    break_off(&stage, &id).await;
    stage.tick(at(70)).await;
    let latest = stage.latest().await;
    assert_eq!(
        (latest.state, latest.broken_off_by.as_deref()),
        (State::RolledBack, Some("alice")),
        "{}",
        latest.reason
    );
    assert_eq!((stage.window_of("blog").await.rollout, stage.window_of("blog").await.window.is_open()), (None, false));
    stage.answer_with(|_, _| None);
    stage.tick(at(200)).await;
    assert_eq!((updates(&stage), runs(&stage)), (0, json!(arn(1))));
}

#[tokio::test]
async fn a_rolling_deployment_is_broken_off_by_the_last_good_revision() {
    for dies in [false, true] {
        let stage = Stage::new();
        rolled_out(&stage).await;
        stage.deploy(2, 500).await;
        assert_eq!(runs(&stage), json!(arn(3)));
        let id = stage.latest().await.id;
        break_off(&stage, &id).await;
        if dies {
            let left = Mutex::new(1);
            stage.answer_with(move |operation, input| {
                let ends = operation == "PutItem" && input["Item"]["rollout"]["M"]["state"]["S"] == "rolled_back";
                let mut left = left.lock().unwrap();
                (ends && *left > 0).then(|| {
                    *left -= 1;
                    (500, json!({"__type": "InternalServerError"}))
                })
            });
            let _ = stage.send(&[json!({"site": "blog"})], at(570)).await;
        }
        stage.tick(at(600)).await;
        let latest = stage.latest().await;
        assert_eq!((latest.id.as_str(), latest.state), (id.as_str(), State::RolledBack), "{}", latest.reason);
        assert!(latest.reason.starts_with("broken off by alice"), "{}", latest.reason);
        assert_eq!((runs(&stage), updates(&stage)), (json!(arn(2)), 3));
        assert_eq!(stage.window_of("blog").await.rollout, None);
    }
}

#[tokio::test]
async fn what_is_over_before_it_is_broken_off_stays_as_it_is() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    let id = stage.latest().await.id;
    stage.complete();
    break_off(&stage, &id).await;
    stage.tick(at(90)).await;
    let latest = stage.latest().await;
    assert_eq!((latest.state, latest.broken_off_by, runs(&stage)), (State::Succeeded, None, json!(arn(2))));
}
