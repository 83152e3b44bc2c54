//! The Lambda Runtime API of one instance, on a loopback port of its own: next event, answer, error, failed start.
//! Paths and headers are those of AWS's "Using the Lambda runtime API".

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, mpsc},
    task::AbortHandle,
};

/// Answers are read a little beyond the limit, so that their true size can be told.
const READ_LIMIT: usize = 4 * super::PAYLOAD_LIMIT;

/// An event for the instance.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) function_arn: String,
    /// When it times out, in milliseconds since 1970.
    pub(super) deadline_ms: i64,
    pub(super) payload: Bytes,
}

/// What the instance said.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It asked for an event.
    Ready,
    /// It couldn't start.
    NotStarted(String),
    /// It answered the event.
    Answer(Bytes),
    /// It answered the event with an error.
    Failed { kind: String, message: String },
}

#[derive(Debug)]
struct Exchange {
    events: AsyncMutex<mpsc::Receiver<Event>>,
    current: Mutex<Option<String>>,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

/// The listener of one instance. Dropping it closes the port.
#[derive(Debug)]
pub(super) struct RuntimeApi(AbortHandle);

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RuntimeApi {
    pub(super) fn serve(
        listener: TcpListener,
        events: mpsc::Receiver<Event>,
        outcomes: mpsc::UnboundedSender<Outcome>,
    ) -> Self {
        let exchange = Exchange { events: AsyncMutex::new(events), current: Mutex::default(), outcomes };
        let routes = Router::new()
            .route("/invocation/next", get(next))
            .route("/invocation/{request_id}/response", post(answer))
            .route("/invocation/{request_id}/error", post(fail))
            .route("/init/error", post(fail_to_start));
        let router = Router::new().nest("/2018-06-01/runtime", routes).with_state(Arc::new(exchange));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "a Runtime API ended");
            }
        });
        Self(task.abort_handle())
    }
}

async fn next(State(exchange): State<Arc<Exchange>>) -> Response {
    // The instance may be gone already; then nobody takes this.
    let _ = exchange.outcomes.send(Outcome::Ready);
    let Some(event) = exchange.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    *exchange.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(event.request_id.clone());
    let id = wharfinger_emulator::ids::random_uuid().simple().to_string();
    let trace = format!("Root=1-{}-{};Parent={};Sampled=0", &id[..8], &id[8..], &id[16..]);
    let headers = [
        ("lambda-runtime-aws-request-id", event.request_id),
        ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", event.function_arn),
        ("lambda-runtime-trace-id", trace),
    ];
    (headers, [(CONTENT_TYPE, "application/json")], event.payload).into_response()
}

async fn answer(State(exchange): State<Arc<Exchange>>, Path(request_id): Path<String>, body: Body) -> Response {
    match axum::body::to_bytes(body, READ_LIMIT).await {
        Ok(payload) => exchange.finish(&request_id, Outcome::Answer(payload)),
        Err(error) => {
            let message = format!("the answer can't be read: {error}");
            exchange.finish(&request_id, Outcome::Failed { kind: "Runtime.TruncatedResponse".to_owned(), message })
        }
    }
}

async fn fail(State(exchange): State<Arc<Exchange>>, Path(request_id): Path<String>, body: Bytes) -> Response {
    let (kind, message) = read_error(&body);
    exchange.finish(&request_id, Outcome::Failed { kind, message })
}

async fn fail_to_start(State(exchange): State<Arc<Exchange>>, body: Bytes) -> Response {
    let (kind, message) = read_error(&body);
    let _ = exchange.outcomes.send(Outcome::NotStarted(format!("{kind}: {message}")));
    accepted()
}

impl Exchange {
    /// Takes what ends the present event; anything else has the wrong id.
    fn finish(&self, request_id: &str, outcome: Outcome) -> Response {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_deref() != Some(request_id) {
            let problem = json!({ "errorType": "InvalidRequestID", "errorMessage": "this is not the present event" });
            return (StatusCode::BAD_REQUEST, Json(problem)).into_response();
        }
        *current = None;
        let _ = self.outcomes.send(outcome);
        accepted()
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}

fn read_error(body: &[u8]) -> (String, String) {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |name: &str| error[name].as_str().map(str::to_owned);
    let kind = member("errorType").unwrap_or_else(|| "Unhandled".to_owned());
    (kind, member("errorMessage").unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()))
}
