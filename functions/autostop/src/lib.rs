//! The sweep: decides for each server whether it stays online, and why; and replaces wake-ups that were lost.
//!
//! It only notes what it decides; `reconcile` looks again before it closes the server.

mod repair;
mod sites;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use futures::{
    FutureExt as _,
    future::{self, BoxFuture},
    stream::{self, StreamExt as _},
};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use wharfinger_aws::{cloudwatch::Metrics, sqs::Queue};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    idle::{self, Action, Decision, Signs},
    messages::ServerWake,
    names::ServerName,
    server::{Power, ServerPhase},
};
use wharfinger_runtime::{Environment, Moment, logs, metrics, sdk_config};
use wharfinger_store::{
    servers::{self, ServerItem},
    signs::{SiteSigns, UnknownSite},
    table::{StoreError, Table},
    unreadable::readable,
    windows::old_place::OldPlaces,
};

/// Clients, built once.
#[derive(Debug)]
pub struct App {
    table: Table,
    servers: Queue,
    ticks: Queue,
    metrics: Metrics,
}

/// How many sites or servers are processed at once.
const AT_ONCE: usize = 16;

/// What went wrong, one sentence each. It is logged at the end and stops nothing else.
type Troubles = Vec<String>;

/// Serves invocations until Lambda ends the process.
///
/// # Errors
/// When the environment is incomplete, or the Lambda runtime can't be reached.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let app = App::new(&sdk_config().await, &Environment::of_process(), Chance::system())?;
    let app = &app;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<serde_json::Value>| async move {
        let answer = handle(app, Moment::of(&event.context)).await;
        answer.map_err(|error| Error::from(format!("{error:#}")))
    }));
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(served).await.map_err(|error| anyhow::anyhow!("serve the runtime: {error}"))
}

/// Runs one sweep.
///
/// # Errors
/// When the servers or the sites can't be listed; what can be seen of the others is swept all the same.
pub async fn handle(app: &App, moment: Moment) -> anyhow::Result<()> {
    app.all(moment).await
}

impl App {
    /// Builds the clients from `sdk` and reads the configuration from `environment`. Everything random comes from
    /// `chance`.
    ///
    /// # Errors
    /// When a variable is missing or can't be read.
    pub fn new(sdk: &SdkConfig, environment: &Environment, chance: Chance) -> anyhow::Result<Self> {
        let sqs = aws_sdk_sqs::Client::new(sdk);
        let period = SignedDuration::from_secs(environment.required::<u32>("METRIC_PERIOD_SECONDS")?.into());
        Ok(Self {
            table: Table::new(
                aws_sdk_dynamodb::Client::new(sdk),
                environment.required::<String>("TABLE_NAME")?,
                chance,
            ),
            servers: Queue::new(sqs.clone(), environment.required::<String>("SERVERS_QUEUE_URL")?),
            ticks: Queue::new(sqs, environment.required::<String>("TICKS_QUEUE_URL")?),
            metrics: Metrics::new(aws_sdk_cloudwatch::Client::new(sdk), period),
        })
    }

    /// Runs one sweep: repairs come before decisions, and a failure of one site or server does not stop the others.
    async fn all(&self, moment: Moment) -> anyhow::Result<()> {
        let sites = Box::pin(self.sites(moment.now));
        let (sites, servers) = future::join(sites, Box::pin(self.repaired_servers(moment.now))).await;
        let ((sites, mut troubles), failure) = match sites {
            Ok(swept) => (swept, None),
            Err(error) => (unlisted(&error), Some(error)),
        };
        let (servers, of_servers) = servers?;
        troubles.extend(of_servers);
        let looked_at = servers.len();
        let decisions = servers
            .iter()
            .map(|(server, item)| told(server, self.decide(server, item, &sites, moment.present())).boxed());
        troubles.extend(some_at_once(decisions.collect()).await);
        if !troubles.is_empty() {
            tracing::error!(servers = looked_at, sites = sites.known.len(), ?troubles, "swept, but not over all");
        }
        // Nobody else follows a rollout whose event was lost: a sweep that woke no site has failed, and raises the alarm.
        failure.map_or(Ok(()), Err)
    }

    /// Reads the sites and sends lost ticks again.
    async fn sites(&self, now: Timestamp) -> anyhow::Result<(SiteSigns, Troubles)> {
        // A sweep that lags behind by a second is one that came a second earlier.
        let listed = future::join(self.table.sites_may_lag(), self.table.old_places());
        let (sites, old_places) = Box::pin(listed).await;
        let sites = sites.context("list the sites")?;
        // Only windows that release 0.1 wrote lie there: sites are woken without them, but none is known to be at rest.
        let (old_places, unseen) = match old_places {
            Ok(old_places) => (old_places, None),
            Err(error) => (OldPlaces::default(), Some(anyhow::Error::from(error).context("list the old windows"))),
        };
        let (mut signs, mut troubles) = sites::sweep(&self.table, &self.ticks, sites, &old_places, now).await;
        if let Some((any, told)) = unseen.as_ref().map(unlisted) {
            signs.unknown.extend(any.unknown);
            troubles.extend(told);
        }
        Ok((signs, troubles))
    }

