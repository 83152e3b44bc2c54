//! The HTTP API, version 1: people declare the servers, users and sites that they want, and see their status.
//!
//! A handler observes (reads the table), decides (plain functions, no I/O) and acts (one conditional write, then a
//! message that wakes `reconcile` or `rollout`). It never waits for Transfer Family or ECS, and asks AWS only where a dry
//! run of a server or a rollout, or the check of a site, is to tell what would come of it.

mod body;
mod call;
mod change;
mod context;
mod forecast;
mod found;
pub mod gateway;
mod precondition;
mod problem;
mod query;
mod resource;
mod revision_preview;
mod routes;
mod status;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, time::Duration};

use anyhow::Context;
use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use axum::{Router, body::Body, response::Response};
use lambda_runtime::{LambdaEvent, service_fn};
use tower::ServiceExt as _;
use wharfinger_aws::{
    OnFirstUse, ec2::Ec2, ecs::Ecs, efs::FileSystems, error::AwsError, sqs::Queue, transfer::Transfer,
};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    messages::{ServerWake, SiteTick},
    names::{ServerName, SiteName},
    reach::Reach,
};
use wharfinger_runtime::{Environment, Moment, logs, sdk_config};
use wharfinger_store::table::Table;

pub use routes::router;

/// The longest that one call may take, with all its tries: the caller gets our answer and not
/// the gateway's, as the function itself ends after 15 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct App {
    table: Table,
    servers: Queue,
    ticks: Queue,
    aws: Aws,
    reach: Reach,
}

/// What a dry run and a check ask. Other requests do without, so nothing of it is made at the start.
#[derive(Clone, Debug)]
struct Aws {
    transfer: OnFirstUse<Transfer>,
    ec2: Ec2,
    file_systems: FileSystems,
    ecs: Ecs,
}

impl Aws {
    fn new(sdk: &SdkConfig) -> Self {
        Self {
            transfer: OnFirstUse::new(sdk, |sdk| Transfer::new(aws_sdk_transfer::Client::new(sdk))),
            ec2: Ec2::new(OnFirstUse::new(sdk, aws_sdk_ec2::Client::new)),
            file_systems: FileSystems::new(OnFirstUse::new(sdk, aws_sdk_efs::Client::new)),
            ecs: Ecs::new(OnFirstUse::new(sdk, aws_sdk_ecs::Client::new)),
        }
    }
}

impl App {
    /// Builds the clients from `sdk`, for the table and queues that `environment` names. Everything random comes from
    /// `chance`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn new(sdk: &SdkConfig, environment: &Environment, chance: Chance) -> anyhow::Result<Self> {
        let timeouts = TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build();
        let sdk = &sdk.to_builder().timeout_config(timeouts).build();
        let queues = OnFirstUse::new(sdk, aws_sdk_sqs::Client::new);
        // Without them, a check does not know.
        let parameter = |name| environment.required::<String>(name).unwrap_or_default();
        Ok(Self {
            table: Table::new(
                aws_sdk_dynamodb::Client::new(sdk),
                environment.required::<String>("TABLE_NAME")?,
                chance,
            ),
            servers: Queue::new(queues.clone(), environment.required::<String>("SERVERS_QUEUE_URL")?),
            ticks: Queue::new(queues, environment.required::<String>("TICKS_QUEUE_URL")?),
            aws: Aws::new(sdk),
            reach: Reach { services: parameter("SERVICES"), roles: parameter("TASK_ROLES") },
        })
    }

    /// Wakes `reconcile` for `server`.
    async fn wake_server(&self, server: &ServerName) {
        let sent = self.servers.send(&ServerWake::from(server.clone()), Duration::ZERO).await;
        log_lost_wake("server", server.as_str(), sent);
    }

    /// Wakes `rollout` for `site`.
    async fn wake_site(&self, site: &SiteName) {
        let sent = self.ticks.send(&SiteTick { site: site.clone() }, Duration::ZERO).await;
        log_lost_wake("site", site.as_str(), sent);
    }
}

/// Logs a wake-up that could not be sent. The request has succeeded all the same: the change is stored, and the next
/// sweep wakes the function.
fn log_lost_wake(kind: &str, name: &str, sent: Result<(), AwsError>) {
    if let Err(error) = sent {
        let error = anyhow::Error::new(error);
        tracing::warn!(
            kind,
            name,
            error = format!("{error:#}"),
            "a wake-up was not sent; the next sweep makes up for it"
        );
    }
}

/// Serves the API as a Lambda function, until Lambda ends the process.
///
/// # Errors
/// When the environment is incomplete or the Lambda runtime can't be reached.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let environment = Environment::of_process();
    let router = router(App::new(&sdk_config(&environment), &environment, Chance::system())?);
    let router = &router;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<gateway::Event>| async move {
        let moment = Moment::of(&event.context);
        Ok::<_, Infallible>(gateway::answer(router.clone(), event.payload, moment).await)
    }));
    served.await.map_err(anyhow::Error::from_boxed).context("serve the API on Lambda")
}

/// Answers a request.
///
/// # Errors
/// Never: failures are HTTP responses.
pub async fn handle(router: Router, mut request: http::Request<Body>, moment: Moment) -> Result<Response, Infallible> {
    request.extensions_mut().insert(moment);
    router.oneshot(request).await
}
