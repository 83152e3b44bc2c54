//! Task definitions: what is refused, what is filled in, and what stays as it came.

use super::*;

#[tokio::test]
async fn a_task_definition_that_ecs_would_refuse_is_refused() {
    let fixture = Fixture::new().await;
    let with = |efs: Value, point: &str| {
        json!({"family": "f", "volumes": [{"name": "v", "efsVolumeConfiguration": efs}], "containerDefinitions": [
            {"name": "c", "image": "i", "memory": 1, "mountPoints": [{"sourceVolume": point, "containerPath": "/x"}]},
        ]})
    };
    let plain = |members: Value| {
        let mut definition = json!({"family": "f", "containerDefinitions": [{"name": "c", "image": "i", "memory": 1}]});
        definition.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        definition
    };
    let file_system = FILE_SYSTEM;
    let point = json!({"accessPointId": "fsap-1"});
    for (input, word) in [
        (with(json!({"fileSystemId": file_system}), "other"), "Unknown volume 'other'."),
        (with(json!({"fileSystemId": file_system, "authorizationConfig": {"iam": "ENABLED"}}), "v"), "IAM"),
        (with(json!({"fileSystemId": file_system, "authorizationConfig": point}), "v"), "transitEncryption"),
        (
            with(
                json!({"fileSystemId": file_system, "authorizationConfig": point, "rootDirectory": "/a",
                    "transitEncryption": "ENABLED"}),
                "v",
            ),
            "rootDirectory",
        ),
        (json!({"family": "f", "containerDefinitions": []}), "Container list"),
        (plain(json!({"networkMode": "tunnel"})), "tunnel"),
        (plain(json!({"requiresCompatibilities": ["FARGATE"]})), "awsvpc"),
        (plain(json!({"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc"})), "'cpu'"),
        (
            plain(json!({"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256",
                "memory": "4096"})),
            "No Fargate configuration",
        ),
        (plain(json!({"ipcMode": "x".repeat(70_000)})), "65536"),
    ] {
        let error = fixture.ecs.call("RegisterTaskDefinition", input).await.unwrap_err();
        assert_eq!(error.code, "ClientException");
        assert!(error.message.contains(word), "{}", error.message);
    }
    let tags: Vec<Value> = (0..51).map(|number| json!({"key": number.to_string(), "value": ""})).collect();
    let tagged = fixture.ecs.call("RegisterTaskDefinition", plain(json!({"tags": tags}))).await.unwrap_err();
    assert_eq!(tagged.code, "InvalidParameterException");
}

#[tokio::test]
async fn a_description_shows_what_ecs_fills_in() {
    let fixture = Fixture::new().await;
    let volume = json!({"name": "v", "efsVolumeConfiguration": {"fileSystemId": FILE_SYSTEM}});
    let container = json!({"name": "c", "image": "i", "portMappings": [{"containerPort": 80}]});
    let definition = json!({"family": "f", "networkMode": "awsvpc", "cpu": ".25 vCPU", "memory": "0.5GB",
        "requiresCompatibilities": ["FARGATE"], "volumes": [volume], "containerDefinitions": [container]});
    let registered = fixture.ecs.call("RegisterTaskDefinition", definition).await.unwrap();
    let shown = &registered["taskDefinition"];
    assert_eq!((shown["cpu"].as_str(), shown["memory"].as_str()), (Some("256"), Some("512")));
    assert_eq!(shown["volumes"][0]["efsVolumeConfiguration"]["rootDirectory"], "/");
    let port = json!({"containerPort": 80, "hostPort": 80, "protocol": "tcp"});
    assert_eq!(shown["containerDefinitions"][0]["portMappings"], json!([port]));
    assert_eq!(shown["compatibilities"], json!(["EC2", "FARGATE"]));
}

#[tokio::test]
async fn a_task_definition_that_fargate_can_not_run_is_not_deployed_there() {
    let fixture = Fixture::new().await;
    let container = json!([{"name": "web", "image": "i", "memory": 128}]);
    fixture
        .ecs
        .call("RegisterTaskDefinition", json!({"family": "web", "containerDefinitions": container}))
        .await
        .unwrap();
    let refused = fixture.update(json!({"taskDefinition": "web:2"})).await.unwrap_err();
    assert!(refused.message.contains("networkMode"), "{refused}");
    let small = json!({"family": "web", "networkMode": "awsvpc", "containerDefinitions": container});
    fixture.ecs.call("RegisterTaskDefinition", small).await.unwrap();
    let refused = fixture.update(json!({"taskDefinition": "web:3"})).await.unwrap_err();
    assert_eq!(refused.message, "Task definition does not support launch_type FARGATE.");
}

#[tokio::test]
async fn a_description_holds_what_was_registered_and_this_region_does_not_know() {
    let fixture = Fixture::new().await;
    let input = json!({
        "family": "other", "memory": "512", "futureMember": {"a": [1, null]}, "tags": [{"key": "k", "value": "v"}],
        "containerDefinitions": [{"name": "c", "image": "i", "futureToo": 1}],
    });
    fixture.ecs.call("RegisterTaskDefinition", input).await.unwrap();
    let plain = fixture.ecs.call("DescribeTaskDefinition", json!({"taskDefinition": "other"})).await.unwrap();
    assert_eq!(plain["taskDefinition"]["futureMember"], json!({"a": [1, null]}));
    assert_eq!(plain["taskDefinition"]["containerDefinitions"][0]["futureToo"], 1);
    assert_eq!(plain.get("tags"), None);
    let input = json!({"taskDefinition": "other:1", "include": ["TAGS"]});
    let tagged = fixture.ecs.call("DescribeTaskDefinition", input).await.unwrap();
    assert_eq!(tagged["tags"], json!([{"key": "k", "value": "v"}]));
}