    /// Reads the servers and sends lost wake-ups again. Unreadable servers are left out.
    async fn repaired_servers(&self, now: Timestamp) -> anyhow::Result<(Vec<(ServerName, ServerItem)>, Troubles)> {
        let servers = self.table.all_may_lag::<ServerItem>(servers::PARTITION).await.context("list the servers")?;
        let servers = readable(servers, |item| metrics::unreadable_record(item, now));
        let servers: Vec<_> = servers.into_iter().map(|(name, item)| (ServerName::from_stored(name), item)).collect();
        let repairs = servers.iter().map(|(server, item)| told(server, self.repair(server, item, now)).boxed());
        let troubles = some_at_once(repairs.collect()).await;
        Ok((servers, troubles))
    }

    async fn repair(&self, server: &ServerName, item: &ServerItem, now: Timestamp) -> anyhow::Result<()> {
        let Some(reason) = repair::reason(item, now) else { return Ok(()) };
        tracing::info!(%server, reason, "waking the server");
        self.wake(server).await
    }

    /// Decides whether a server that is to be online is used. One that is to be closed already is left as it is.
    async fn decide(
        &self,
        server: &ServerName,
        item: &ServerItem,
        sites: &SiteSigns,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let wish = item.wish(now);
        if item.record.deleting || wish.power != Power::Online {
            return Ok(());
        }
        let signs = self.signs(item, sites, now).await;
        let decision = idle::decide(item.record.intent.spec.idle.as_ref(), self.metrics.period(), &signs, now);
        let decision = match wish.until {
            Some(until) if decision.action == Action::Stop => Decision {
                possible_at: Some(until),
                ..Decision::keep(format!("{}, but it is kept until {until:.0}: {}", decision.reason, wish.reason), now)
            },
            _ => decision,
        };
        tracing::info!(%server, %decision, "decided");
        match decision.action {
            Action::Keep => self.table.note_decision(server, &decision).await.context("note the decision"),
            Action::Stop => self.close(server, item, &decision).await,
        }
    }

    /// Gathers the signs of use. AWS is asked only if the answer can matter: for a server that is online and has an
    /// idle policy.
    async fn signs(&self, item: &ServerItem, sites: &SiteSigns, now: Timestamp) -> Signs {
        let (spec, status) = (&item.record.intent.spec, &item.record.status);
        let (Some(policy), Some(id), ServerPhase::Online) = (&spec.idle, &status.server_id, status.phase()) else {
            return Signs::of_record(item.order().as_ref(), status);
        };
        let traffic = self.metrics.traffic(id, idle::window(policy, self.metrics.period()), now);
        let sites = future::ready(sites.on(&spec.file_system_id));
        self.table.signs_of_use(item, id, traffic, sites).await
    }

    /// Has a server closed that nobody uses, unless somebody has changed it or gave an order since.
    async fn close(&self, server: &ServerName, item: &ServerItem, decision: &Decision) -> anyhow::Result<()> {
        match self.table.close_unused(server, decision, item).await {
            Ok(()) => self.wake(server).await,
            Err(StoreError::Conflict) => {
                tracing::info!(%server, "it was changed meanwhile: it is not closed");
                Ok(())
            }
            Err(error) => Err(error).context("have it closed"),
        }
    }

    async fn wake(&self, server: &ServerName) -> anyhow::Result<()> {
        let wake = ServerWake { server: server.clone() };
        self.servers.send(&wake, Duration::ZERO).await.with_context(|| format!("wake server {server}"))
    }
}

/// Runs `work` for a server and returns what went wrong.
async fn told(server: &ServerName, work: impl Future<Output = anyhow::Result<()>>) -> Option<String> {
    work.await.err().map(|error| format!("server {server}: {error:#}"))
}

/// Runs all of `work`, [`AT_ONCE`] at a time.
async fn some_at_once(work: Vec<BoxFuture<'_, Option<String>>>) -> Troubles {
    stream::iter(work).buffer_unordered(AT_ONCE).filter_map(future::ready).collect().await
}

/// Signs that keep every server online, because no site is known.
fn unlisted(error: &anyhow::Error) -> (SiteSigns, Troubles) {
    let reason = format!("{error:#}");
    let any = UnknownSite {
        name: "of any name".into(),
        file_system: None,
        remains: None,
        unreadable: false,
        reason: reason.clone(),
    };
    (SiteSigns { unknown: vec![any], ..SiteSigns::default() }, vec![reason])
}
