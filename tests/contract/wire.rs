//! Protocols, errors and faults of the endpoint itself.

use aws_config::retry::RetryConfig;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use wharfinger_local::aws::{error::AwsError, faults::Fault};

use crate::ground::Ground;

async fn post(ground: &Ground, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut request = reqwest::Client::new().post(&ground.url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    assert!(answer.headers().contains_key("x-amzn-requestid"));
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_unknown_operation_gets_awss_own_answer() {
    let ground = Ground::new().await;
    let (status, body) = post(&ground, &[("x-amz-target", "DynamoDB_20120810.MakeCoffee")], "{}").await;
    assert_eq!(status, 400);
    assert!(body.contains("\"__type\":\"UnknownOperationException\""), "{body}");
    let authorization = "AWS4-HMAC-SHA256 Credential=AK/20260801/us-east-1/ec2/aws4_request, Signature=0";
    let (status, body) = post(&ground, &[("authorization", authorization)], "Action=MakeCoffee").await;
    assert_eq!(status, 400);
    assert!(body.contains("<Code>InvalidAction</Code>"), "{body}");
}

#[tokio::test]
async fn what_is_no_aws_request_gets_an_answer_that_helps() {
    let ground = Ground::new().await;
    let (status, body) = post(&ground, &[], "hello").await;
    assert_eq!(status, 403);
    assert!(body.contains("MissingAuthenticationToken") && body.contains("--endpoint-url"), "{body}");
    let (status, body) = post(&ground, &[("x-amz-target", "Lambda.Invoke")], "{}").await;
    assert_eq!(status, 404);
    assert!(body.contains("no service") && body.contains("dynamodb"), "{body}");
    let (status, body) = post(&ground, &[("x-amz-target", "DynamoDB_20120810.GetItem")], "{").await;
    assert_eq!(status, 400);
    assert!(body.contains("SerializationException"), "{body}");
}

#[tokio::test]
async fn a_throttled_call_is_tried_again_by_the_sdk() {
    let ground = Ground::new().await;
    ground.services.faults.throttle("ecs", "ListClusters", 2);
    let config = ground.config().await;
    let once = aws_sdk_ecs::Client::new(&config);
    let error = once.list_clusters().send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("ThrottlingException"));
    let patient = config.into_builder().retry_config(RetryConfig::standard()).build();
    aws_sdk_ecs::Client::new(&patient).list_clusters().send().await.unwrap();
    assert_eq!(ground.services.calls.count("ecs", "ListClusters"), 3);
    assert_eq!(ground.services.calls.by("AKIDTEST"), 3);
    assert_eq!(ground.services.calls.by("AKIDOTHER"), 0);
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_was_made() {
    let ground = Ground::new().await;
    ground.services.faults.inject("ecs", "CreateCluster", 1, Fault::LoseAnswer);
    let ecs = aws_sdk_ecs::Client::new(&ground.config().await);
    assert!(ecs.create_cluster().cluster_name("lost").send().await.is_err());
    let clusters = ecs.list_clusters().send().await.unwrap().cluster_arns.unwrap();
    assert!(clusters.iter().any(|arn| arn.ends_with("/lost")), "{clusters:?}");
}

#[tokio::test]
async fn an_injected_error_is_answered_in_the_callers_protocol() {
    let ground = Ground::new().await;
    let error = AwsError::client("RequestLimitExceeded", "Request limit exceeded.").with_status(503);
    for service in ["ec2", "elasticfilesystem"] {
        ground.services.faults.inject(service, "*", 1, Fault::Answer(error.clone()));
    }
    let config = ground.config().await;
    let ec2 = aws_sdk_ec2::Client::new(&config).describe_vpcs().send().await.unwrap_err();
    assert_eq!(ec2.into_service_error().code(), Some("RequestLimitExceeded"));
    let efs = aws_sdk_efs::Client::new(&config).describe_file_systems().send().await.unwrap_err();
    assert_eq!(efs.into_service_error().code(), Some("RequestLimitExceeded"));
}
