//! A rollout from its first upload to its verdict: what it costs, and that it is taken up wherever it stopped.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use wharfinger_aws::error::{AwsError, Kind};

use super::*;
use crate::course::{Course, Outcome};

fn tick() -> Value {
    json!({"site": "blog"})
}

/// ECS tells that a deployment on `web` has ended.
pub(super) fn ended() -> Value {
    json!({"source": "aws.ecs", "detail-type": "ECS Deployment State Change",
        "resources": ["arn:aws:ecs:us-east-1:000000000000:service/local/web"],
        "detail": {"eventName": "SERVICE_DEPLOYMENT_COMPLETED"}})
}

impl Stage {
    fn calls_of(&self, operation: &str) -> usize {
        self.cloud.calls().iter().filter(|(name, _)| name == operation).count()
    }

    /// Sends `message` to an invocation that dies before the call that `is_last` picks. Returns whether it did.
    async fn dies(
        &self,
        message: &Value,
        now: Timestamp,
        is_last: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> bool {
        let died = Arc::new(Notify::new());
        let dies = Arc::clone(&died);
        self.cloud.leave_unanswered(move |operation, _| {
            let last = is_last(operation);
            if last {
                dies.notify_one();
            }
            last
        });
        let died = tokio::select! {
            () = died.notified() => true,
            failed = self.send(std::slice::from_ref(message), now) => {
                assert_eq!(failed, [""; 0]);
                false
            }
        };
        self.cloud.leave_unanswered(|_, _| false);
        died
    }
}

#[tokio::test]
async fn a_lone_upload_costs_three_invocations_one_tick_and_few_writes() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    stage.complete();
    assert_eq!(stage.send(&[ended()], at(90)).await, [""; 0]);
    assert_eq!(stage.latest().await.state, State::Succeeded);
    assert_eq!(stage.cloud.messages(), [tick()], "the window's");
    let calls = stage.cloud.calls();
    let writes: Vec<(&str, &str)> = calls
        .iter()
        .filter(|(name, _)| ["PutItem", "UpdateItem", "TransactWriteItems"].contains(&name.as_str()))
        .map(|(name, input)| {
            let key = if name == "PutItem" { &input["Item"]["pk"]["S"] } else { &input["Key"]["pk"]["S"] };
            (name.as_str(), key.as_str().unwrap_or_default())
        })
        .collect();
    let expected = [
        ("PutItem", "WINDOW#blog"),
        ("PutItem", "WINDOWS"),
        ("TransactWriteItems", ""),
        ("PutItem", "ROLLOUTS#blog"),
        ("PutItem", "ROLLOUTS#blog"),
        ("PutItem", "TURNS#local/web"),
        ("UpdateItem", "WINDOW#blog"),
    ];
    let what = "the change and its copy, the claim, the deployment, the verdict, the turn, the free window";
    assert_eq!(writes, expected, "{what}");
}

#[tokio::test]
async fn a_look_while_ecs_deploys_notes_how_far_it_is_and_arms_no_tick() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    let _ = stage.cloud.messages();
    stage.tick(at(90)).await;
    let rollout = stage.latest().await;
    assert_eq!((rollout.state, rollout.reason.as_str()), (State::Deploying, "1 of 1 tasks run the new revision"));
    assert_eq!(stage.calls_of("PutItem"), 4, "the change and its copy, the deployment, and how far it is");
    stage.tick(at(390)).await;
    assert_eq!(stage.calls_of("PutItem"), 0, "nothing is new");
    assert!(stage.cloud.messages().is_empty());
}

#[tokio::test]
async fn an_event_that_is_faster_than_what_ecs_shows_arms_one_tick() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    let _ = stage.cloud.messages();
    assert_eq!(stage.send(&[ended()], at(90)).await, [""; 0]);
    assert_eq!(stage.cloud.messages(), [tick()]);
    stage.complete();
    stage.tick(at(95)).await;
    assert_eq!(stage.latest().await.state, State::Succeeded);
    assert!(stage.cloud.messages().is_empty());
}

#[tokio::test]
async fn an_event_of_a_deployment_of_others_reads_no_site_and_changes_nothing() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[ended()], at(90)).await, [""; 0]);
    let calls = stage.cloud.calls();
    let sites = |(name, input): &&(String, Value)| name == "GetItem" && input["Key"]["pk"]["S"] == "SITES";
    assert_eq!(calls.iter().filter(sites).count(), 0);
    assert!(calls.iter().all(|(name, _)| name == "GetItem" || name == "Query"), "{calls:?}");
}

#[tokio::test]
async fn changes_that_waited_for_the_verdict_are_claimed_by_the_site_as_it_is_then() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    assert_eq!(stage.send(&[upload(2, "/sites/blog/b", at(70))], at(70)).await, [""; 0]);
    stage.complete();
    let moved = Arc::clone(&stage.ecs);
    // What the list of sites tells lags behind.
    stage.site("blog", "another", 2);
    let site = stage.cloud.item("SITES", "blog").unwrap();
    stage.site("blog", "web", 2);
    stage.answer_with(move |operation, input| {
        let site = json!({"Item": site});
        (operation == "GetItem" && input["Key"]["pk"]["S"] == "SITES").then_some((200, site))
    });
    assert_eq!(stage.send(&[ended()], at(200)).await, [""; 0]);
    assert_eq!(moved.lock().unwrap().asked_of.last().unwrap(), "another");
}

/// An invocation dies before each call in turn. Its message comes again, after the lease.
#[tokio::test]
async fn a_rollout_is_taken_up_wherever_an_invocation_died() {
    let mut last = 0;
    while dies_before_call(last).await {
        last += 1;
    }
    assert!(last > 20, "there are more calls than {last}");
}

