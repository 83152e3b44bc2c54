//! Brings one server and its users to what is wanted, a step at a time.
//!
//! A message only says which server; what to do is read from the table and from AWS. While AWS is busy the function
//! asks to be woken again, after 2 to 30 seconds; what AWS refuses is tried again after minutes. A lease keeps two
//! deliveries from acting at once, and every step can be repeated, so a crash anywhere is taken up by the next look.

mod accounts;
mod app;
mod farewell;
mod host_key;
mod ingress;
mod pace;
mod pass;
mod presence;
mod sight;
mod steps;
mod trouble;

use std::time::Duration;

use anyhow::Context as _;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use jiff::SignedDuration;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use wharfinger_decisions::{names::ServerName, wake::ServerWake};
use wharfinger_runtime::{Environment, Moment, logs, sdk_config};
use wharfinger_store::servers::{self, ServerRecord};

pub use crate::app::App;
use crate::pace::Outcome;

/// Longer than the function may run, so that a lease outlives its owner only after a crash.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// When to look again after another one that has the lease.
const AFTER_OTHERS: Duration = Duration::from_secs(2);

/// Runs the function until the runtime ends it.
///
/// # Errors
/// When its environment is not as the template makes it.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let app = App::new(&sdk_config().await, &Environment::of_process())?;
    let app = &app;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let moment = Moment::of(&event.context);
        Ok::<_, Error>(Box::pin(handle(app, event.payload, &event.context.request_id, moment)).await)
    }));
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(served).await.map_err(|error| anyhow::anyhow!("serve the runtime: {error}"))
}

/// Handles the batch of the invocation `request_id`. The answer names the messages that are to come again.
pub async fn handle(app: &App, event: SqsEvent, request_id: &str, moment: Moment) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for message in event.records {
        let id = message.message_id.unwrap_or_default();
        let owner = format!("{request_id}/{id}");
        if let Err(error) = Box::pin(wake(app, message.body.as_deref().unwrap_or_default(), &owner, moment)).await {
            let error = format!("{error:#}");
            tracing::error!(error, "the server could not be looked after; the message comes again");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}

async fn wake(app: &App, body: &str, owner: &str, moment: Moment) -> anyhow::Result<()> {
    let message: ServerWake = serde_json::from_str(body).context("read the message")?;
    let (server, key) = (&message.server, servers::key(&message.server));
    let lease = app.table.take_lease(&key, owner, moment.present(), LEASE).await.context("take the lease")?;
    let Some(lease) = lease else {
        return wake_after_others(app, server).await;
    };
    let outcome = pass::run(app, server, moment).await.with_context(|| format!("look after server {server}"));
    let outcome = outcome.unwrap_or_else(|error| {
        tracing::error!(%server, error = format!("{error:#}"), "a look was cut short; it is tried again");
        Outcome::Again { step: "after an error".into(), slowly: false }
    });
    let (armed, delay) = pace::next(&lease.armed, &outcome, moment.present());
    // The lease goes back also when the message could not be sent: the failed delivery comes again.
    let sent = match delay {
        Some(delay) => app.queue.send(&message, delay).await,
        None => Ok(()),
    };
    let armed = if sent.is_ok() { &armed } else { &lease.armed };
    app.table.release_lease(&lease, armed).await.context("give the lease back")?;
    Ok(sent?)
}

/// What this message is about may have come after the other one's look: somebody must look again.
async fn wake_after_others(app: &App, server: &ServerName) -> anyhow::Result<()> {
    if app.table.read::<ServerRecord>(&servers::key(server)).await?.is_some() {
        app.queue.send(&ServerWake { server: server.clone() }, AFTER_OTHERS).await?;
    }
    Ok(())
}
