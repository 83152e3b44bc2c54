//! What keeps a person's order to break off or to go back from being done, and who else deploys meanwhile.

use serde_json::{Value, json};

use super::{
    orders::{break_off, order, rolled_out, runs, say, updates},
    *,
};

const DEPLOYMENT: &str = "arn:aws:ecs:us-east-1:0:service-deployment/local/web/1";
const REVISION: &str = "arn:aws:ecs:us-east-1:0:service-revision/local/web/1";

/// A service deployment of another strategy.
#[derive(Default)]
struct Bakes {
    status: String,
    stops: usize,
    /// ECS refuses to stop it.
    is_over: bool,
}

impl Bakes {
    fn answer(&mut self, operation: &str, input: &Value, is_begun: bool) -> Option<(u16, Value)> {
        let answer = match operation {
            "ListServiceDeployments" if !is_begun => json!({"serviceDeployments": []}),
            "ListServiceDeployments" => {
                json!({"serviceDeployments": [{"serviceDeploymentArn": DEPLOYMENT, "createdAt": 1_800_000_060}]})
            }
            "DescribeServiceDeployments" => json!({"serviceDeployments": [{"serviceDeploymentArn": DEPLOYMENT,
                "status": self.status, "targetServiceRevision": {"arn": REVISION}}]}),
            "DescribeServiceRevisions" => {
                json!({"serviceRevisions": [{"serviceRevisionArn": REVISION, "taskDefinition": arn(2)}]})
            }
            "StopServiceDeployment" if self.is_over => {
                return Some((400, json!({"__type": "ConflictException", "message": "it is over"})));
            }
            "StopServiceDeployment" => {
                let asked = (&input["serviceDeploymentArn"], &input["stopType"]);
                assert_eq!(asked, (&json!(DEPLOYMENT), &json!("ROLLBACK")));
                self.stops += 1;
                self.status = "ROLLBACK_IN_PROGRESS".into();
                json!({"serviceDeploymentArn": DEPLOYMENT})
            }
            _ => return None,
        };
        Some((200, answer))
    }
}

fn stops(bakes: &Mutex<Bakes>) -> usize {
    bakes.lock().unwrap().stops
}

/// A rollout that ECS bakes, and that is to be broken off.
async fn baking(stage: &Stage) -> Arc<Mutex<Bakes>> {
    stage.ecs.lock().unwrap().web["deploymentConfiguration"] = json!({"strategy": "BLUE_GREEN"});
    let bakes = Arc::new(Mutex::new(Bakes { status: "IN_PROGRESS".into(), ..Bakes::default() }));
    let (shown, ecs) = (Arc::clone(&bakes), Arc::clone(&stage.ecs));
    stage.answer_with(move |operation, input| {
        let is_begun = ecs.lock().unwrap().updates > 0;
        shown.lock().unwrap().answer(operation, input, is_begun)
    });
    stage.deploy(1, 0).await;
    break_off(stage, &stage.latest().await.id).await;
    bakes
}

/// Somebody else deploys a revision of their own right before the service is updated to `revision`.
fn somebody_deploys_before(stage: &Stage, revision: String) {
    let (ecs, left) = (Arc::clone(&stage.ecs), Mutex::new(1));
    stage.answer_with(move |operation, input| {
        let mut left = left.lock().unwrap();
        if operation == "UpdateService" && input["taskDefinition"] == revision && *left > 0 {
            *left -= 1;
            let mut ecs = ecs.lock().unwrap();
            let theirs = json!({"family": "web", "containerDefinitions": [{"name": "web", "image": "httpd:2"}]});
            ecs.revisions.push(Some(theirs));
            let theirs = arn(ecs.revisions.len());
            ecs.deploy(&theirs);
        }
        None
    });
}

#[tokio::test]
async fn another_strategy_is_broken_off_by_the_end_of_its_service_deployment() {
    let stage = Stage::new();
    let bakes = baking(&stage).await;
    for second in [70, 90, 110] {
        stage.tick(at(second)).await;
    }
    assert_eq!((stops(&bakes), stage.latest().await.state), (1, State::Deploying));
    bakes.lock().unwrap().status = "ROLLBACK_SUCCESSFUL".into();
    stage.tick(at(200)).await;
    let latest = stage.latest().await;
    let told = (latest.state, latest.broken_off_by.as_deref());
    assert_eq!(told, (State::RolledBack, Some("alice")), "{}", latest.reason);
    assert_eq!(updates(&stage), 1, "ECS goes back by itself");
}

#[tokio::test]
async fn a_deployment_of_a_service_without_the_tag_is_not_stopped() {
    let mut stage = Stage::new();
    stage.app.reach.services = "tagged".into();
    let bakes = baking(&stage).await;
    for tags in [json!([]), json!([{"key": "wharfinger:allow", "value": "false"}])] {
        stage.ecs.lock().unwrap().web["tags"] = tags;
        stage.tick(at(70)).await;
        assert_eq!((stops(&bakes), stage.latest().await.state), (0, State::Deploying));
    }
    let reason = stage.latest().await.reason;
    assert!(
        reason.contains("aws ecs tag-resource --resource-arn arn:aws:ecs:us-east-1:0:service/local/web"),
        "{reason}"
    );
    stage.ecs.lock().unwrap().web["tags"] = json!([{"key": "wharfinger:allow", "value": "true"}]);
    stage.tick(at(90)).await;
    assert_eq!(stops(&bakes), 1);
}

