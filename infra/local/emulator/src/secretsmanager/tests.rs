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
    let put = json!({ "SecretId": "a", "SecretString": "2", "RotationToken": "t" });
    assert_eq!(code(&service, "PutSecretValue", put).await, "InvalidParameterException");
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

/// Stores `value` in the secret `a` under these labels, with a token made of `token`.
async fn put(service: &SecretsManager, value: &str, stages: &[&str], token: &str) -> Result<Value, AwsError> {
    let token = token.repeat(32);
    let input = json!({ "SecretId": "a", "SecretString": value, "VersionStages": stages, "ClientRequestToken": token });
    service.call("PutSecretValue", input).await
}

/// The value under each label; `None` where no version has it.
async fn under(service: &SecretsManager, stages: &[&str]) -> Vec<Option<String>> {
    let mut values = Vec::new();
    for stage in stages {
        let found = service.call("GetSecretValue", json!({ "SecretId": "a", "VersionStage": stage })).await;
        values.push(found.ok().map(|found| found["SecretString"].as_str().unwrap().to_owned()));
    }
    values
}

async fn with_a() -> Arc<SecretsManager> {
    let service = service(None);
    service.call("CreateSecret", json!({ "Name": "a", "SecretString": "1" })).await.unwrap();
    service
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[tokio::test]
async fn a_version_with_labels_of_its_own_leaves_the_current_one_alone() {
    let service = with_a().await;
    let stored = put(&service, "2", &["rsa"], "r").await.unwrap();
    assert_eq!((&stored["VersionId"], &stored["VersionStages"]), (&json!("r".repeat(32)), &json!(["rsa"])));
    assert_eq!(under(&service, &[CURRENT, "rsa"]).await, some(&["1", "2"]));
    assert_eq!(under(&service, &[PREVIOUS]).await, [None]);

    service.call("PutSecretValue", json!({ "SecretId": "a", "SecretString": "3" })).await.unwrap();
    service.call("PutSecretValue", json!({ "SecretId": "a", "SecretString": "4" })).await.unwrap();
    assert_eq!(under(&service, &[CURRENT, PREVIOUS, "rsa"]).await, some(&["4", "3", "2"]));
    let again = self::service(Some(service.snapshot()));
    assert_eq!(under(&again, &[CURRENT, PREVIOUS, "rsa"]).await, some(&["4", "3", "2"]));
}

#[tokio::test]
async fn a_label_moves_to_the_version_that_is_stored_with_it() {
    let service = with_a().await;
    put(&service, "2", &["rsa", "old"], "r").await.unwrap();
    put(&service, "3", &["rsa"], "s").await.unwrap();
    assert_eq!(under(&service, &["rsa", "old"]).await, some(&["3", "2"]));

    put(&service, "4", &["old"], "t").await.unwrap();
    // No label holds it any more. It is not shown, but is still there for whoever knows its id.
    let by_id = json!({ "SecretId": "a", "VersionId": "r".repeat(32) });
    assert_eq!(service.call("GetSecretValue", by_id).await.unwrap()["SecretString"], "2");
    let shown = service.resource("a").unwrap()["VersionIdsToStages"].clone();
    assert_eq!(shown.as_object().unwrap().len(), 3, "{shown}");
}

#[tokio::test]
async fn a_token_stands_for_one_value_and_its_first_labels() {
    let service = with_a().await;
    put(&service, "2", &["rsa"], "r").await.unwrap();
    assert!(put(&service, "2", &["other"], "r").await.is_ok());
    assert_eq!(under(&service, &["rsa", "other"]).await, [Some("2".to_owned()), None]);
    assert_eq!(put(&service, "3", &["rsa"], "r").await.unwrap_err().code, "ResourceExistsException");
    // Also when no label holds its version any more.
    put(&service, "4", &["rsa"], "s").await.unwrap();
    assert_eq!(put(&service, "3", &["rsa"], "r").await.unwrap_err().code, "ResourceExistsException");
    assert_eq!(under(&service, &["rsa"]).await, some(&["4"]));
}

#[tokio::test]
async fn the_first_version_is_the_current_one_whatever_its_labels() {
    let service = service(None);
    service.call("CreateSecret", json!({ "Name": "a" })).await.unwrap();
    assert_eq!(under(&service, &[CURRENT]).await, [None]);
    put(&service, "1", &["rsa"], "r").await.unwrap();
    assert_eq!(under(&service, &[CURRENT, "rsa"]).await, some(&["1", "1"]));
}

#[tokio::test]
async fn labels_and_tokens_have_their_limits() {
    let service = with_a().await;
    let names: Vec<String> = (0..21).map(|n| format!("label-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for wrong in [&names[..], &[], &[""], &["l".repeat(257).as_str()]] {
        assert_eq!(put(&service, "2", wrong, "r").await.unwrap_err().code, "ValidationException", "{wrong:?}");
    }
    assert_eq!(put(&service, "2", &names[..20], "r").await.unwrap_err().code, "LimitExceededException");
    assert!(put(&service, "2", &names[..19], "r").await.is_ok(), "with AWSCURRENT they are twenty");
    let short = json!({ "SecretId": "a", "SecretString": "3", "ClientRequestToken": "t" });
    assert_eq!(code(&service, "PutSecretValue", short).await, "InvalidParameterException");
}

#[tokio::test(start_paused = true)]
async fn a_version_goes_only_when_no_label_holds_it_and_there_are_too_many() {
    let service = with_a().await;
    put(&service, "rsa", &["rsa"], "r").await.unwrap();
    put(&service, "loose", &["moving"], "s").await.unwrap();
    let loose = json!({ "SecretId": "a", "VersionId": "s".repeat(32) });
    for day in 0..100 {
        let put = json!({ "SecretId": "a", "SecretString": day.to_string(), "VersionStages": ["moving"] });
        service.call("PutSecretValue", put).await.unwrap();
        let is_there = code(&service, "GetSecretValue", loose.clone()).await == "ok";
        assert_eq!(is_there, day < 97, "{day}");
        tokio::time::advance(Duration::from_secs(86_400)).await;
    }
    assert_eq!(under(&service, &[CURRENT, "rsa"]).await, some(&["1", "rsa"]));
}
