use std::time::Duration;

use super::*;
use crate::{clock::Clock, testing};

fn service(saved: Option<Value>) -> Arc<SecretsManager> {
    let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    SecretsManager::new(testing::context_at(clock), saved).unwrap()
}

async fn code(service: &SecretsManager, operation: &str, input: Value) -> String {
    match service.call(operation, input).await {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code,
    }
}

#[tokio::test]
async fn a_secret_is_found_by_name_arn_and_partial_arn() {
    let service = service(None);
    let made = service.call("CreateSecret", json!({ "Name": "wharfinger/main", "SecretString": "s" })).await.unwrap();
    let arn = made["ARN"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:secretsmanager:us-east-1:000000000000:secret:wharfinger/main-"));
    for id in ["wharfinger/main", arn, &arn[..arn.len() - 7]] {
        let value = service.call("GetSecretValue", json!({ "SecretId": id })).await.unwrap();
        assert_eq!(value["SecretString"], "s", "{id}");
    }
    assert_eq!(code(&service, "GetSecretValue", json!({ "SecretId": "main" })).await, "ResourceNotFoundException");
}

#[tokio::test]
async fn the_same_token_and_value_again_is_the_same_secret() {
    let service = service(None);
    let input = json!({ "Name": "a", "SecretString": "s", "ClientRequestToken": "t".repeat(32) });
    let first = service.call("CreateSecret", input.clone()).await.unwrap();
    assert_eq!(service.call("CreateSecret", input).await.unwrap(), first);
    let other = json!({ "Name": "a", "SecretString": "x", "ClientRequestToken": "t".repeat(32) });
    assert_eq!(code(&service, "CreateSecret", other).await, "ResourceExistsException");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_secret_keeps_its_name_until_the_window_is_over() {
    let service = service(None);
    let create = json!({ "Name": "a", "SecretString": "s" });
    service.call("CreateSecret", create.clone()).await.unwrap();
    service.call("DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 7 })).await.unwrap();
    assert_eq!(code(&service, "GetSecretValue", json!({ "SecretId": "a" })).await, "InvalidRequestException");
    assert_eq!(code(&service, "CreateSecret", create.clone()).await, "InvalidRequestException");
    assert_eq!(code(&service, "RestoreSecret", json!({ "SecretId": "a" })).await, "ok");
    service.call("DeleteSecret", json!({ "SecretId": "a", "RecoveryWindowInDays": 7 })).await.unwrap();
    tokio::time::advance(Duration::from_secs(8 * 86_400)).await;
    assert_eq!(code(&service, "CreateSecret", create).await, "ok");
}

#[tokio::test]
async fn a_new_value_makes_the_old_one_previous_and_survives_a_restart() {
    let first = service(None);
    first.call("CreateSecret", json!({ "Name": "a", "SecretString": "1" })).await.unwrap();
    first.call("PutSecretValue", json!({ "SecretId": "a", "SecretString": "2" })).await.unwrap();
    let again = service(Some(first.snapshot()));
    for (stage, value) in [(CURRENT, "2"), (PREVIOUS, "1")] {
        let found = again.call("GetSecretValue", json!({ "SecretId": "a", "VersionStage": stage })).await.unwrap();
        assert_eq!(found["SecretString"], value);
    }
}

#[tokio::test]
async fn what_this_region_would_ignore_is_refused() {
    let service = service(None);
    service.call("CreateSecret", json!({ "Name": "a", "SecretString": "1" })).await.unwrap();
    for (member, value) in [
        ("KmsKeyId", json!("alias/mine")),
        ("AddReplicaRegions", json!([{ "Region": "eu-west-1" }])),
        ("ForceOverwriteReplicaSecret", json!(true)),
    ] {
        let mut create = json!({ "Name": "b", "SecretString": "1" });
        create[member] = value;
        assert_eq!(code(&service, "CreateSecret", create).await, "InvalidParameterException", "{member}");
    }
    let put = |stages: Value| json!({ "SecretId": "a", "SecretString": "2", "VersionStages": stages });
    assert_eq!(code(&service, "PutSecretValue", put(json!(["AWSPENDING"]))).await, "InvalidParameterException");
    assert_eq!(code(&service, "PutSecretValue", put(json!(["AWSCURRENT"]))).await, "ok");
    let own_key = json!({ "Name": "c", "SecretString": "1", "KmsKeyId": "alias/aws/secretsmanager" });
    assert_eq!(code(&service, "CreateSecret", own_key).await, "ok");
}

#[tokio::test]
async fn a_version_asked_for_by_id_and_stage_must_be_both() {
    let service = service(None);
    let first = service.call("CreateSecret", json!({ "Name": "a", "SecretString": "1" })).await.unwrap();
    service.call("PutSecretValue", json!({ "SecretId": "a", "SecretString": "2" })).await.unwrap();
    let ask = |stage: &str| json!({ "SecretId": "a", "VersionId": first["VersionId"], "VersionStage": stage });
    assert_eq!(code(&service, "GetSecretValue", ask(PREVIOUS)).await, "ok");
    assert_eq!(code(&service, "GetSecretValue", ask(CURRENT)).await, "ResourceNotFoundException");
}
