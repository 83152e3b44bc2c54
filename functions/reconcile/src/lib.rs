//! Brings one server and its users to the wanted state, one step at a time.
//!
//! A message only names a server; what to do is read from the table and from AWS. While AWS is working, the function
//! wakes itself again after 2 to 30 seconds; what AWS refuses is retried after minutes. A lease keeps two deliveries
//! from acting at once. Every step can be repeated, so the next visit recovers from a crash at any point.

mod account;
mod adoption;
mod app;
mod create;
mod delete;
mod drain;
mod error;
mod host_keys;
mod memory;
mod next_visit;
mod observe;
mod owners;
mod presence;
mod rate;
mod reached;
mod rebuild;
mod records;
mod rules;
mod run;
mod search;
mod seen_tags;
mod status;
mod steps;
mod strangers;
mod tally;
#[cfg(test)]
mod testing;
mod users;
mod visit;

use std::time::Duration;

use anyhow::Context as _;
use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::SignedDuration;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use wharfinger_chance::Chance;
use wharfinger_decisions::{messages::ServerWake, names::ServerName};
use wharfinger_runtime::{Environment, Moment, logs, metrics, sdk_config};
use wharfinger_store::{
    lease::{Armed, Claim, Lease, Mark, Release},
    servers::{self, ServerItem},
    table::StoreError,
};

pub use crate::app::App;
use crate::{
    next_visit::{NextVisit, Wakeup},
    visit::Visit,
};

/// Longer than the function may run: a lease outlives its owner only after a crash.
const LEASE: SignedDuration = SignedDuration::from_secs(60);

/// No further visit is started after this much of the invocation's 30 seconds.
const TIME_TO_START: Duration = Duration::from_secs(10);

/// Serves invocations until Lambda ends the process.
///
/// # Errors
/// When the environment is incomplete, or the Lambda runtime can't be reached.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let environment = Environment::of_process();
    let app = App::new(&sdk_config(&environment), &environment, Chance::system())?;
    let app = &app;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let moment = Moment::of(&event.context);
        Ok::<_, Error>(Box::pin(handle(app, event.payload, &event.context.request_id, moment)).await)
    }));
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(served).await.map_err(|error| anyhow::anyhow!("serve the runtime: {error}"))
}

/// Handles one batch. The response names the messages that SQS is to deliver again.
pub async fn handle(app: &App, event: SqsEvent, request_id: &str, moment: Moment) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for message in event.records {
        let id = message.message_id.clone().unwrap_or_default();
        if let Err(error) = Box::pin(wake(app, &message, &format!("{request_id}/{id}"), moment)).await {
            let error = format!("{error:#}");
            tracing::error!(error, "the server could not be looked after; the message comes again");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            response.batch_item_failures.push(failure);
        }
    }
    response
}

async fn wake(app: &App, message: &SqsMessage, owner: &str, moment: Moment) -> anyhow::Result<()> {
    let body = message.body.as_deref().unwrap_or_default();
    let ServerWake { server, if_marked_by } = serde_json::from_str(body).context("read the message")?;
    let key = servers::key(&server);
    // The delivery before this one may have taken the mark away, and crashed.
    let counts = !is_delivered_again(message);
    if let Some(mark) = if_marked_by.as_ref().filter(|_| counts)
        && !app.table.is_marked_by(&key, mark).await.context("look for a mark")?
    {
        return Ok(());
    }
    match app.table.lease(&key, owner, moment.present(), LEASE).await.context("take the lease")? {
        Claim::Taken(lease) => visit_until_quiet(app, &server, lease, moment).await,
        // Whoever has the lease looks again before giving it back, unless it crashes.
        Claim::Noted(Some(mark)) if mark.by == owner || if_marked_by.is_some() => {
            come_back(app, server, mark, moment).await
        }
        Claim::Noted(_) => Ok(()),
        Claim::Gone => {
            tracing::info!(%server, "there is no such server any more");
            Ok(())
        }
    }
}

fn is_delivered_again(message: &SqsMessage) -> bool {
    let count = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok());
    count.is_some_and(|count| count > 1)
}

/// Has the server looked after when the lease is over, if it is still marked then.
async fn come_back(app: &App, server: ServerName, mark: Mark, moment: Moment) -> anyhow::Result<()> {
    let when_it_is_over = mark.until.duration_since(moment.present()) + SignedDuration::from_secs(1);
    let message = ServerWake { server, if_marked_by: Some(mark.by) };
    let delay = Duration::try_from(when_it_is_over).unwrap_or_default();
    app.queue.send(&message, delay).await.context("come back when the lease is over")
}

/// Visits the server, repeats that while other deliveries ask for it, and arms the next wake-up.
async fn visit_until_quiet(app: &App, server: &ServerName, lease: Lease, moment: Moment) -> anyhow::Result<()> {
    let mut armed = lease.armed.clone();
    loop {
        let wakeup = visit(app, server, &lease, moment).await.unwrap_or_else(|error| {
            tracing::error!(%server, error = format!("{error:#}"), "a visit was cut short; it is tried again");
            NextVisit::Soon("after an error".into()).into()
        });
        let (next, delay) = wakeup.arm(&armed, moment.present());
        let sent = match delay {
            Some(delay) => wake_again(app, server, delay).await,
            None => Ok(()),
        };
        if sent.is_ok() {
            armed = next;
        }
        // The lease goes back also when the message could not be sent: the failed delivery comes again.
        let release = app.table.release_lease(&lease, &armed).await.context("give the lease back")?;
        sent?;
        if release == Release::Free {
            return Ok(());
        }
        if moment.elapsed() >= TIME_TO_START {
            return hand_over(app, server, &lease, &armed).await;
        }
    }
}

/// The deployment's id, if it can be read. Without it only what is known to be ours is looked after.
fn known(id: Result<String, StoreError>, moment: Moment) -> Option<String> {
    match id {
        Ok(id) => return Some(id),
        Err(StoreError::Unreadable(item)) => metrics::unreadable_record(&item, moment.present()),
        Err(error) => tracing::warn!(%error, "the deployment's id could not be read"),
    }
    None
}

async fn visit(app: &App, server: &ServerName, lease: &Lease, moment: Moment) -> anyhow::Result<Wakeup> {
    let key = servers::key(server);
    let (read, id) = tokio::join!(app.table.read::<ServerItem>(&key), app.table.deployment_id());
    let deployment = app.deployment(known(id, moment));
    match read.with_context(|| format!("read server {server}"))? {
        None => Ok(NextVisit::NotNeeded.into()),
        Some(Ok(item)) => {
            let visited = Box::pin(Visit::new(app, &deployment, server, lease, &item, moment).run()).await;
            visited.with_context(|| format!("look after server {server}"))
        }
        Some(Err(unreadable)) => {
            metrics::unreadable_record(&unreadable, moment.present());
            let item = ServerItem::remains(&unreadable);
            Ok(Box::pin(Visit::new(app, &deployment, server, lease, &item, moment).remove_users()).await.into())
        }
    }
}

/// Leaves the next visit to another invocation, for lack of time.
async fn hand_over(app: &App, server: &ServerName, lease: &Lease, armed: &Armed) -> anyhow::Result<()> {
    wake_again(app, server, Duration::ZERO).await?;
    while app.table.release_lease(lease, armed).await.context("give the lease back")? == Release::Wanted {}
    Ok(())
}

async fn wake_again(app: &App, server: &ServerName, delay: Duration) -> anyhow::Result<()> {
    app.queue.send(&ServerWake::from(server.clone()), delay).await.with_context(|| format!("wake server {server}"))
}

#[cfg(test)]
mod tests;
