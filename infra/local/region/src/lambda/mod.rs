//! Lambda: functions of the template, invoked one event at a time on instances of their own.
//!
//! An instance is a child process that speaks the Lambda Runtime API ([`process`]), or, where a whole region runs in
//! one process under a paused clock, a [`Handler`]. Idle instances are used again; concurrent events start more of
//! them; one that crashed or was killed fails its event and is replaced at the next.

mod asynchronous;
mod function;
pub mod logs;
pub mod mapping;
pub mod process;
mod runtime_api;
pub mod statistics;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use thiserror::Error;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharfinger_emulator::{clock::Clock, context::Context, sqs::Sqs};

use self::{function::Running, process::Processes, statistics::Statistics};
use crate::wiring;

/// The largest event and the largest answer of a function, in bytes.
pub const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

/// How many instances of one function may run at a time where the template reserves nothing. AWS's account limit is
/// 1000; this is a laptop.
const DEFAULT_CONCURRENCY: usize = 10;

/// Why an invocation has no answer.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FunctionError {
    /// The function answered with an error.
    #[error("{kind}: {message}")]
    Failed {
        /// The function's `errorType`.
        kind: String,
        /// The function's `errorMessage`.
        message: String,
    },
    /// It took longer than its time-out, and was killed.
    #[error("Task timed out after {:.2} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    /// Its process ended in the middle.
    #[error("Runtime exited: {0}")]
    Exited(String),
    /// It never became ready.
    #[error("the function could not be started: {0}")]
    NotStarted(String),
    /// Event or answer is over [`PAYLOAD_LIMIT`].
    #[error("{0} of {1} bytes exceeds the maximum allowed payload size ({PAYLOAD_LIMIT} bytes)")]
    TooLarge(&'static str, usize),
    /// The template has no such function.
    #[error("there is no function {0}")]
    Unknown(String),
    /// The region is shutting down.
    #[error("the region is shutting down")]
    Stopped,
}

impl FunctionError {
    /// The error as Lambda answers it to the one who invoked.
    #[must_use]
    pub fn payload(&self) -> Value {
        let kind = match self {
            Self::Failed { kind, message } => return json!({ "errorType": kind, "errorMessage": message }),
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::Exited(_) | Self::NotStarted(_) => "Runtime.ExitError",
            Self::TooLarge("answer", _) => "Function.ResponseSizeTooLarge",
            Self::TooLarge(..) => "RequestEntityTooLargeException",
            Self::Unknown(_) => "ResourceNotFoundException",
            Self::Stopped => "ServiceException",
        };
        json!({ "errorType": kind, "errorMessage": self.to_string() })
    }
}

/// What came of an invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The function's answer.
    pub payload: Bytes,
    /// The id under which the function knew it.
    pub request_id: String,
    /// How long it took, without the start.
    pub duration: Duration,
    /// How long the instance took to start, if it was started for this event.
    pub cold_start: Option<Duration>,
}

/// Functions in this very process.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one event.
    ///
    /// # Errors
    /// What the function's error would be.
    async fn handle(&self, function: &wiring::Function, event: Bytes) -> Result<Bytes, FunctionError>;
}

/// On what functions run.
#[derive(Clone)]
pub enum Runner {
    /// On child processes.
    Processes(Processes),
    /// In this process.
    InProcess(Arc<dyn Handler>),
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Processes(processes) => processes.fmt(formatter),
            Self::InProcess(_) => formatter.write_str("InProcess"),
        }
    }
}

/// The service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lambda {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    functions: Vec<Arc<Running>>,
    clock: Clock,
    stopping: CancellationToken,
    invocations: TaskTracker,
    queues: OnceLock<Arc<Sqs>>,
}

impl Lambda {
    /// The service with these functions. Nothing runs before the first event.
    #[must_use]
    pub fn start(context: &Context, functions: Vec<wiring::Function>, runner: Runner) -> Self {
        let running = |function| Arc::new(Running::new(context.clock.clone(), function, runner.clone()));
        let inner = Inner {
            functions: functions.into_iter().map(running).collect(),
            clock: context.clock.clone(),
            stopping: CancellationToken::new(),
            invocations: TaskTracker::new(),
            queues: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Lets on-failure destinations be these queues. Without them, failed events are only logged.
    #[must_use]
    pub fn with_destinations(self, queues: Arc<Sqs>) -> Self {
        self.inner.queues.get_or_init(|| queues);
        self
    }

    /// Invokes a function and waits for its answer. `function` is its logical name, its name or its ARN. The
    /// invocation goes on to its end also when the caller stops waiting.
    ///
    /// # Errors
    /// What became of the function instead of an answer.
    pub async fn invoke(&self, function: &str, event: Bytes) -> Result<Invocation, FunctionError> {
        if self.inner.stopping.is_cancelled() {
            return Err(FunctionError::Stopped);
        }
        let running = Arc::clone(self.find(function)?);
        let joined = self.inner.invocations.spawn(async move { running.invoke(event).await }).await;
        joined.unwrap_or_else(|error| Err(FunctionError::Exited(error.to_string())))
    }

    /// Hands an event over as EventBridge does: at once, and tried again as the function's configuration says.
    ///
    /// # Errors
    /// If there is no such function, or the event is too large: nothing was taken over then.
    pub fn invoke_later(&self, function: &str, event: Bytes) -> Result<(), FunctionError> {
        if event.len() > PAYLOAD_LIMIT {
            return Err(FunctionError::TooLarge("event", event.len()));
        }
        let running = Arc::clone(self.find(function)?);
        let (clock, stopping) = (self.inner.clock.clone(), self.inner.stopping.clone());
        let queues = self.inner.queues.get().cloned();
        self.inner.invocations.spawn(asynchronous::invoke(running, event, clock, stopping, queues));
        Ok(())
    }

    /// Waits until no event is in work or waits to be tried again.
    #[cfg(test)]
    pub(crate) async fn settle(&self) {
        self.inner.invocations.close();
        self.inner.invocations.wait().await;
    }

    /// What each function has used so far, in the template's order.
    #[must_use]
    pub fn statistics(&self) -> Vec<Statistics> {
        self.inner.functions.iter().map(|running| running.statistics()).collect()
    }

    /// Takes no more events, lets those in work end within `grace`, then ends every instance.
    pub async fn stop(&self, grace: Duration) {
        self.inner.stopping.cancel();
        self.inner.invocations.close();
        if tokio::time::timeout(grace, self.inner.invocations.wait()).await.is_err() {
            tracing::warn!("functions were still at work and are ended now");
        }
        for running in &self.inner.functions {
            running.stop();
        }
    }

    fn find(&self, function: &str) -> Result<&Arc<Running>, FunctionError> {
        let found = self.inner.functions.iter().find(|running| running.is_called(function));
        found.ok_or_else(|| FunctionError::Unknown(function.to_owned()))
    }
}
