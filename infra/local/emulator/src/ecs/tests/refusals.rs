//! What a service may not be told: by its deployment controller, and of its deployment configuration.

use super::*;

#[tokio::test]
async fn others_than_ecs_deploy_services_of_other_controllers() {
    let fixture = Fixture::new().await;
    let network = fixture.describe().await["networkConfiguration"].clone();
    let balancer = json!([{"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/a/1",
        "containerName": "web", "containerPort": 80}]);
    let service = |name: &str, controller: &str| {
        json!({"cluster": "local", "serviceName": name, "desiredCount": 1, "launchType": "FARGATE",
            "networkConfiguration": network, "loadBalancers": balancer, "deploymentController": {"type": controller}})
    };
    let mut codedeploy = service("codedeploy", "CODE_DEPLOY");
    codedeploy["taskDefinition"] = "web:1".into();
    let shown = fixture.call("CreateService", codedeploy).await["service"].clone();
    assert_eq!((&shown["deployments"], &shown["taskSets"][0]["status"]), (&json!([]), &json!("PRIMARY")));
    let shown = fixture.call("CreateService", service("external", "EXTERNAL")).await["service"].clone();
    assert_eq!((&shown["deployments"], &shown["taskSets"]), (&json!([]), &json!([])));
    for (name, controller) in [("codedeploy", "a CODE_DEPLOY"), ("external", "an EXTERNAL")] {
        for change in [json!({"taskDefinition": "web:1"}), json!({"forceNewDeployment": true})] {
            let mut input = json!({"cluster": "local", "service": name});
            input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let refused = fixture.ecs.call("UpdateService", input).await.unwrap_err();
            assert_eq!(refused.code, "InvalidParameterException");
            assert!(
                refused.message.contains(&format!("on services with {controller} deployment controller")),
                "{refused}"
            );
        }
        fixture.call("UpdateService", json!({"cluster": "local", "service": name, "desiredCount": 2})).await;
        let listed = fixture.call("ListServiceDeployments", json!({"cluster": "local", "service": name})).await;
        assert_eq!(listed["serviceDeployments"], json!([]));
    }
}

#[tokio::test]
async fn a_deployment_configuration_that_ecs_would_refuse_is_refused() {
    let fixture = Fixture::new().await;
    let pause = |stage: &str| json!([{"targetType": "PAUSE", "lifecycleStages": [stage]}]);
    for (configuration, word) in [
        (json!({"maximumPercent": 100}), "block deployments"),
        (json!({"strategy": "SLOWLY"}), "SLOWLY"),
        (json!({"strategy": "LINEAR", "canaryConfiguration": {"canaryPercent": 5.0}}), "canaryConfiguration"),
        (json!({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.9}}), "stepPercent"),
        (json!({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 1.23}}), "canaryPercent"),
        (json!({"bakeTimeInMinutes": 1441}), "bakeTimeInMinutes"),
        (json!({"deploymentCircuitBreaker": {"enable": true}}), "rollback"),
        (json!({"alarms": {"enable": true, "rollback": true, "alarmNames": []}}), "alarmNames"),
        (json!({"strategy": "BLUE_GREEN", "lifecycleHooks": pause("TEST_TRAFFIC_SHIFT")}), "TEST_TRAFFIC_SHIFT"),
        (json!({"lifecycleHooks": [{"hookTargetArn": "arn:aws:lambda:us-east-1:1:function:f"}]}), "Lambda"),
        (json!({"strategy": "CANARY", "earlySuccessCriteria": {"enable": true}}), "ROLLING"),
        (json!({"earlySuccessCriteria": {"enable": true, "healthyPercent": 50}}), "healthyPercent"),
    ] {
        let mut configuration = configuration;
        if configuration["strategy"] == "BLUE_GREEN" {
            configuration["bakeTimeInMinutes"] = 1.into();
        }
        let refused = fixture.update(json!({"deploymentConfiguration": configuration})).await.unwrap_err();
        assert_eq!(refused.code, "InvalidParameterException");
        assert!(refused.message.contains(word), "{}", refused.message);
    }
    let shown = fixture.describe().await["deploymentConfiguration"].clone();
    assert_eq!((shown["strategy"].as_str(), shown["maximumPercent"].as_u64()), (Some("ROLLING"), Some(200)));
    let green = json!({"strategy": "BLUE_GREEN"});
    let unbaked = fixture.ecs.call("CreateService", json!({
        "cluster": "local", "serviceName": "new", "taskDefinition": "web:1", "desiredCount": 1,
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}, "deploymentConfiguration": green,
    }));
    // The default of a service is no bake time: one that is given none asks for none.
    unbaked.await.unwrap();
}
