//! The sweep: decides for each server whether it stays online, says why, and repairs wake-ups that were lost.
//!
//! It only changes what is wanted; `reconcile` asks once more before it shuts the door.

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
use wharfinger_decisions::{
    idle::{self, Action, Decision, Signs},
    names::ServerName,
    server::{Asker, Power, ServerPhase, WantedPower},
    wake::ServerWake,
};
use wharfinger_runtime::{Environment, Moment, logs, metrics, sdk_config};
use wharfinger_store::{
    servers::{self, ServerItem, ServerRecord},
    signs::{SiteSigns, UnknownSite},
    table::{StoreError, Table},
    unreadable::readable,
};

/// Clients, built once.
#[derive(Debug)]
pub struct App {
    table: Table,
    servers: Queue,
    ticks: Queue,
    metrics: Metrics,
}

/// How many sites or servers are looked at side by side.
const AT_ONCE: usize = 16;

/// What went wrong, a sentence each. It is told at the end, and holds up nothing else.
type Troubles = Vec<String>;

/// Runs the function until the runtime ends it.
///
/// # Errors
/// When its environment is not as the template makes it.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let app = App::new(&sdk_config().await, &Environment::of_process())?;
    let app = &app;
    let served = lambda_runtime::run(service_fn(move |event: LambdaEvent<serde_json::Value>| async move {
        let answer = handle(app, Moment::of(&event.context)).await;
        answer.map_err(|error| Error::from(format!("{error:#}")))
    }));
    // Boxed: the calls that it holds in each other make it large.
    Box::pin(served).await.map_err(|error| anyhow::anyhow!("serve the runtime: {error}"))
}

/// Sweeps once over everything.
///
/// # Errors
/// When the servers can't be listed.
pub async fn handle(app: &App, moment: Moment) -> anyhow::Result<()> {
    app.all(moment).await
}

