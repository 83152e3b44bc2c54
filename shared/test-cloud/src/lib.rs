//! For unit tests: the real SDK over an HTTP client that ends in this process. The table is an embedded DynamoDB,
//! queues keep what was sent, and a test says what other services answer and which calls fail, hang, meet or lose their
//! answer. What nobody answers is refused.

mod call;
mod cbor;
mod table;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use wharfinger_chance::Chance;

use crate::{call::Call, table::Items};

/// The table's name.
pub const TABLE: &str = "wharfinger";

/// A source of chance that draws the same in every test.
#[must_use]
pub fn chance() -> Chance {
    Chance::seeded(1)
}

/// What the cloud answers instead of its own answer: status and body. It gets the operation (`PutItem`) and its input.
type Answers = dyn Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync;

/// Which calls hang or take long: they get the operation and its input.
type Unanswered = dyn Fn(&str, &Value) -> bool + Send + Sync;

/// AWS in this process, with an empty table.
#[derive(Clone)]
pub struct Cloud {
    items: Arc<Items>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    messages: Vec<Value>,
    answers: Option<Arc<Answers>>,
    unanswered: Option<Arc<Unanswered>>,
    delayed: Option<(Duration, Arc<Unanswered>)>,
    given: BTreeMap<&'static str, String>,
    throttled: Vec<Selection>,
    refused: Option<(&'static str, &'static str)>,
    answer_lost: Option<Selection>,
    meeting: Option<Meeting>,
}

/// The calls of an operation whose body contains a text.
struct Selection {
    operation: &'static str,
    part: String,
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

impl Default for Cloud {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpClient for Cloud {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Cloud {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (call, cloud) = (Call::read(&request), self.clone());
        if cloud.hangs(&call) {
            return HttpConnectorFuture::new(std::future::pending());
        }
        HttpConnectorFuture::new(async move {
            // As on a network, another call may come between.
            tokio::task::yield_now().await;
            if let Some(delay) = cloud.delays(&call) {
                tokio::time::sleep(delay).await;
            }
            if let Some(barrier) = cloud.meets(&call) {
                barrier.wait().await;
            }
            let (status, answer) = cloud.answer_to(&call);
            if cloud.loses_answer(&call) {
                return Err(ConnectorError::io("the connection broke off".into()));
            }
            let status = StatusCode::try_from(status).expect("a status");
            Ok(HttpResponse::new(status, call.encoded(answer)))
        })
    }
}

impl Selection {
    fn has(&self, call: &Call) -> bool {
        self.operation == call.operation && call.body.contains(&self.part)
    }
}

/// What a test sets up.
impl Cloud {
    /// A cloud with an empty table.
    ///
    /// # Panics
    /// When the embedded database does not start.
    #[must_use]
    pub fn new() -> Self {
        Self { items: Arc::new(Items::new()), state: Arc::default() }
    }

    /// The SDK's configuration, which ends here and tries nothing twice.
    #[must_use]
    pub fn sdk(&self) -> SdkConfig {
        self.sdk_with(RetryConfig::disabled())
    }

    /// The same, but it tries again as `retries` says.
    #[must_use]
    pub fn sdk_with(&self, retries: RetryConfig) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
            .retry_config(retries)
            .http_client(self.clone())
            .build()
    }

    /// Puts an item, given in DynamoDB's JSON.
    ///
    /// # Panics
    /// When DynamoDB refuses it.
    pub fn put(&self, item: &Value) {
        self.items.put(item);
    }

    /// Puts an item, given in plain JSON, at `pk`, `sk`.
    ///
    /// # Panics
    /// When DynamoDB refuses it.
    pub fn put_plain(&self, pk: &str, sk: &str, item: &impl Serialize) {
        let mut plain = serde_json::to_value(item).expect("items are JSON");
        (plain["pk"], plain["sk"]) = (pk.into(), sk.into());
        self.items.put(&table::attribute(&plain)["M"]);
    }

    /// From now on `answers` is asked first.
    pub fn answer_with(&self, answers: impl Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static) {
        self.state().answers = Some(Arc::new(answers));
    }

    /// From now on `operation` succeeds with the body `answer`, which is JSON or XML as its service speaks.
    pub fn answer(&self, operation: &'static str, answer: impl ToString) {
        self.state().given.insert(operation, answer.to_string());
    }

    /// From now on `operation` is throttled where the body of the call contains `part`.
    pub fn throttle(&self, operation: &'static str, part: impl ToString) {
        self.state().throttled.push(Selection { operation, part: part.to_string() });
    }

