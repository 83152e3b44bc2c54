//! The sweep: decides for each server whether it stays online, says why, and repairs wake-ups that were lost.
//!
//! It only changes what is wanted; `reconcile` asks once more before it shuts the door.

mod repair;
pub mod sites;

use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sites::SiteActivity;
use wharfinger_aws::{cloudwatch::Metrics, sqs::Queue};
use wharfinger_decisions::{
    idle::{self, Action, Decision, Signs, SiteSign, Traffic},
    ids::FileSystemId,
    names::ServerName,
    server::{Asker, Power, ServerPhase, WantedPower},
    wake::ServerWake,
};
use wharfinger_runtime::{Environment, Moment, logs, metrics, sdk_config};
use wharfinger_store::{
    servers::{self, ServerItem, ServerRecord},
    table::{StoreError, Table},
    unreadable::{Unreadable, readable},
};

/// Clients, built once.
#[derive(Debug)]
pub struct App {
    table: Table,
    servers: Queue,
    ticks: Queue,
    metrics: Metrics,
}

/// What the sites are at, or why it is not known.
type Sites = Result<Vec<SiteActivity>, String>;

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

    /// Looks at everything once. One server's failure holds up no other.
    async fn all(&self, moment: Moment) -> anyhow::Result<()> {
        let sites = sites::sweep(&self.table, &self.ticks, moment.now).await;
        let sites = sites.map_err(|error| format!("{error:#}"));
        if let Err(error) = &sites {
            tracing::error!(error, "the sites could not be looked at");
        }
        let servers = self.table.all::<ServerItem>(servers::PARTITION).await.context("list the servers")?;
        for (name, item) in readable(servers, |item| leave_alone(item, moment.present())) {
            let server = ServerName::from_stored(name);
            if let Err(error) = self.one(&server, &item, &sites, moment.present()).await {
                tracing::error!(%server, error = format!("{error:#}"), "the server could not be looked at");
            }
        }
        Ok(())
    }

    async fn one(&self, server: &ServerName, item: &ServerItem, sites: &Sites, now: Timestamp) -> anyhow::Result<()> {
        if let Some(reason) = repair::reason(item, now) {
            tracing::info!(%server, reason, "waking the server");
            self.wake(server).await?;
        }
        let record = &item.record;
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
    async fn signs(&self, record: &ServerRecord, sites: &Sites, now: Timestamp) -> Signs {
        let unasked = "nobody asked";
        let mut traffic: Result<Traffic, String> = Err(unasked.into());
        let mut last_event: Result<Option<Timestamp>, String> = Err(unasked.into());
        if let (Some(policy), Some(id), ServerPhase::Online) =
            (&record.intent.spec.idle, &record.status.server_id, record.status.power)
        {
            let window = idle::window(policy, self.metrics.period());
            let answers = tokio::join!(self.metrics.traffic(id, window, now), self.table.last_activity(id));
            traffic = answers.0.map_err(|error| error.to_string());
            last_event = answers.1.map_err(|error| error.to_string());
        }
        let sites = sites.as_ref().map(|sites| of_file_system(sites, &record.intent.spec.file_system_id));
        Signs::new(&record.intent, &record.status, traffic, last_event, sites.map_err(String::clone))
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

/// Tells of an item that can't be read, which is left as it is.
fn leave_alone(item: &Unreadable, now: Timestamp) {
    tracing::error!(%item, "a record can't be read and is left alone");
    metrics::trouble(metrics::Trouble::UnreadableRecord, &item.to_string(), now);
}

fn of_file_system(sites: &[SiteActivity], file_system: &FileSystemId) -> Vec<SiteSign> {
    let sign = |site: &SiteActivity| SiteSign {
        site: site.site.clone(),
        last_change: site.last_change,
        window_open: site.window_open,
        rollout_in_flight: site.rollout_in_flight,
    };
    sites.iter().filter(|site| site.file_system_id == *file_system).map(sign).collect()
}
