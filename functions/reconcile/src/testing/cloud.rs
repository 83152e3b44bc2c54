//! AWS in this process: an embedded DynamoDB, a queue that keeps what is sent, and of all other services the answers
//! that a test gives. What it gives no answer to is refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use wharfinger_chance::Chance;
use wharfinger_runtime::{Environment, Moment};

use crate::App;

/// AWS in this process.
#[derive(Clone)]
pub(crate) struct Cloud {
    database: Arc<Database>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: BTreeMap<&'static str, String>,
    throttled: Vec<(&'static str, String)>,
    repeated: Option<&'static str>,
    calls: Vec<String>,
    messages: usize,
}

/// What a service answers.
enum Given {
    Answer(String),
    Throttled,
    Nothing,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cloud")
    }
}

impl HttpClient for Cloud {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Cloud {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8(request.body().bytes().expect("a body in memory").to_vec()).expect("text");
        let target = request.headers().get("x-amz-target").map(str::to_owned);
        let cloud = self.clone();
        HttpConnectorFuture::new(async move {
            // As on a network, another call may come between.
            tokio::task::yield_now().await;
            let (status, answer) = match target {
                Some(target) => cloud.json(&target, &body),
                None => cloud.query(&body),
            };
            Ok(HttpResponse::new(StatusCode::try_from(status).expect("a status"), SdkBody::from(answer)))
        })
    }
}

impl Cloud {
    /// A cloud with an empty table, and the function over it.
    pub(crate) fn with_app() -> (Self, App) {
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
        let cloud = Self { database: Arc::new(database), state: Arc::default() };
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .retry_config(RetryConfig::disabled())
            .http_client(cloud.clone())
            .build();
        let environment = Environment::from_iter([
            ("TABLE_NAME", "wharfinger"),
            ("SERVERS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/servers"),
            ("TRANSFER_USER_ROLE_ARN", "arn:aws:iam::000000000000:role/sftp-users"),
            ("METRIC_PERIOD_SECONDS", "300"),
            ("SFTP_PORT", "22"),
            ("SECRET_PREFIX", "harbour/"),
        ]);
        let app = App::new(&sdk, &environment, Chance::seeded(1)).unwrap();
        (cloud, app)
    }

    /// From now on `operation` is answered with `answer`.
    pub(crate) fn answer(&self, operation: &'static str, answer: impl ToString) {
        self.state.lock().unwrap().answers.insert(operation, answer.to_string());
    }

    /// From now on `operation` is throttled where the call contains `part`.
    pub(crate) fn throttle(&self, operation: &'static str, part: impl ToString) {
        self.state.lock().unwrap().throttled.push((operation, part.to_string()));
    }

    /// From now on the answer to an update of the table by the expression `change` is lost, and it is asked again.
    pub(crate) fn repeat(&self, change: &'static str) {
        self.state.lock().unwrap().repeated = Some(change);
    }

    /// The operations that were called, in order; those on the table and the queue are not among them.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.clone()
    }

    /// How often `operation` was called.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.state.lock().unwrap().calls.iter().filter(|call| *call == operation).count()
    }

    /// How many messages were sent.
    pub(crate) fn messages(&self) -> usize {
        self.state.lock().unwrap().messages
    }

    /// Keeps `item` at its key.
    pub(crate) fn put(&self, partition: &str, name: &str, item: &impl Serialize) {
        let mut plain = serde_json::to_value(item).unwrap();
        plain["pk"] = partition.into();
        plain["sk"] = name.into();
        let item = json!({ "TableName": "wharfinger", "Item": attribute(&plain)["M"] });
        self.database.put_item(serde_json::from_value(item).unwrap()).unwrap();
    }

    fn json(&self, target: &str, body: &str) -> (u16, String) {
        let operation = target.rsplit('.').next().expect("a target has an operation");
        if target.starts_with("DynamoDB") {
            let input = serde_json::from_str(body).expect("JSON");
            return self.dynamodb(operation, input);
        }
        if operation == "SendMessage" {
            self.state.lock().unwrap().messages += 1;
            return (200, json!({ "MessageId": "m" }).to_string());
        }
        let refused = |code: &str| (400, json!({ "__type": code, "message": "the test gives no answer" }).to_string());
        match self.given(operation, body) {
            Given::Answer(answer) => (200, answer),
            Given::Throttled => refused("ThrottlingException"),
            Given::Nothing => refused("AccessDeniedException"),
        }
    }

    fn query(&self, body: &str) -> (u16, String) {
        let operation = body.split('&').find_map(|pair| pair.strip_prefix("Action=")).expect("an action");
        let refused = |code: &str| {
            let error = format!("<Code>{code}</Code><Message>the test gives no answer</Message>");
            let whole = format!("<Response><Errors><Error>{error}</Error></Errors><RequestID>1</RequestID></Response>");
            (400, whole)
        };
        match self.given(operation, body) {
            Given::Answer(answer) => (200, answer),
            Given::Throttled => refused("RequestLimitExceeded"),
            Given::Nothing => refused("UnauthorizedOperation"),
        }
    }

    fn given(&self, operation: &str, body: &str) -> Given {
        let mut state = self.state.lock().unwrap();
        state.calls.push(operation.to_owned());
        if state.throttled.iter().any(|(throttled, part)| *throttled == operation && body.contains(part)) {
            return Given::Throttled;
        }
        state.answers.get(operation).cloned().map_or(Given::Nothing, Given::Answer)
    }

    fn dynamodb(&self, operation: &str, input: Value) -> (u16, String) {
        let database = &self.database;
        match operation {
            "GetItem" => run(input, |input| database.get_item(input)),
            "UpdateItem" => {
                if input["UpdateExpression"].as_str() == self.state.lock().unwrap().repeated {
                    run(input.clone(), |input| database.update_item(input));
                }
                run(input, |input| database.update_item(input))
            }
            "DeleteItem" => run(input, |input| database.delete_item(input)),
            "Query" => run(input, |input| database.query(input)),
            "TransactWriteItems" => run(input, |input| database.transact_write_items(input)),
            other => panic!("reconcile does not call {other}"),
        }
    }
}

fn run<I: DeserializeOwned, O: Serialize>(
    input: Value,
    call: impl FnOnce(I) -> Result<O, dynoxide::DynoxideError>,
) -> (u16, String) {
    match call(serde_json::from_value(input).expect("the SDK's request has DynamoDB's form")) {
        Ok(output) => (200, serde_json::to_string(&output).expect("DynamoDB's answers are JSON")),
        Err(error) => (400, error.to_json()),
    }
}

/// A JSON value in DynamoDB's form.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        Value::Number(value) => json!({ "N": value.to_string() }),
        Value::String(value) => json!({ "S": value }),
        Value::Array(items) => json!({ "L": items.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(members) => {
            let members: serde_json::Map<_, _> =
                members.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
            json!({ "M": members })
        }
    }
}

/// An invocation that begins at `now`.
pub(crate) fn invocation(now: Timestamp) -> Moment {
    Moment::new(now, now + SignedDuration::from_secs(30))
}