impl App {
    /// Clients over `sdk`, and what the template says in `environment`.
    ///
    /// # Errors
    /// When a variable is missing or can't be read.
    pub fn new(sdk: &SdkConfig, environment: &Environment) -> anyhow::Result<Self> {
        let sqs = aws_sdk_sqs::Client::new(sdk);
        let period = SignedDuration::from_secs(environment.required::<u32>("METRIC_PERIOD_SECONDS")?.into());
        Ok(Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(sdk), environment.required::<String>("TABLE_NAME")?),
            servers: Queue::new(sqs.clone(), environment.required::<String>("SERVERS_QUEUE_URL")?),
            ticks: Queue::new(sqs, environment.required::<String>("TICKS_QUEUE_URL")?),
            metrics: Metrics::new(aws_sdk_cloudwatch::Client::new(sdk), period),
        })
    }

    /// Looks at everything once: what was lost is repaired before anything is decided. The trouble of one thing holds
    /// up no other.
    async fn all(&self, moment: Moment) -> anyhow::Result<()> {
        let sites = Box::pin(self.sites(moment.now));
        let ((sites, mut troubles), servers) = future::join(sites, Box::pin(self.repaired_servers(moment.now))).await;
        let (servers, of_servers) = servers?;
        troubles.extend(of_servers);
        let looked_at = servers.len();
        let decisions = servers
            .iter()
            .map(|(server, item)| told(server, self.decide(server, &item.record, &sites, moment.present())).boxed());
        troubles.extend(some_at_once(decisions.collect()).await);
        if !troubles.is_empty() {
            tracing::error!(servers = looked_at, sites = sites.known.len(), ?troubles, "swept, but not over all");
        }
        Ok(())
    }

    /// The sites, whose lost ticks are sent anew.
    async fn sites(&self, now: Timestamp) -> (SiteSigns, Troubles) {
        // A sweep that lags behind by a second is one that came a second earlier.
        let listed = future::try_join(self.table.sites_may_lag(), self.table.old_places());
        match Box::pin(listed).await {
            Ok((sites, old_places)) => sites::sweep(&self.table, &self.ticks, sites, &old_places, now).await,
            Err(error) => unlisted(&anyhow::Error::from(error).context("list the sites")),
        }
    }

    /// The servers that can be read, whose lost wake-ups are sent anew.
    async fn repaired_servers(&self, now: Timestamp) -> anyhow::Result<(Vec<(ServerName, ServerItem)>, Troubles)> {
        let mut troubles = Troubles::new();
        let servers = self.table.all_may_lag::<ServerItem>(servers::PARTITION).await.context("list the servers")?;
        let servers = readable(servers, |item| {
            metrics::trouble(metrics::Trouble::UnreadableRecord, &item.to_string(), now);
            troubles.push(format!("server {}: its record can't be read: {}", item.name(), item.reason));
        });
        let servers: Vec<_> = servers.into_iter().map(|(name, item)| (ServerName::from_stored(name), item)).collect();
        let repairs = servers.iter().map(|(server, item)| told(server, self.repair(server, item, now)).boxed());
        troubles.extend(some_at_once(repairs.collect()).await);
        Ok((servers, troubles))
    }

    async fn repair(&self, server: &ServerName, item: &ServerItem, now: Timestamp) -> anyhow::Result<()> {
        let Some(reason) = repair::reason(item, now) else { return Ok(()) };
        tracing::info!(%server, reason, "waking the server");
        self.wake(server).await
    }

    async fn decide(
        &self,
        server: &ServerName,
        record: &ServerRecord,
        sites: &SiteSigns,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        if record.deleting {
            return Ok(());
        }
        let signs = self.signs(record, sites, now).await;
        let decision = idle::decide(record.intent.spec.idle.as_ref(), self.metrics.period(), &signs, now);
        tracing::info!(%server, %decision, "decided");
        self.table.note_decision(server, &decision).await.context("note the decision")?;
        if decision.action == Action::Stop && record.intent.power.power == Power::Online {
            self.stop(server, record, &decision).await?;
        }
        Ok(())
    }

    /// Asks only what can matter: a server that is not online, or has no policy, stays as it is.
    async fn signs(&self, record: &ServerRecord, sites: &SiteSigns, now: Timestamp) -> Signs {
        let (intent, status) = (&record.intent, &record.status);
        let (Some(policy), Some(id), ServerPhase::Online) = (&intent.spec.idle, &status.server_id, status.power) else {
            return Signs::of_record(intent, status);
        };
        let traffic = self.metrics.traffic(id, idle::window(policy, self.metrics.period()), now);
        let sites = future::ready(sites.on(&intent.spec.file_system_id));
        self.table.signs_of_use(record, id, traffic, sites).await
    }

    /// Asks for the server to be stopped, unless somebody asked for something else meanwhile.
    async fn stop(&self, server: &ServerName, record: &ServerRecord, decision: &Decision) -> anyhow::Result<()> {
        let power = WantedPower {
            power: Power::Stopped,
            by: Asker::Autostop,
            reason: decision.reason.clone(),
            at: decision.at,
        };
        match self.table.want_power(server, &power, record.version, decision.at).await {
            Ok(_) => self.wake(server).await,
            Err(StoreError::Conflict) => {
                tracing::info!(%server, "it was changed meanwhile: it is not stopped");
                Ok(())
            }
            Err(error) => Err(error).context("ask for the stop"),
        }
    }

    async fn wake(&self, server: &ServerName) -> anyhow::Result<()> {
        let wake = ServerWake { server: server.clone() };
        self.servers.send(&wake, Duration::ZERO).await.with_context(|| format!("wake server {server}"))
    }
}

/// The trouble of `work` for a server.
async fn told(server: &ServerName, work: impl Future<Output = anyhow::Result<()>>) -> Option<String> {
    work.await.err().map(|error| format!("server {server}: {error:#}"))
}

/// Does all of `work`, some side by side.
async fn some_at_once(work: Vec<BoxFuture<'_, Option<String>>>) -> Troubles {
    stream::iter(work).buffer_unordered(AT_ONCE).filter_map(future::ready).collect().await
}

/// No site is known: none of the servers is taken as idle.
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
