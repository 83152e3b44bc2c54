//! The four functions in this process: one instance each, at the mercy of the weather.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use futures::FutureExt as _;
use serde_json::Value;
use wharfinger_emulator::{clock::Clock, ids::random_uuid};
use wharfinger_region::{
    lambda::{FunctionError, Handler},
    wiring,
};
use wharfinger_runtime::Moment;

use crate::{
    invocation::{INVOCATION, Invocation},
    program::Program,
    rules,
    weather::Weather,
};

/// The largest answer that is read.
const LIMIT: usize = 8 * 1024 * 1024;

/// The functions of a template.
pub(crate) struct Functions {
    programs: BTreeMap<String, Arc<Program>>,
    clock: Clock,
    weather: Weather,
}

impl Functions {
    /// Builds every function of `functions`, over `client`. The error is about one that can't be built and is left out.
    pub(crate) fn new(
        functions: &[wiring::Function],
        client: &SharedHttpClient,
        clock: &Clock,
        weather: Weather,
    ) -> (Self, Option<anyhow::Error>) {
        let (mut programs, mut failed) = (BTreeMap::new(), None);
        for function in functions {
            match Program::new(function, client.clone()) {
                Ok(program) => drop(programs.insert(function.name.clone(), Arc::new(program))),
                Err(error) => failed = Some(error),
            }
        }
        (Self { programs, clock: clock.clone(), weather }, failed)
    }
}

#[async_trait]
impl Handler for Functions {
    async fn handle(&self, function: &wiring::Function, event: Bytes) -> Result<Bytes, FunctionError> {
        let program = self.programs.get(&function.name);
        let program = program.ok_or_else(|| FunctionError::Unknown(function.name.clone()))?;
        let (clock, weather) = (self.clock.clone(), self.weather.clone());
        let run = Run {
            program: Arc::clone(program),
            binary: function.binary.clone(),
            timeout: function.timeout,
            clock,
            weather,
        };
        if !function.mappings.is_empty() {
            self.deliver_again(&run, &event);
        }
        let answer = run.once(&event).await;
        match self.weather.plant.and_then(|plant| plant.says(&function.binary, &event)) {
            Some(said) => Ok(Bytes::from(said.to_string())),
            None => answer,
        }
    }
}

impl Functions {
    /// Has a batch of messages delivered once more, if the weather is like that. Nobody waits for what comes of it.
    fn deliver_again(&self, run: &Run, event: &Bytes) {
        if let Some(later) = self.weather.delivered_again(self.clock.now()) {
            let (run, event) = (run.clone(), event.clone());
            tokio::spawn(async move {
                tokio::time::sleep(later).await;
                run.weather.diary.note(format_args!("{} is given a batch once more", run.binary));
                let _ = tokio::time::timeout(run.timeout, run.once(&event)).await;
            });
        }
    }
}

/// Runs a function on events.
#[derive(Clone)]
struct Run {
    program: Arc<Program>,
    binary: String,
    timeout: Duration,
    clock: Clock,
    weather: Weather,
}

impl Run {
    async fn once(&self, event: &Bytes) -> Result<Bytes, FunctionError> {
        let request_id = random_uuid().to_string();
        let now = self.clock.now() + self.weather.skew();
        let moment = Moment::new(now, now + self.timeout);
        let invocation = Arc::new(Invocation::default());
        let run = AssertUnwindSafe(self.program.run(event, &request_id, moment)).catch_unwind();
        tokio::select! {
            biased;
            answer = INVOCATION.scope(Arc::clone(&invocation), run) => answer.unwrap_or_else(|panic| {
                let why = panic.downcast_ref::<String>().map(String::as_str);
                let why = why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
                self.weather.diary.violated(rules::NO_PANIC, format!("{}: {why}", self.binary));
                Err(FunctionError::Exited(why.to_owned()))
            }),
            () = invocation.killed() => {
                self.weather.diary.note(format_args!("{} is killed", self.binary));
                Err(FunctionError::Exited("signal: 9 (SIGKILL)".to_owned()))
            }
        }
    }
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.programs.keys()).finish()
    }
}

/// Reads an answer's body as JSON.
pub(crate) async fn read_json(answer: axum::response::Response) -> (u16, Value) {
    let (head, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, LIMIT).await.unwrap_or_default();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}