/// Whether there is such a call.
async fn dies_before_call(last: usize) -> bool {
    let stage = Stage::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let (mut now, mut died) = (0, false);
    for message in [upload(1, "/sites/blog/a", at(0)), tick(), ended()] {
        let calls = Arc::clone(&calls);
        if stage.dies(&message, at(now), move |_| calls.fetch_add(1, Ordering::Relaxed) == last).await {
            (now, died) = (now + 120, true);
            assert_eq!(stage.send(&[message], at(now)).await, [""; 0], "died before call {last}");
        }
        stage.complete();
        now += 60;
    }
    let page = stage.app.table.rollouts(&blog(), &PageRequest::first(9)).await.unwrap();
    let rollouts: Vec<State> = page.items.into_iter().map(|(_, rollout)| rollout.unwrap().state).collect();
    assert_eq!(rollouts, [State::Succeeded], "died before call {last}");
    let window = stage.app.table.window(&blog()).await.unwrap();
    assert_eq!((window.window.is_open(), window.rollout), (false, None), "died before call {last}");
    let ecs = stage.ecs.lock().unwrap();
    assert_eq!((ecs.revisions.len(), ecs.updates), (2, 1), "died before call {last}");
    died
}

/// The service is changed by somebody else between an invocation's death and the next.
#[tokio::test]
async fn a_revision_that_a_dead_invocation_made_of_another_base_is_not_brought_to_the_service() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    assert!(stage.dies(&tick(), at(60), |operation| operation == "UpdateService").await);
    {
        let mut ecs = stage.ecs.lock().unwrap();
        let others = json!({"family": "web", "containerDefinitions": [{"name": "web", "image": "httpd:2"}]});
        ecs.revisions.push(Some(others));
        ecs.web["taskDefinition"] = json!(arn(3));
        ecs.web["deployments"] = json!([deployment(3, &arn(3), "COMPLETED")]);
    }
    stage.tick(at(180)).await;
    let ecs = stage.ecs.lock().unwrap();
    assert!(ecs.revisions[1].is_none(), "it is of use no more");
    assert_eq!(ecs.web["taskDefinition"], json!(arn(4)));
    assert_eq!(ecs.revisions[3].as_ref().unwrap()["containerDefinitions"][0]["image"], "httpd:2");
}

/// Both writes after UpdateService are lost with their invocation, and the circuit breaker is faster than the next one.
#[tokio::test]
async fn a_deployment_that_failed_before_it_was_recorded_is_not_made_again() {
    for under_way in [true, false] {
        let stage = Stage::new();
        assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
        let updated = AtomicUsize::new(0);
        let is_last = move |operation: &str| {
            updated.fetch_add(usize::from(operation == "UpdateService"), Ordering::Relaxed);
            operation == "PutItem" && updated.load(Ordering::Relaxed) > 0
        };
        assert!(stage.dies(&tick(), at(60), is_last).await);
        if under_way {
            stage.tick(at(180)).await;
            let rollout = stage.latest().await;
            assert_eq!(rollout.state, State::Deploying, "{}", rollout.reason);
        }
        {
            let mut ecs = stage.ecs.lock().unwrap();
            ecs.web["taskDefinition"] = json!(arn(1));
            ecs.web["deployments"] = json!([deployment(3, &arn(1), "COMPLETED")]);
        }
        stage.tick(at(300)).await;
        stage.tick(at(400)).await;
        assert_eq!(stage.latest().await.state, State::RolledBack, "{under_way}");
        let ecs = stage.ecs.lock().unwrap();
        assert_eq!((ecs.updates, ecs.revisions.len()), (1, 2), "{under_way}");
    }
}

/// Whoever may register revisions need not be allowed to deploy them.
#[tokio::test]
async fn a_revision_of_somebody_else_that_names_the_rollout_is_not_deployed() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    assert!(stage.dies(&tick(), at(60), |operation| operation == "RegisterTaskDefinition").await);
    let id = stage.latest().await.id;
    let theirs = json!({"family": "web", "containerDefinitions": [{"name": "web", "image": "evil",
        "environment": [{"name": "WHARFINGER_ROLLOUT", "value": id}]}]});
    stage.ecs.lock().unwrap().revisions.push(Some(theirs));
    stage.tick(at(180)).await;
    let ecs = stage.ecs.lock().unwrap();
    assert_eq!((&ecs.web["taskDefinition"], ecs.updates), (&json!(arn(3)), 1));
    assert_eq!(ecs.revisions[2].as_ref().unwrap()["containerDefinitions"][0]["image"], "httpd");
}

#[tokio::test]
async fn a_call_that_fails_late_leaves_the_verdict_of_another_invocation_alone() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    let (table, id) = (&stage.app.table, stage.latest().await.id);
    let before = table.rollout_record(&blog(), &id).await.unwrap().unwrap();
    let spec = before.spec.clone().unwrap();
    stage.complete();
    stage.send(&[ended()], at(90)).await;
    let verdict = stage.latest().await;
    for kind in [
        Kind::Refused { code: "AccessDeniedException".into(), message: String::new() },
        Kind::Busy("Rate exceeded".into()),
    ] {
        let error = AwsError { action: "describe the service".into(), kind };
        let moment = Moment::new(at(91), at(121));
        let course = Course { app: &stage.app, spec: &spec, ended: false, moment };
        let outcome = course.failed(before.clone(), &error).await.unwrap();
        assert_eq!((outcome, stage.latest().await), (Outcome::Contended, verdict.clone()));
    }
}
