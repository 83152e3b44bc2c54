//! Brings one server and its users to what is wanted, a step at a time.
//!
//! A message only says which server; what to do is read from the table and from AWS. While AWS is busy the function
//! asks to be woken again, after 2 to 30 seconds; what AWS refuses is tried again after minutes. A lease keeps two
//! deliveries from acting at once, and every step can be repeated, so a crash anywhere is taken up by the next look.

mod accounts;
mod farewell;
mod host_key;
mod ingress;
mod pace;
mod pass;
mod presence;
mod setup;
mod sight;
mod steps;
mod trouble;

use std::time::Duration;

use anyhow::Context as _;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use wharfinger_decisions::{names::ServerName, wake::ServerWake};
use wharfinger_runtime::logs;
use wharfinger_store::servers::{self, ServerRecord};

use crate::{pace::Outcome, setup::Reconciler};

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
    let reconciler = Reconciler::from_environment().await?;
    let reconciler = &reconciler;
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(lambda_runtime::run(service_fn(move |event| handle(reconciler, event))))
        .await
        .map_err(|error| anyhow::anyhow!("serve the runtime: {error}"))
}

async fn handle(reconciler: &Reconciler, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for message in event.payload.records {
        let id = message.message_id.unwrap_or_default();
        let owner = format!("{}/{id}", event.context.request_id);
        if let Err(error) = wake(reconciler, message.body.as_deref().unwrap_or_default(), &owner).await {
            let error = format!("{error:#}");
            tracing::error!(error, "the server could not be looked after; the message comes again");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    Ok(response)
}

async fn wake(reconciler: &Reconciler, body: &str, owner: &str) -> anyhow::Result<()> {
    let message: ServerWake = serde_json::from_str(body).context("read the message")?;
    let (server, key) = (&message.server, servers::key(&message.server));
    let lease = reconciler.table.take_lease(&key, owner, Timestamp::now(), LEASE).await.context("take the lease")?;
    let Some(lease) = lease else {
        return wake_after_others(reconciler, server).await;
    };
    let outcome = pass::run(reconciler, server).await.with_context(|| format!("look after server {server}"));
    let outcome = outcome.unwrap_or_else(|error| {
        tracing::error!(%server, error = format!("{error:#}"), "a look was cut short; it is tried again");
        Outcome::Again { step: "after an error".into(), slowly: false }
    });
    let (armed, delay) = pace::next(&lease.armed, &outcome, Timestamp::now());
    // The lease goes back also when the message could not be sent: the failed delivery comes again.
    let sent = match delay {
        Some(delay) => reconciler.queue.send(&message, delay).await,
        None => Ok(()),
    };
    let armed = if sent.is_ok() { &armed } else { &lease.armed };
    reconciler.table.release_lease(&lease, armed).await.context("give the lease back")?;
    Ok(sent?)
}

/// What this message is about may have come after the other one's look: somebody must look again.
async fn wake_after_others(reconciler: &Reconciler, server: &ServerName) -> anyhow::Result<()> {
    let record: Option<ServerRecord> = reconciler.table.record(&servers::key(server)).await?;
    if record.is_some() {
        reconciler.queue.send(&ServerWake { server: server.clone() }, AFTER_OTHERS).await?;
    }
    Ok(())
}
