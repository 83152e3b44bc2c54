//! The API over AWS in this process.

use aws_config::retry::RetryConfig;
use axum::{Router, body::Body, response::Response};
use http::{HeaderMap, Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    names::ServerName,
    server::{Asleep, ServerStatus},
};
use wharfinger_runtime::{Environment, Moment};
use wharfinger_store::{
    lease::Claim,
    servers,
    table::{Guard, Key, Table},
};
use wharfinger_test_cloud::{Cloud, TABLE};

use crate::{App, handle, router};

/// The API and what stands behind it.
pub(crate) struct Stage {
    pub(crate) router: Router,
    pub(crate) cloud: Cloud,
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

/// The moment of a request that is sent now.
#[expect(clippy::disallowed_methods, reason = "the tests' requests are sent now")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

impl Stage {
    /// An API with an empty table.
    pub(crate) fn new() -> Self {
        Self::with_retries(RetryConfig::disabled())
    }

    /// The same, where the stack's parameter `Services` is `services`.
    pub(crate) fn reaching(services: &str) -> Self {
        Self::built(RetryConfig::disabled(), services)
    }

    /// The same, with an SDK that tries again as `retries` says.
    pub(crate) fn with_retries(retries: RetryConfig) -> Self {
        Self::built(retries, "*")
    }

    fn built(retries: RetryConfig, services: &str) -> Self {
        let cloud = Cloud::new();
        let environment = Environment::from_iter([
            ("TABLE_NAME", TABLE),
            ("SERVERS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/0/servers"),
            ("TICKS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/0/ticks"),
            ("SERVICES", services),
        ]);
        let api = App::new(&cloud.sdk_with(retries), &environment, Chance::seeded(1)).unwrap();
        let table = api.table.clone();
        Self { router: router(api), cloud, table }
    }

    /// Sends a request.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let now = now();
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
        self.cloud.messages()
    }

    /// The AWS calls since the last look.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.cloud.calls().into_iter().map(|(operation, _)| operation).collect()
    }

    /// Writes what `reconcile` knows of `server`, as a visit would.
    pub(crate) async fn show(&self, server: &ServerName, status: &ServerStatus, asleep: Option<&Asleep>) {
        let (key, lasts) = (servers::key(server), SignedDuration::from_secs(1));
        let claim = self.table.lease(&key, "a visit", Timestamp::UNIX_EPOCH, lasts).await.unwrap();
        let Claim::Taken(lease) = claim else { panic!("the lease is free") };
        self.table.write_server_status(&lease, status, asleep).await.unwrap();
        self.table.release_lease(&lease, &lease.armed).await.unwrap();
    }

    /// Writes the item `sk` of the partition `pk` as it stands, in plain JSON.
    pub(crate) async fn plant(&self, pk: &str, sk: &str, item: &Value) {
        self.table.put(&Key::new(pk, sk), item, Guard::none()).await.unwrap();
    }
}
