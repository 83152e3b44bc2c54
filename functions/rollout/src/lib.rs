//! The function `rollout`. Two queues wake it: `changes` brings what SFTP users did and which ECS deployments ended,
//! `ticks` brings sites to look at. A message only wakes; what is done follows from the table and from ECS as they are.

mod app;
mod batch;
mod course;
mod given_up;
mod giving_way;
mod intake;
mod look;
mod old_revisions;
mod orders;
mod placing;
mod queue;
mod rollback;
mod steps;
mod stopping;
#[cfg(test)]
mod tests;
mod ticks;
mod turn;
mod uploads;
mod way_back;

use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tokio::time::timeout;
use wharfinger_chance::Chance;
use wharfinger_runtime::{
    Environment, Moment, logs,
    metrics::{self, Trouble},
    sdk_config,
};

pub use crate::app::App;
use crate::{batch::Batch, look::Look};

/// Serves Lambda until it ends the process.
///
/// # Errors
/// When the environment is incomplete, or Lambda can't be reached.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let environment = Environment::of_process();
    let app = App::new(&sdk_config(&environment), &environment, Chance::system())?;
    let app = &app;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        let moment = Moment::of(&event.context);
        Ok::<_, Error>(handle(app, event.payload, moment).await)
    }));
    // Boxed: the future holds the SDK's calls in each other, too deep for the compiler to lay out in one piece.
    Box::pin(served).await.map_err(|error| anyhow::anyhow!(error).context("serve Lambda"))
}

/// How long before its end an invocation answers at the latest: what was done is acknowledged, what was not comes again.
/// Ended by Lambda, all of its messages would come again.
const SPARE: Duration = Duration::from_secs(2);

/// Handles a batch. The answer names the messages that are to come again.
pub async fn handle(app: &App, event: SqsEvent, moment: Moment) -> SqsBatchResponse {
    let mut batch = Batch::read(event, moment.now);
    let mut awake = std::mem::take(&mut batch.awake);
    if !batch.uploads.is_empty() || !batch.deployments.is_empty() {
        let gathered = Box::pin(intake::gather(app, &mut batch, &mut awake, moment.now));
        if timeout(time_left(moment), gathered).await.is_err() {
            tracing::error!("there was no time to take the batch in; it comes again");
            batch.put_back();
        }
    }
    for (site, call) in awake {
        let looked = timeout(time_left(moment), Box::pin(Look::new(app, &site, &call, moment).run())).await;
        if let Err(error) = looked.unwrap_or_else(|_| Err(anyhow::anyhow!("there was no time left"))) {
            tracing::error!(%site, error = format!("{error:#}"), "the site could not be looked at; it comes again");
            batch.failed.extend(call.messages);
        }
    }
    match batch.stuck() {
        0 => {}
        stuck => metrics::trouble(Trouble::StuckMessage, &format!("{stuck} messages for rollout"), moment.now),
    }
    let mut answer = SqsBatchResponse::default();
    answer.set_failures(batch.failed);
    answer
}

fn time_left(moment: Moment) -> Duration {
    moment.left().saturating_sub(SPARE)
}