    /// From now on `service` (`DynamoDB`, `AmazonSQS`) refuses every call with `code`.
    pub fn refuse(&self, service: &'static str, code: &'static str) {
        self.state().refused = Some((service, code));
    }

    /// From now on the calls that `hangs` picks are neither done nor answered.
    pub fn leave_unanswered(&self, hangs: impl Fn(&str, &Value) -> bool + Send + Sync + 'static) {
        self.state().unanswered = Some(Arc::new(hangs));
    }

    /// From now on the calls that `delays` picks are done and answered after `delay`.
    pub fn delay(&self, delay: Duration, delays: impl Fn(&str, &Value) -> bool + Send + Sync + 'static) {
        self.state().delayed = Some((delay, Arc::new(delays)));
    }

    /// The next call of `operation` whose body contains `part` is done, and its answer is lost.
    pub fn lose_answer_to(&self, operation: &'static str, part: impl ToString) {
        self.state().answer_lost = Some(Selection { operation, part: part.to_string() });
    }

    /// The next `calls` calls of `operation` wait until all of them have come.
    pub fn meet(&self, operation: &'static str, calls: usize) {
        self.state().meeting = Some(Meeting { operation, missing: calls, barrier: Arc::new(Barrier::new(calls)) });
    }
}

/// What a test looks at.
impl Cloud {
    /// The item at `pk`, `sk` in DynamoDB's JSON.
    ///
    /// # Panics
    /// When DynamoDB refuses.
    #[must_use]
    pub fn item(&self, pk: &str, sk: &str) -> Option<Value> {
        self.items.get(pk, sk)
    }

    /// The bodies of the messages that were sent to queues since the last look.
    #[must_use]
    pub fn messages(&self) -> Vec<Value> {
        std::mem::take(&mut self.state().messages)
    }

    /// The calls since the last look: operation and input.
    #[must_use]
    pub fn calls(&self) -> Vec<(String, Value)> {
        let calls = std::mem::take(&mut self.state().calls);
        calls.into_iter().map(|call| (call.operation, call.input)).collect()
    }

    /// How often `operation` was called since [`calls`](Self::calls) was looked at.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// The operations of other services than table and queues that were called since [`calls`](Self::calls) was looked
    /// at, in order.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        let is_other = |call: &&Call| !call.is_of("DynamoDB") && !call.is_of("AmazonSQS");
        self.state().calls.iter().filter(is_other).map(|call| call.operation.clone()).collect()
    }
}

/// How calls are answered.
impl Cloud {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    fn hangs(&self, call: &Call) -> bool {
        let unanswered = self.state().unanswered.clone();
        unanswered.is_some_and(|hangs| hangs(&call.operation, &call.input))
    }

    fn delays(&self, call: &Call) -> Option<Duration> {
        let (delay, delays) = self.state().delayed.clone()?;
        delays(&call.operation, &call.input).then_some(delay)
    }

    fn meets(&self, call: &Call) -> Option<Arc<Barrier>> {
        let mut state = self.state();
        let meeting = state.meeting.as_mut().filter(|it| it.missing > 0 && it.operation == call.operation)?;
        meeting.missing -= 1;
        Some(Arc::clone(&meeting.barrier))
    }

    fn loses_answer(&self, call: &Call) -> bool {
        self.state().answer_lost.take_if(|lost| lost.has(call)).is_some()
    }

    fn answer_to(&self, call: &Call) -> (u16, String) {
        let answers = {
            let mut state = self.state();
            state.calls.push(call.clone());
            state.answers.clone()
        };
        if let Some((status, answer)) = answers.and_then(|answers| answers(&call.operation, &call.input)) {
            return (status, answer.to_string());
        }
        let mut state = self.state();
        if let Some((_, code)) = state.refused.filter(|(service, _)| call.is_of(service)) {
            return call.refused(code, "as the test wants it");
        }
        if state.throttled.iter().any(|throttled| throttled.has(call)) {
            return call.throttled();
        }
        if let Some(answer) = state.given.get(call.operation.as_str()) {
            return (200, answer.clone());
        }
        if call.operation == "SendMessage" {
            let body = call.input["MessageBody"].as_str().unwrap_or_default();
            state.messages.push(serde_json::from_str(body).unwrap_or(Value::Null));
            return (200, json!({ "MessageId": "m", "MD5OfMessageBody": "0" }).to_string());
        }
        drop(state);
        let done = self.items.call(&call.operation, &call.input);
        done.unwrap_or_else(|| call.denied())
    }
}
