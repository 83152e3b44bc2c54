//! What a service deployment comes to, for each strategy.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

impl Fixture {
    /// Updates the service to a revision that serves `root`, under this deployment configuration.
    async fn deploy(&self, root: &str, configuration: Value) -> Value {
        let arn = self.register(root).await;
        let updated = self.update(json!({"taskDefinition": arn, "deploymentConfiguration": configuration})).await;
        updated.unwrap()["deployments"][0].clone()
    }

    /// The newest service deployment.
    async fn newest(&self) -> Value {
        let listed = self.call("ListServiceDeployments", json!({"cluster": "local", "service": "web"})).await;
        let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
        let described = self.call("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]})).await;
        described["serviceDeployments"][0].clone()
    }

    /// Lets time pass until the tasks have moved.
    async fn moment(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// By which revisions 100 requests are answered, as `web:2`'s share.
    async fn share_of(&self, revision: &str) -> usize {
        let mut share = 0;
        for _ in 0..1000 {
            share += usize::from(self.get("/").await.1 == revision);
        }
        share / 10
    }

    async fn hook(&self) -> Value {
        self.newest().await["lifecycleHookDetails"][0].clone()
    }

    async fn answer_hook(&self, action: &str) -> Result<Value, AwsError> {
        let newest = self.newest().await;
        let input = json!({
            "serviceDeploymentArn": newest["serviceDeploymentArn"], "action": action,
            "hookId": newest["lifecycleHookDetails"][0]["hookId"],
        });
        self.ecs.call("ContinueServiceDeployment", input).await
    }

    async fn stop(&self) -> Result<Value, AwsError> {
        let arn = self.newest().await["serviceDeploymentArn"].clone();
        self.ecs.call("StopServiceDeployment", json!({"serviceDeploymentArn": arn})).await
    }
}

fn number(deployment: &Value) -> &str {
    bare(deployment["id"].as_str().unwrap())
}

fn bare(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

fn target(deployment: &Value) -> &str {
    bare(deployment["targetServiceRevision"]["arn"].as_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_rolling_deployment_is_a_service_deployment_to_a_revision_of_its_id() {
    let fixture = Fixture::new().await;
    let first = fixture.describe().await["deployments"][0].clone();
    let arn = fixture.register("/sites/blog").await;
    let updated = fixture.update(json!({"taskDefinition": arn})).await.unwrap();
    assert_eq!(fixture.newest().await["status"], "PENDING");
    assert_eq!(updated.get("currentServiceDeployment"), None, "it has not started");
    assert_eq!(updated["deployments"][0]["desiredCount"], 0, "{updated}");
    assert_eq!(updated["currentServiceRevisions"].as_array().unwrap().len(), 2);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let (service, newest) = (fixture.describe().await, fixture.newest().await);
    assert_eq!(service["currentServiceDeployment"], newest["serviceDeploymentArn"]);
    assert_eq!((newest["status"].as_str(), newest["lifecycleStage"].as_str()), (Some("IN_PROGRESS"), Some("SCALE_UP")));
    assert_eq!(target(&newest), number(&service["deployments"][0]));
    assert_eq!(bare(newest["sourceServiceRevisions"][0]["arn"].as_str().unwrap()), number(&first));
    fixture.wait(settled).await;
    let newest = fixture.newest().await;
    assert_eq!((newest["status"].as_str(), newest.get("lifecycleStage")), (Some("SUCCESSFUL"), None));
    assert_eq!(newest["targetServiceRevision"]["runningTaskCount"], 1);
    assert_eq!(fixture.describe().await.get("currentServiceDeployment"), None);
    let arn = newest["targetServiceRevision"]["arn"].clone();
    let revisions = fixture.call("DescribeServiceRevisions", json!({"serviceRevisionArns": [arn]})).await;
    assert_eq!(revisions["serviceRevisions"][0]["taskDefinition"], service["taskDefinition"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_brings_the_deployment_that_was_good_back_under_its_id() {
    let fixture = Fixture::new().await;
    let good = fixture.describe().await["deployments"][0]["id"].clone();
    let failing = fixture.deploy("/sites/missing", json!({})).await;
    let service = fixture.wait(|service| settled(service) && service["deployments"][0]["id"] != failing["id"]).await;
    assert_eq!(service["deployments"][0]["id"], good);
    let newest = fixture.newest().await;
    assert_eq!(newest["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(target(&newest), number(&failing), "no new service deployment tells of the way back");
    assert_eq!(newest["deploymentCircuitBreaker"], json!({"status": "TRIGGERED", "failureCount": 3, "threshold": 3}));
    let back = bare(newest["rollback"]["serviceRevisionArn"].as_str().unwrap());
    assert_eq!(format!("ecs-svc/{back}"), good.as_str().unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_anything_good_a_deployment_that_fails_has_nothing_to_go_back_to() {
    let fixture = Fixture::new().await;
    fixture.register("/sites/missing").await;
    let network = fixture.describe().await["networkConfiguration"].clone();
    let service = json!({
        "cluster": "local", "serviceName": "new", "taskDefinition": "web:2", "desiredCount": 1, "launchType": "FARGATE",
        "networkConfiguration": network,
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
    });
    fixture.call("CreateService", service).await;
    tokio::time::sleep(MINUTE).await;
    let listed = fixture.call("ListServiceDeployments", json!({"cluster": "local", "service": "new"})).await;
    assert_eq!(listed["serviceDeployments"][0]["status"], "ROLLBACK_FAILED");
    let shown = fixture.call("DescribeServices", json!({"cluster": "local", "services": ["new"]})).await;
    assert_eq!(shown["services"][0]["deployments"][0]["rolloutState"], "FAILED");
}

#[tokio::test(start_paused = true)]
async fn blue_and_green_run_side_by_side_until_the_bake_time_is_over() {
    let mut fixture = Fixture::new().await;
    fixture.event_names();
    let green = fixture.deploy("/", json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10})).await;
    assert_eq!(green.get("rolloutState"), None, "the API reference: for rolling updates only");
    fixture.moment().await;
    let (service, newest) = (fixture.describe().await, fixture.newest().await);
    assert_eq!(service["deployments"][0]["id"], green["id"]);
    assert_eq!(service["runningCount"], 2, "{service}");
    assert_eq!(newest["lifecycleStage"], "BAKE_TIME");
    assert_eq!(newest["targetServiceRevision"]["requestedProductionTrafficWeight"], 100.0);
    assert_eq!(newest["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"], 0.0);
    assert_eq!(fixture.get("/").await.1, "web:2");
    tokio::time::sleep(9 * MINUTE).await;
    assert_eq!(fixture.newest().await["status"], "IN_PROGRESS");
    assert_eq!(fixture.describe().await["runningCount"], 2);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(fixture.newest().await["status"], "SUCCESSFUL");
    let service = fixture.describe().await;
    assert_eq!((service["runningCount"].as_u64(), service["deployments"].as_array().unwrap().len()), (Some(1), 1));
    assert_eq!(fixture.event_names(), ["SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED"]);
}

#[tokio::test(start_paused = true)]
async fn a_canary_gets_its_share_of_the_requests_and_then_all() {
    let fixture = Fixture::new().await;
    let canary = json!({"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 5});
    fixture.deploy("/", json!({"strategy": "CANARY", "canaryConfiguration": canary})).await;
    fixture.moment().await;
    assert_eq!(fixture.newest().await["lifecycleStage"], "PRODUCTION_TRAFFIC_SHIFT");
    assert_eq!(fixture.share_of("web:2").await, 10);
    tokio::time::sleep(6 * MINUTE).await;
    assert_eq!(fixture.newest().await["status"], "SUCCESSFUL");
    assert_eq!(fixture.share_of("web:2").await, 100);
}

#[tokio::test(start_paused = true)]
async fn a_linear_deployment_shifts_step_by_step() {
    let fixture = Fixture::new().await;
    let linear = json!({"stepPercent": 40.0, "stepBakeTimeInMinutes": 10});
    fixture.deploy("/", json!({"strategy": "LINEAR", "linearConfiguration": linear, "bakeTimeInMinutes": 0})).await;
    fixture.moment().await;
    let mut shares = Vec::new();
    for _ in 0..3 {
        shares.push(fixture.share_of("web:2").await);
        tokio::time::sleep(10 * MINUTE).await;
    }
    assert_eq!(shares, [40, 80, 100]);
    assert_eq!(fixture.newest().await["status"], "SUCCESSFUL", "no step bakes after all traffic has moved");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_in_the_bake_time_brings_blue_back() {
    let mut fixture = Fixture::new().await;
    let good = fixture.describe().await["deployments"][0]["id"].clone();
    let alarms = json!({"enable": true, "rollback": true, "alarmNames": ["errors"]});
    let off = json!({"enable": false, "rollback": false});
    let configuration = json!({
        "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 10, "alarms": alarms, "deploymentCircuitBreaker": off,
    });
    fixture.event_names();
    fixture.deploy("/", configuration).await;
    fixture.moment().await;
    assert_eq!(fixture.newest().await["alarms"]["status"], "MONITORING");
    fixture.ecs.set_alarm("errors", true);
    fixture.moment().await;
    let newest = fixture.newest().await;
    assert_eq!(newest["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(newest["alarms"]["triggeredAlarmNames"], json!(["errors"]));
    assert_eq!(newest["targetServiceRevision"]["requestedProductionTrafficWeight"], 0.0);
    let service = fixture.describe().await;
    assert_eq!((&service["deployments"][0]["id"], service["runningCount"].as_u64()), (&good, Some(1)));
    assert_eq!(fixture.get("/").await.1, "web:1");
    let (started, done) = ("SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED");
    assert_eq!(fixture.event_names(), [started, started, done], "FAILED is of services with a circuit breaker");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_rang_before_a_deployment_is_not_watched_in_it() {
    let fixture = Fixture::new().await;
    fixture.ecs.set_alarm("errors", true);
    let alarms = json!({"enable": true, "rollback": true, "alarmNames": ["errors"]});
    fixture.deploy("/", json!({"alarms": alarms})).await;
    fixture.wait(settled).await;
    let newest = fixture.newest().await;
    assert_eq!(
        (newest["status"].as_str(), newest["alarms"]["status"].as_str()),
        (Some("SUCCESSFUL"), Some("DISABLED"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_alarm_fails_a_rolling_deployment_for_good_where_no_rollback_is_wanted() {
    let fixture = Fixture::new().await;
    let alarms = json!({"enable": true, "rollback": false, "alarmNames": ["errors"]});
    let failing = fixture.deploy("/", json!({"alarms": alarms, "bakeTimeInMinutes": 5})).await;
    fixture.moment().await;
    assert_eq!(fixture.newest().await["lifecycleStage"], "BAKE_TIME");
    assert_eq!(fixture.describe().await["deployments"][0]["rolloutState"], "IN_PROGRESS");
    fixture.ecs.set_alarm("errors", true);
    fixture.moment().await;
    let (service, newest) = (fixture.describe().await, fixture.newest().await);
    assert_eq!((newest["status"].as_str(), newest.get("rollback")), (Some("STOPPED"), None));
    assert_eq!(newest["stoppedAt"], newest["finishedAt"]);
    assert_eq!(
        (&service["deployments"][0]["id"], &service["deployments"][0]["rolloutState"]),
        (&failing["id"], &json!("FAILED"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_hook_holds_a_deployment_until_somebody_continues_it() {
    let mut fixture = Fixture::new().await;
    let hook = json!({"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP", "POST_SCALE_UP"]});
    fixture.event_names();
    fixture.deploy("/", json!({"lifecycleHooks": [hook]})).await;
    tokio::time::sleep(600 * MINUTE).await;
    let newest = fixture.newest().await;
    assert_eq!(
        (newest["status"].as_str(), newest["lifecycleStage"].as_str()),
        (Some("IN_PROGRESS"), Some("PRE_SCALE_UP"))
    );
    let hook = fixture.hook().await;
    assert_eq!((hook["status"].as_str(), hook["timeoutAction"].as_str()), (Some("AWAITING_ACTION"), Some("ROLLBACK")));
    assert_eq!(hook["expiresAt"].as_f64().unwrap().round(), (newest["startedAt"].as_f64().unwrap() + 86_400.0).round());
    assert_eq!(fixture.get("/").await.1, "web:1");
    fixture.answer_hook("CONTINUE").await.unwrap();
    fixture.moment().await;
    assert_eq!(fixture.newest().await["lifecycleStage"], "POST_SCALE_UP", "it pauses at each of the stages");
    assert_eq!(fixture.get("/").await.1, "web:2");
    fixture.answer_hook("CONTINUE").await.unwrap();
    fixture.moment().await;
    assert_eq!(fixture.newest().await["status"], "SUCCESSFUL");
    assert_eq!(fixture.answer_hook("CONTINUE").await.unwrap_err().code, "InvalidParameterException");
    let awaiting = ["HOOK_AWAITING_ACTION", "HOOK_SUCCEEDED"];
    let (started, done) = ("SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED");
    assert_eq!(fixture.event_names(), [&[started][..], &awaiting, &awaiting, &[done]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_nobody_answers_does_what_it_was_told() {
    for (action, status) in [("ROLLBACK", "ROLLBACK_SUCCESSFUL"), ("CONTINUE", "SUCCESSFUL")] {
        let mut fixture = Fixture::new().await;
        let hook = json!({"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"],
            "timeoutConfiguration": {"timeoutInMinutes": 10, "action": action}});
        fixture.deploy("/", json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": [hook]})).await;
        tokio::time::sleep(9 * MINUTE).await;
        assert_eq!(fixture.newest().await["status"], "IN_PROGRESS");
        tokio::time::sleep(2 * MINUTE).await;
        assert_eq!(fixture.newest().await["status"], status);
        assert!(fixture.event_names().contains(&"HOOK_TIMED_OUT".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_before_the_shift_pauses_at_each_step() {
    let fixture = Fixture::new().await;
    let hook = json!({"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]});
    let canary = json!({"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 0});
    let configuration = json!({"strategy": "CANARY", "canaryConfiguration": canary, "lifecycleHooks": [hook]});
    fixture.deploy("/", configuration).await;
    let mut shares = Vec::new();
    for _ in 0..2 {
        fixture.moment().await;
        shares.push(fixture.share_of("web:2").await);
        fixture.answer_hook("CONTINUE").await.unwrap();
    }
    fixture.moment().await;
    assert_eq!((shares, fixture.newest().await["status"].as_str()), (vec![0, 20], Some("SUCCESSFUL")));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_stopped_goes_back_and_one_that_is_over_can_not_be_stopped() {
    for configuration in [json!({"bakeTimeInMinutes": 9}), json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 9})] {
        let fixture = Fixture::new().await;
        fixture.deploy("/", configuration).await;
        fixture.moment().await;
        fixture.stop().await.unwrap();
        assert_eq!(fixture.newest().await["status"], "ROLLBACK_REQUESTED");
        fixture.moment().await;
        assert_eq!(fixture.newest().await["status"], "ROLLBACK_SUCCESSFUL");
        assert_eq!(fixture.get("/").await.1, "web:1");
        assert_eq!(fixture.stop().await.unwrap_err().code, "ConflictException");
    }
    let fixture = Fixture::new().await;
    let unknown = json!({"serviceDeploymentArn": "arn:aws:ecs:us-east-1:000000000000:service-deployment/local/web/x"});
    let refused = fixture.ecs.call("StopServiceDeployment", unknown).await.unwrap_err();
    assert_eq!(refused.code, "ServiceDeploymentNotFoundException");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_another_supersedes_is_stopped() {
    let fixture = Fixture::new().await;
    fixture.deploy("/", json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 60})).await;
    fixture.moment().await;
    fixture.deploy("/sites/blog", json!({})).await;
    fixture.moment().await;
    let listed = fixture.call("ListServiceDeployments", json!({"cluster": "local", "service": "web"})).await;
    let statuses: Vec<&Value> =
        listed["serviceDeployments"].as_array().unwrap().iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["IN_PROGRESS", "STOPPED", "SUCCESSFUL"]);
    let running = fixture.describe().await["runningCount"].clone();
    assert_eq!(running, 2, "the one that was superseded has no tasks any more");
    tokio::time::sleep(61 * MINUTE).await;
    assert_eq!(fixture.newest().await["status"], "SUCCESSFUL");
}

#[tokio::test(start_paused = true)]
async fn early_success_is_told_while_old_tasks_still_run() {
    let fixture = Fixture::new().await;
    fixture.update(json!({"desiredCount": 4})).await.unwrap();
    fixture.wait(|service| service["runningCount"] == 4).await;
    let early = json!({"enable": true, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"});
    let configuration = json!({"minimumHealthyPercent": 50, "maximumPercent": 150, "earlySuccessCriteria": early});
    fixture.deploy("/", configuration).await;
    let service = fixture.wait(|service| service["deployments"][0]["rolloutState"] == "COMPLETED").await;
    assert_eq!(service["deployments"].as_array().unwrap().len(), 2, "{service}");
    assert_eq!(fixture.newest().await["status"], "SUCCESSFUL");
    fixture.wait(|service| settled(service) && service["runningCount"] == 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_without_tasks_is_deployed_at_once() {
    for strategy in ["ROLLING", "CANARY"] {
        let fixture = Fixture::new().await;
        fixture.update(json!({"desiredCount": 0})).await.unwrap();
        fixture.wait(|service| service["runningCount"] == 0).await;
        fixture.deploy("/sites/missing", json!({"strategy": strategy})).await;
        tokio::time::sleep(11 * MINUTE).await;
        assert_eq!(fixture.newest().await["status"], "SUCCESSFUL", "{strategy}");
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_that_stop_in_the_bake_time_are_replaced_on_both_sides() {
    let fixture = Fixture::new().await;
    fixture.deploy("/", json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 60})).await;
    fixture.moment().await;
    let tasks = fixture.call("ListTasks", json!({"cluster": "local", "serviceName": "web"})).await;
    for task in tasks["taskArns"].as_array().unwrap() {
        fixture.call("StopTask", json!({"cluster": "local", "task": task})).await;
    }
    fixture.moment().await;
    let revisions = fixture.describe().await["currentServiceRevisions"].clone();
    let running: Vec<&Value> = revisions.as_array().unwrap().iter().map(|one| &one["runningTaskCount"]).collect();
    assert_eq!(running, [1, 1]);
}
