//! The API over an embedded DynamoDB, reached by the real SDK through an HTTP client that ends in this process. It
//! keeps what was sent to the queues, and counts the calls, so that a test can show that there was none.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode as Status,
};
use aws_smithy_types::body::SdkBody;
use axum::{Router, body::Body, response::Response};
use dynoxide::Database;
use http::{HeaderMap, Request, StatusCode};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use wharfinger_chance::Chance;
use wharfinger_runtime::{Environment, Moment};
use wharfinger_store::table::{Guard, Key, Table};

use crate::{App, handle, router};

/// AWS in this process.
#[derive(Clone)]
pub(crate) struct Cloud {
    database: Arc<Database>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    messages: Vec<Value>,
    refuse_with: Option<(&'static str, &'static str)>,
    meeting: Option<Meeting>,
    lose_answer_to: Option<&'static str>,
}

/// So many calls of an operation are held until all have come.
struct Meeting {
    operation: &'static str,
    missing: usize,
    barrier: Arc<Barrier>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cloud")
    }
}

impl HttpConnector for Cloud {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").expect("the services speak awsJson").to_owned();
        let input = serde_json::from_slice(request.body().bytes().expect("a body in memory")).expect("JSON");
        let cloud = self.clone();
        HttpConnectorFuture::new(async move {
            if let Some(barrier) = cloud.meet(&target) {
                barrier.wait().await;
            }
            let (status, answer) = cloud.answer(&target, input);
            if cloud.loses_answer(&target) {
                return Err(ConnectorError::io("the connection broke off".into()));
            }
            let status = Status::try_from(status).expect("a status");
            Ok(HttpResponse::new(status, SdkBody::from(answer.to_string())))
        })
    }
}

impl HttpClient for Cloud {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl Cloud {
    fn meet(&self, target: &str) -> Option<Arc<Barrier>> {
        let mut state = self.state.lock().unwrap();
        let meeting = state.meeting.as_mut().filter(|it| it.missing > 0 && target.ends_with(it.operation))?;
        meeting.missing -= 1;
        Some(Arc::clone(&meeting.barrier))
    }

    fn loses_answer(&self, target: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        state.lose_answer_to.take_if(|operation| target.ends_with(*operation)).is_some()
    }

    fn answer(&self, target: &str, input: Value) -> (u16, Value) {
        let mut state = self.state.lock().unwrap();
        state.calls.push(target.to_owned());
        if let Some((service, code)) = state.refuse_with
            && target.starts_with(service)
        {
            return (400, json!({ "__type": code, "message": "as the test wants it" }));
        }
        if target == "AmazonSQS.SendMessage" {
            let body = input["MessageBody"].as_str().expect("a message has a body");
            state.messages.push(serde_json::from_str(body).expect("our messages are JSON"));
            return (200, json!({ "MessageId": "m", "MD5OfMessageBody": "0" }));
        }
        let database = &self.database;
        match target.rsplit('.').next().expect("a target has an operation") {
            "GetItem" => run(input, |input| database.get_item(input)),
            "PutItem" => run(input, |input| database.put_item(input)),
            "UpdateItem" => run(input, |input| database.update_item(input)),
            "DeleteItem" => run(input, |input| database.delete_item(input)),
            "Query" => run(input, |input| database.query(input)),
            "TransactWriteItems" => run(input, |input| database.transact_write_items(input)),
            other => panic!("the API does not call {other}"),
        }
    }
}

fn run<I: DeserializeOwned, O: Serialize>(
    input: Value,
    call: impl FnOnce(I) -> Result<O, dynoxide::DynoxideError>,
) -> (u16, Value) {
    match call(serde_json::from_value(input).expect("the SDK's request has DynamoDB's form")) {
        Ok(output) => (200, serde_json::to_value(output).expect("DynamoDB's answers are JSON")),
        Err(error) => (400, serde_json::from_str(&error.to_json()).expect("DynamoDB's errors are JSON")),
    }
}

/// The API and what stands behind it.
pub(crate) struct Stage {
    pub(crate) router: Router,
    cloud: Cloud,
    pub(crate) table: Table,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The last part of a problem's type.
    pub(crate) fn problem(&self) -> &str {
        self.body["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:#}", self.body);
        self
    }

    /// The header `name`.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

impl Stage {
    /// An API with an empty table.
    pub(crate) fn new() -> Self {
        Self::with_retries(RetryConfig::disabled())
    }

    /// The same, with an SDK that tries again as `retries` says.
    pub(crate) fn with_retries(retries: RetryConfig) -> Self {
        let database = Database::memory().unwrap();
        let table = json!({
            "TableName": "wharfinger",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        });
        database.create_table(serde_json::from_value(table).unwrap()).unwrap();
        let cloud = Cloud { database: Arc::new(database), state: Arc::default() };
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
            .retry_config(retries)
            .http_client(cloud.clone())
            .build();
        let environment = Environment::from_iter([
            ("TABLE_NAME", "wharfinger"),
            ("SERVERS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/0/servers"),
            ("TICKS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/0/ticks"),
        ]);
        let api = App::new(&sdk, &environment, Chance::seeded(1)).unwrap();
        let table = api.table.clone();
        Self { router: router(api), cloud, table }
    }

    /// Sends a request.
    #[expect(clippy::disallowed_methods, reason = "the tests' requests are sent now")]
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let now = Timestamp::now();
        let moment = Moment::new(now, now);
        let response: Response = handle(self.router.clone(), request, moment).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Answer { status, headers, body }
    }

    /// Sends `method path`, such as `PUT /v1/sites/blog`, with the JSON `body`.
    pub(crate) async fn ask(&self, line: &str, body: &Value) -> Answer {
        self.ask_if(line, body, &[]).await
    }

    /// The same, with further headers.
    pub(crate) async fn ask_if(&self, line: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { body.to_string().into() };
        self.send(request.body(body).unwrap()).await
    }

    /// Sends `method path` without a body.
    pub(crate) async fn get(&self, line: &str) -> Answer {
        self.ask(line, &Value::Null).await
    }

    /// What was sent to the queues since the last look.
    pub(crate) fn messages(&self) -> Vec<Value> {
        std::mem::take(&mut self.cloud.state.lock().unwrap().messages)
    }

    /// The AWS calls since the last look.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.cloud.state.lock().unwrap().calls)
    }

    /// Writes the item `sk` of the partition `pk` as it stands, in plain JSON.
    pub(crate) async fn plant(&self, pk: &str, sk: &str, item: &Value) {
        self.table.put(&Key::new(pk, sk), item, Guard::none()).await.unwrap();
    }

    /// The next `calls` calls of `operation` wait until all of them have come.
    pub(crate) fn meet(&self, operation: &'static str, calls: usize) {
        let meeting = Meeting { operation, missing: calls, barrier: Arc::new(Barrier::new(calls)) };
        self.cloud.state.lock().unwrap().meeting = Some(meeting);
    }

    /// The next call of `operation` is done, and its answer is lost.
    pub(crate) fn lose_answer_to(&self, operation: &'static str) {
        self.cloud.state.lock().unwrap().lose_answer_to = Some(operation);
    }

    /// From now on `service` (`DynamoDB`, `AmazonSQS`) refuses every call with `code`.
    pub(crate) fn refuse_with(&self, service: &'static str, code: &'static str) {
        self.cloud.state.lock().unwrap().refuse_with = Some((service, code));
    }
}
