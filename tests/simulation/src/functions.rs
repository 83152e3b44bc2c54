//! The four functions in this process: one instance each, built as at a cold start, on the in-process AWS client.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use axum::Router;
use bytes::Bytes;
use futures::FutureExt as _;
use serde_json::Value;
use wharfinger_api::gateway;
use wharfinger_chance::Chance;
use wharfinger_emulator::{
    clock::Clock,
    ids::{REGION, random_uuid},
};
use wharfinger_region::{
    lambda::{FunctionError, Handler},
    region::world::ENDPOINT,
    wiring,
};
use wharfinger_runtime::{Environment, Moment};

use crate::{
    invocation::{INVOCATION, Invocation},
    rules, secrets,
    weather::Weather,
};

/// The largest answer that is read.
const LIMIT: usize = 8 * 1024 * 1024;

/// What one function runs.
enum Program {
    Api(Router),
    Autostop(wharfinger_autostop::App),
    Reconcile(wharfinger_reconcile::App),
    Rollout(wharfinger_rollout::App),
}

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
            let environment: Environment = function.environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            match Program::new(function, &sdk(function, client.clone()), &environment) {
                Ok(program) => drop(programs.insert(function.name.clone(), Arc::new(program))),
                Err(error) => failed = Some(error),
            }
        }
        (Self { programs, clock: clock.clone(), weather }, failed)
    }
}

impl Program {
    fn new(function: &wiring::Function, sdk: &SdkConfig, environment: &Environment) -> anyhow::Result<Self> {
        let chance = Chance::seeded(fastrand::u64(..));
        Ok(match function.binary.as_str() {
            "wharfinger-api" => Self::Api(wharfinger_api::router(wharfinger_api::App::new(sdk, environment, chance)?)),
            "wharfinger-autostop" => Self::Autostop(wharfinger_autostop::App::new(sdk, environment, chance)?),
            "wharfinger-reconcile" => Self::Reconcile(wharfinger_reconcile::App::new(sdk, environment, chance)?),
            "wharfinger-rollout" => Self::Rollout(wharfinger_rollout::App::new(sdk, environment, chance)?),
            other => anyhow::bail!("there is no function {other}"),
        })
    }

    async fn run(&self, event: &Bytes, request_id: &str, moment: Moment) -> Result<Bytes, FunctionError> {
        match self {
            Self::Api(router) => answer_http(router, event, moment).await,
            Self::Autostop(app) => {
                Box::pin(wharfinger_autostop::handle(app, moment))
                    .await
                    .map_err(|error| failed(&format!("{error:#}")))?;
                Ok(Bytes::from_static(b"null"))
            }
            Self::Reconcile(app) => {
                let event = serde_json::from_slice(event).map_err(|error| failed(&error))?;
                write(&Box::pin(wharfinger_reconcile::handle(app, event, request_id, moment)).await)
            }
            Self::Rollout(app) => {
                let event = serde_json::from_slice(event).map_err(|error| failed(&error))?;
                write(&Box::pin(wharfinger_rollout::handle(app, event, moment)).await)
            }
        }
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
        if self.weather.plant.is_some_and(|plant| plant.acknowledges(&function.binary, &event)) {
            return Ok(Bytes::from_static(b"{\"batchItemFailures\":[]}"));
        }
        answer
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

/// The SDK as a function finds it at its start, with the in-process client for its network.
fn sdk(function: &wiring::Function, client: SharedHttpClient) -> SdkConfig {
    let credentials = Credentials::new(
        function.access_key(),
        secrets::ACCESS_KEY,
        Some(secrets::SESSION_TOKEN.into()),
        None,
        "simulation",
    );
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(ENDPOINT)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .sleep_impl(TokioSleep::new())
        .http_client(client)
        .build()
}

/// Hands a payload format 2.0 event to the API's own edge.
async fn answer_http(router: &Router, event: &Bytes, moment: Moment) -> Result<Bytes, FunctionError> {
    let event: gateway::Event = serde_json::from_slice(event).map_err(|error| failed(&error))?;
    write(&gateway::answer(router.clone(), event, moment).await)
}

fn write(answer: &impl serde::Serialize) -> Result<Bytes, FunctionError> {
    serde_json::to_vec(answer).map(Bytes::from).map_err(|error| failed(&error))
}

fn failed(error: &dyn std::fmt::Display) -> FunctionError {
    FunctionError::Failed { kind: "Error".to_owned(), message: error.to_string() }
}

/// Reads an answer's body as JSON.
pub(crate) async fn read_json(answer: axum::response::Response) -> (u16, Value) {
    let (head, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, LIMIT).await.unwrap_or_default();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null))
}
