//! For the functions' unit tests: the real SDK over an HTTP client that ends in this process. The table is an embedded
//! DynamoDB, queues keep what was sent, and a test says which calls fail and what other services answer.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
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
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// The table's name.
pub const TABLE: &str = "wharfinger";

/// What the cloud answers instead of its own answer: status and body. It gets the operation (`PutItem`) and its input.
type Answers = dyn Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync;

/// Which calls hang: they get the operation and its input.
type Unanswered = dyn Fn(&str, &Value) -> bool + Send + Sync;

/// AWS in this process, with an empty table.
#[derive(Clone)]
pub struct Cloud {
    database: Arc<Database>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<(String, Value)>,
    messages: Vec<Value>,
    answers: Option<Arc<Answers>>,
    unanswered: Option<Arc<Unanswered>>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cloud")
    }
}

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpConnector for Cloud {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or("not awsJson").to_owned();
        let body = request.body().bytes().unwrap_or_default();
        let input = serde_json::from_slice(body).unwrap_or(Value::Null);
        let operation = target.rsplit('.').next().expect("rsplit gives one part at least");
        let unanswered = self.state().unanswered.clone();
        if unanswered.is_some_and(|hangs| hangs(operation, &input)) {
            return HttpConnectorFuture::new(std::future::pending());
        }
        let (status, answer) = self.answer(operation, input);
        let status = StatusCode::try_from(status).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(answer.to_string()))))
    }
}

impl HttpClient for Cloud {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl Cloud {
    /// A cloud with an empty table.
    ///
    /// # Panics
    /// When the embedded database does not start.
    #[must_use]
    pub fn new() -> Self {
        let database = Database::memory().expect("a database in memory");
        let table = json!({
            "TableName": TABLE,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        });
        let table = serde_json::from_value(table).expect("CreateTable's form");
        database.create_table(table).expect("a table in memory");
        Self { database: Arc::new(database), state: Arc::default() }
    }

    /// The SDK's configuration, which ends here and tries nothing twice.
    #[must_use]
    pub fn sdk(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
            .retry_config(RetryConfig::disabled())
            .http_client(self.clone())
            .build()
    }

    /// From now on `answers` is asked first.
    pub fn answer_with(&self, answers: impl Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static) {
        self.state().answers = Some(Arc::new(answers));
    }

    /// From now on the calls that `hangs` picks are neither done nor answered.
    pub fn leave_unanswered(&self, hangs: impl Fn(&str, &Value) -> bool + Send + Sync + 'static) {
        self.state().unanswered = Some(Arc::new(hangs));
    }

    /// The bodies of the messages that were sent to queues since the last look.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        std::mem::take(&mut self.state().messages)
    }

    /// The calls since the last look: operation and input.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.state().calls)
    }

    /// Puts an item, given in DynamoDB's JSON.
    ///
    /// # Panics
    /// When DynamoDB refuses it.
    pub fn put(&self, item: &Value) {
        let put = json!({ "TableName": TABLE, "Item": item });
        self.database.put_item(serde_json::from_value(put).expect("PutItem's form")).expect("it is put");
    }

    /// The item at `pk`, `sk` in DynamoDB's JSON.
    ///
    /// # Panics
    /// When DynamoDB refuses.
    #[must_use]
    pub fn item(&self, pk: &str, sk: &str) -> Option<Value> {
        let get = json!({ "TableName": TABLE, "Key": { "pk": { "S": pk }, "sk": { "S": sk } } });
        let got = self.database.get_item(serde_json::from_value(get).expect("GetItem's form")).expect("it is read");
        let got = serde_json::to_value(got).expect("DynamoDB's answers are JSON");
        got.get("Item").filter(|item| !item.is_null()).cloned()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    fn answer(&self, operation: &str, input: Value) -> (u16, Value) {
        let answers = {
            let mut state = self.state();
            state.calls.push((operation.to_owned(), input.clone()));
            state.answers.clone()
        };
        if let Some(answer) = answers.and_then(|answers| answers(operation, &input)) {
            return answer;
        }
        let database = &self.database;
        match operation {
            "SendMessage" => {
                let body = input["MessageBody"].as_str().unwrap_or_default();
                self.state().messages.push(serde_json::from_str(body).unwrap_or(Value::Null));
                (200, json!({ "MessageId": "m", "MD5OfMessageBody": "0" }))
            }
            "GetItem" => run(input, |input| database.get_item(input)),
            "PutItem" => run(input, |input| database.put_item(input)),
            "UpdateItem" => run(input, |input| database.update_item(input)),
            "DeleteItem" => run(input, |input| database.delete_item(input)),
            "Query" => run(input, |input| database.query(input)),
            "TransactWriteItems" => run(input, |input| database.transact_write_items(input)),
            _ => (400, json!({ "__type": "AccessDeniedException", "message": "this test has no such service" })),
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
