//! Protocols, errors and faults of the endpoint itself.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_sdk_cloudwatch::{primitives::DateTime, types::Dimension};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wharfinger_emulator::{
    endpoint::{
        faults::Fault,
        front::{self, Services},
        traffic::Traffic,
    },
    error::AwsError,
    service::Service,
};

use crate::emulated_region::EmulatedRegion;

async fn post(region: &EmulatedRegion, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut request = reqwest::Client::new().post(&region.url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    assert!(answer.headers().contains_key("x-amzn-requestid"));
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_unknown_operation_gets_awss_own_answer() {
    let region = EmulatedRegion::new().await;
    let (status, body) = post(&region, &[("x-amz-target", "DynamoDB_20120810.MakeCoffee")], "{}").await;
    assert_eq!(status, 400);
    assert!(body.contains("\"__type\":\"UnknownOperationException\""), "{body}");
    let authorization = "AWS4-HMAC-SHA256 Credential=AK/20260801/us-east-1/ec2/aws4_request, Signature=0";
    let (status, body) = post(&region, &[("authorization", authorization)], "Action=MakeCoffee").await;
    assert_eq!(status, 400);
    assert!(body.contains("<Code>InvalidAction</Code>"), "{body}");
}

#[tokio::test]
async fn what_is_no_aws_request_gets_an_answer_that_helps() {
    let region = EmulatedRegion::new().await;
    let (status, body) = post(&region, &[], "hello").await;
    assert_eq!(status, 403);
    assert!(body.contains("MissingAuthenticationToken") && body.contains("--endpoint-url"), "{body}");
    let s3 = "AWS4-HMAC-SHA256 Credential=AK/20260801/us-east-1/s3/aws4_request, Signature=0";
    let (status, body) = post(&region, &[("authorization", s3)], "").await;
    assert_eq!(status, 404);
    assert!(body.contains("no service"), "{body}");
    let (status, body) = post(&region, &[("x-amz-target", "Lambda.Invoke")], "{}").await;
    assert_eq!(status, 404);
    assert!(body.contains("no service") && body.contains("dynamodb"), "{body}");
    let (status, body) = post(&region, &[("x-amz-target", "DynamoDB_20120810.GetItem")], "{").await;
    assert_eq!(status, 400);
    assert!(body.contains("SerializationException"), "{body}");
}

#[tokio::test]
async fn a_throttled_call_is_tried_again_by_the_sdk() {
    let region = EmulatedRegion::new().await;
    region.services.faults.throttle("ecs", "ListClusters", 2);
    let config = region.config().await;
    let once = aws_sdk_ecs::Client::new(&config);
    let error = once.list_clusters().send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("ThrottlingException"));
    let patient = config.into_builder().retry_config(RetryConfig::standard()).build();
    aws_sdk_ecs::Client::new(&patient).list_clusters().send().await.unwrap();
    assert_eq!(region.services.calls.count("ecs", "ListClusters"), 3);
    assert_eq!(region.services.calls.by("AKIDTEST"), 3);
    assert_eq!(region.services.calls.by("AKIDOTHER"), 0);
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_was_made() {
    let region = EmulatedRegion::new().await;
    region.services.faults.inject("ecs", "CreateCluster", 1, Fault::LoseAnswer);
    let ecs = aws_sdk_ecs::Client::new(&region.config().await);
    assert!(ecs.create_cluster().cluster_name("lost").send().await.is_err());
    let clusters = ecs.list_clusters().send().await.unwrap().cluster_arns.unwrap();
    assert!(clusters.iter().any(|arn| arn.ends_with("/lost")), "{clusters:?}");
}

#[tokio::test]
async fn a_busy_service_throttles_with_its_own_code_and_a_distant_one_is_slow() {
    let region = EmulatedRegion::new().await;
    let rates = ["ec2=0.001/s".parse().unwrap(), "dynamodb.ListTables=0.001/s".parse().unwrap()];
    let latencies = ["dynamodb=50ms".parse().unwrap()];
    let services = region.services.clone().with_traffic(Traffic::new(&latencies, &rates));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    tokio::spawn(front::serve(listener, services, shutdown.clone()));
    let config = region.config().await.into_builder().endpoint_url(url).build();
    let ec2 = aws_sdk_ec2::Client::new(&config);
    ec2.describe_vpcs().send().await.unwrap();
    let refused = ec2.describe_subnets().send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("RequestLimitExceeded"));
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let started = Instant::now();
    dynamodb.list_tables().send().await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(50));
    let refused = dynamodb.list_tables().send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("ThrottlingException"));
    shutdown.cancel();
}

#[tokio::test]
async fn an_injected_error_is_answered_in_the_callers_protocol() {
    let region = EmulatedRegion::new().await;
    let error = AwsError::client("RequestLimitExceeded", "Request limit exceeded.").with_status(503);
    for service in ["ec2", "elasticfilesystem"] {
        region.services.faults.inject(service, "*", 1, Fault::Answer(error.clone()));
    }
    let config = region.config().await;
    let ec2 = aws_sdk_ec2::Client::new(&config).describe_vpcs().send().await.unwrap_err();
    assert_eq!(ec2.into_service_error().code(), Some("RequestLimitExceeded"));
    let efs = aws_sdk_efs::Client::new(&config).describe_file_systems().send().await.unwrap_err();
    assert_eq!(efs.into_service_error().code(), Some("RequestLimitExceeded"));
}

/// A CloudWatch that remembers what it was asked, and knows one datapoint.
struct Monitoring(Mutex<Value>);

#[async_trait]
impl Service for Monitoring {
    fn name(&self) -> &'static str {
        "monitoring"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        *self.0.lock().unwrap() = input;
        match operation {
            "GetMetricStatistics" => Ok(json!({"Datapoints": [{"Timestamp": 1_700_000_000.5, "Sum": 3.0}]})),
            _ => Err(AwsError::client("InvalidParameterValueException", "The period is wrong.")),
        }
    }

    fn snapshot(&self) -> Value {
        Value::Null
    }
}

#[tokio::test]
async fn cloudwatch_is_spoken_to_in_cbor() {
    let region = EmulatedRegion::new().await;
    let monitoring = Arc::new(Monitoring(Mutex::default()));
    let services = Services::new([Arc::clone(&monitoring) as Arc<dyn Service>]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    tokio::spawn(front::serve(listener, services, shutdown.clone()));
    let config = region.config().await.into_builder().endpoint_url(url).build();
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    let answer = cloudwatch
        .get_metric_statistics()
        .namespace("AWS/Transfer")
        .metric_name("BytesIn")
        .dimensions(Dimension::builder().name("ServerId").value("s-1").build())
        .start_time(DateTime::from_secs(1_700_000_000))
        .end_time(DateTime::from_secs(1_700_000_300))
        .period(300)
        .statistics("Sum".into())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.datapoints()[0].sum(), Some(3.0));
    assert_eq!(answer.datapoints()[0].timestamp(), Some(&DateTime::from_secs_f64(1_700_000_000.5)));
    let asked = monitoring.0.lock().unwrap().clone();
    assert_eq!(asked["StartTime"].as_f64(), Some(1_700_000_000.0));
    assert_eq!(asked["Dimensions"], json!([{"Name": "ServerId", "Value": "s-1"}]));
    let error = cloudwatch.list_metrics().send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_value_exception(), "{error:?}");
    shutdown.cancel();
}