#[tokio::test]
async fn a_deployment_that_can_not_be_stopped_ends_as_ecs_shows() {
    let stage = Stage::new();
    let bakes = baking(&stage).await;
    bakes.lock().unwrap().is_over = true;
    stage.tick(at(70)).await;
    let latest = stage.latest().await;
    assert_eq!(latest.state, State::Deploying, "{}", latest.reason);
    assert!(latest.reason.contains("it is over"), "{}", latest.reason);
    assert!(stage.window_of("blog").await.word.cancellation.is_some());
    bakes.lock().unwrap().status = "SUCCESSFUL".into();
    stage.tick(at(200)).await;
    let latest = stage.latest().await;
    assert_eq!((latest.state, latest.broken_off_by), (State::Succeeded, None), "{}", latest.reason);
}

#[tokio::test]
async fn a_way_back_that_is_refused_is_tried_again() {
    let stage = Stage::new();
    rolled_out(&stage).await;
    stage.deploy(2, 500).await;
    break_off(&stage, &stage.latest().await.id).await;
    stage.answer_with(|operation, _| {
        let refusal = json!({"__type": "AccessDeniedException", "message": "the tag is gone"});
        (operation == "UpdateService").then_some((400, refusal))
    });
    stage.tick(at(570)).await;
    let latest = stage.latest().await;
    assert_eq!((latest.state, runs(&stage)), (State::Deploying, json!(arn(3))), "{}", latest.reason);
    assert!(latest.reason.contains("the tag is gone"), "{}", latest.reason);
    assert_eq!(stage.window_of("blog").await.rollout.as_ref(), Some(&latest.id));
    stage.answer_with(|_, _| None);
    stage.tick(at(700)).await;
    assert_eq!((stage.latest().await.state, runs(&stage)), (State::RolledBack, json!(arn(2))));
}

#[tokio::test]
async fn what_an_invocation_brought_before_it_died_is_broken_off() {
    for is_deployed in [true, false] {
        let stage = Stage::new();
        rolled_out(&stage).await;
        let left = Mutex::new(1);
        stage.answer_with(move |operation, input| {
            let takes_on = operation == "PutItem" && input["Item"]["rollout"]["M"]["state"]["S"] == "deploying";
            let dies = if is_deployed { takes_on } else { operation == "UpdateService" };
            let mut left = left.lock().unwrap();
            (dies && *left > 0).then(|| {
                *left -= 1;
                (500, json!({"__type": "InternalServerError"}))
            })
        });
        assert_eq!(stage.send(&[upload(2, "/sites/blog/a", at(500))], at(500)).await, [""; 0]);
        let _ = stage.send(&[json!({"site": "blog"})], at(560)).await;
        let mut record = stage.app.table.rollout_record(&blog(), &stage.latest().await.id).await.unwrap().unwrap();
        if !is_deployed {
            // It died before that was recorded.
            record.rollout.state = State::Registering;
            record.rollout.task_definition.after = None;
            stage.app.table.write_rollout(&record).await.unwrap();
        }
        assert_eq!(stage.latest().await.state, State::Registering);
        break_off(&stage, &record.rollout.id).await;
        stage.tick(at(800)).await;
        let latest = stage.latest().await;
        assert_eq!((latest.state, runs(&stage)), (State::RolledBack, json!(arn(2))), "{}", latest.reason);
        assert_eq!(latest.reason.contains("nothing of it"), !is_deployed, "{}", latest.reason);
        assert_eq!(
            stage.ecs.lock().unwrap().revisions[2].is_some(),
            is_deployed,
            "what was never used is deregistered"
        );
    }
}

#[tokio::test]
async fn what_somebody_deploys_while_a_rollout_is_broken_off_is_brought_back() {
    for dies in [false, true] {
        let stage = Stage::new();
        rolled_out(&stage).await;
        stage.deploy(2, 500).await;
        break_off(&stage, &stage.latest().await.id).await;
        somebody_deploys_before(&stage, arn(2));
        if dies {
            // Right after the service was updated.
            stage.cloud.lose_answer_to("UpdateService", "");
        }
        stage.tick(at(570)).await;
        stage.tick(at(700)).await;
        let latest = stage.latest().await;
        assert_eq!((latest.state, runs(&stage)), (State::RolledBack, json!(arn(4))), "{}", latest.reason);
        assert!(latest.reason.contains(&arn(4)), "{}", latest.reason);
    }
}

#[tokio::test]
async fn what_somebody_deploys_during_a_rollback_is_brought_back() {
    let stage = Stage::new();
    let undone = rolled_out(&stage).await;
    somebody_deploys_before(&stage, arn(1));
    order(&stage, Some(&undone)).await;
    stage.tick(at(1_001)).await;
    let latest = stage.latest().await;
    assert_eq!((latest.state, runs(&stage)), (State::Superseded, json!(arn(3))), "{}", latest.reason);
    assert!(latest.reason.contains(&arn(3)), "{}", latest.reason);
}

#[tokio::test]
async fn a_rollback_hands_no_role_to_tasks_that_is_not_open() {
    let stage = Stage::new();
    let undone = rolled_out(&stage).await;
    let role = json!("arn:aws:iam::000000000000:role/administrator");
    stage.ecs.lock().unwrap().revisions[0].as_mut().unwrap()["taskRoleArn"] = role;
    order(&stage, Some(&undone)).await;
    stage.tick(at(1_001)).await;
    let latest = stage.latest().await;
    assert_eq!((latest.state, runs(&stage)), (State::Failed, json!(arn(2))), "{}", latest.reason);
    assert!(latest.reason.contains("administrator") && latest.reason.contains("TaskRoles"), "{}", latest.reason);
    say(&stage, |record| assert_eq!(record.word.order, None)).await;
}
