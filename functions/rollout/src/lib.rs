//! The function `rollout`. Two queues wake it: `changes` brings what SFTP users did and how ECS deployments go,
//! `ticks` brings sites to look at. A message only wakes; what is done follows from the table and from ECS as they are.

pub mod arming;
pub mod changes;
pub mod message;
pub mod retirement;
pub mod steps;
pub mod tick;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use wharfinger_aws::{ecs::Ecs, sqs::Queue};
use wharfinger_runtime::{environment, logs};
use wharfinger_store::table::Table;

use crate::message::Batch;

/// What the function works with.
#[derive(Clone, Debug)]
pub struct App {
    /// What is wanted and known.
    pub table: Table,
    /// The queue that wakes this function for a site.
    pub ticks: Queue,
    /// The services.
    pub ecs: Ecs,
}

/// The time of one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// When Lambda ends this invocation at the latest.
    pub deadline: Timestamp,
}

/// Serves Lambda until it ends the process.
///
/// # Errors
/// When the environment is incomplete, or Lambda can't be reached.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let config = wharfinger_runtime::sdk_config().await;
    let table: String = environment::required("TABLE_NAME")?;
    let ticks: String = environment::required("TICKS_QUEUE_URL")?;
    let app = App {
        table: Table::new(aws_sdk_dynamodb::Client::new(&config), table),
        ticks: Queue::new(aws_sdk_sqs::Client::new(&config), ticks),
        ecs: Ecs::new(aws_sdk_ecs::Client::new(&config)),
    };
    let app = &app;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let deadline = i64::try_from(event.context.deadline).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let now = Timestamp::now();
        Ok::<_, Error>(handle(app, event.payload, Moment { now, deadline: deadline.unwrap_or(now) }).await)
    }));
    // Boxed: the future holds the SDK's calls in each other, too deep for the compiler to lay out in one piece.
    Box::pin(served).await.map_err(|error| anyhow::anyhow!(error).context("serve Lambda"))
}

/// Handles a batch. The answer names the messages that are to come again.
pub async fn handle(app: &App, event: SqsEvent, moment: Moment) -> SqsBatchResponse {
    let mut batch = Batch::read(event, moment.now);
    let mut awake = std::mem::take(&mut batch.ticks);
    if !batch.uploads.is_empty() || !batch.deployments.is_empty() {
        Box::pin(changes::gather(app, &mut batch, &mut awake, moment.now)).await;
    }
    for (site, messages) in awake {
        if let Err(error) = Box::pin(tick::look(app, &site, moment)).await {
            tracing::error!(%site, error = format!("{error:#}"), "the site could not be looked at; it comes again");
            batch.failed.extend(messages);
        }
    }
    let mut answer = SqsBatchResponse::default();
    answer.set_failures(batch.failed);
    answer
}
