//! One function in this process, built as at a cold start, on an in-process AWS client.

use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use axum::Router;
use bytes::Bytes;
use wharfinger_api::gateway;
use wharfinger_chance::Chance;
use wharfinger_emulator::ids::REGION;
use wharfinger_region::{lambda::FunctionError, region::world::ENDPOINT, wiring};
use wharfinger_runtime::{Environment, Moment};

use crate::secrets;

/// One instance of a function.
pub struct Program(Kind);

enum Kind {
    Api(Router),
    Autostop(wharfinger_autostop::App),
    Reconcile(Box<wharfinger_reconcile::App>),
    Rollout(wharfinger_rollout::App),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    /// Builds a function as at a cold start, on `client`. What it draws comes from [`fastrand`].
    ///
    /// # Errors
    /// When there is no such function, or its environment is incomplete.
    pub fn new(function: &wiring::Function, client: SharedHttpClient) -> anyhow::Result<Self> {
        let (sdk, chance) = (sdk(function, client), Chance::seeded(fastrand::u64(..)));
        let environment: Environment = function.environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let (sdk, environment) = (&sdk, &environment);
        Ok(Self(match function.binary.as_str() {
            "wharfinger-api" => Kind::Api(wharfinger_api::router(wharfinger_api::App::new(sdk, environment, chance)?)),
            "wharfinger-autostop" => Kind::Autostop(wharfinger_autostop::App::new(sdk, environment, chance)?),
            "wharfinger-reconcile" => {
                Kind::Reconcile(Box::new(wharfinger_reconcile::App::new(sdk, environment, chance)?))
            }
            "wharfinger-rollout" => Kind::Rollout(wharfinger_rollout::App::new(sdk, environment, chance)?),
            other => anyhow::bail!("there is no function {other}"),
        }))
    }

    /// Runs the function on `event`.
    ///
    /// # Errors
    /// As the function fails.
    pub async fn run(&self, event: &Bytes, request_id: &str, moment: Moment) -> Result<Bytes, FunctionError> {
        match &self.0 {
            Kind::Api(router) => answer_http(router, event, moment).await,
            Kind::Autostop(app) => {
                Box::pin(wharfinger_autostop::handle(app, moment))
                    .await
                    .map_err(|error| failed(&format!("{error:#}")))?;
                Ok(Bytes::from_static(b"null"))
            }
            Kind::Reconcile(app) => {
                let event = serde_json::from_slice(event).map_err(|error| failed(&error))?;
                write(&Box::pin(wharfinger_reconcile::handle(app, event, request_id, moment)).await)
            }
            Kind::Rollout(app) => {
                let event = serde_json::from_slice(event).map_err(|error| failed(&error))?;
                write(&Box::pin(wharfinger_rollout::handle(app, event, moment)).await)
            }
        }
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
