//! The sweep: decides for each server whether it stays online, and why; and replaces wake-ups that were lost.
//!
//! It only notes what it decides; `reconcile` looks again before it closes the server.

mod repair;
mod sites;
#[cfg(test)]
mod tests;
mod work;

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
use wharfinger_aws::{
    OnFirstUse,
    cloudwatch::{Metrics, SERVERS_A_CALL},
    error::AwsError,
    sqs::Queue,
};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    idle::{self, Action, Decision, Signs, Traffic},
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

use crate::work::{Outcome, Undone, in_time, some_at_once, there_is_time};

/// Clients, built once.
#[derive(Debug)]
pub struct App {
    table: Table,
    servers: Queue,
    ticks: Queue,
    metrics: Metrics,
    chance: Chance,
}

/// How many calls of CloudWatch are under way at once, and the servers of how many are decided.
const CALLS_AT_ONCE: usize = 4;

/// CloudWatch's answer about a server's traffic, where it was asked.
type Asked = Option<Result<Traffic, AwsError>>;

/// Serves invocations until Lambda ends the process.
///
/// # Errors
/// When the environment is incomplete, or the Lambda runtime can't be reached.
pub async fn run() -> anyhow::Result<()> {
    logs::start();
    let environment = Environment::of_process();
    let app = App::new(&sdk_config(&environment), &environment, Chance::system())?;
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
        let sqs = OnFirstUse::new(sdk, aws_sdk_sqs::Client::new);
        let period = SignedDuration::from_secs(environment.required::<u32>("METRIC_PERIOD_SECONDS")?.into());
        Ok(Self {
            table: Table::new(
                aws_sdk_dynamodb::Client::new(sdk),
                environment.required::<String>("TABLE_NAME")?,
                chance.clone(),
            ),
            servers: Queue::new(sqs.clone(), environment.required::<String>("SERVERS_QUEUE_URL")?),
            ticks: Queue::new(sqs, environment.required::<String>("TICKS_QUEUE_URL")?),
            metrics: Metrics::new(OnFirstUse::new(sdk, aws_sdk_cloudwatch::Client::new), period),
            chance,
        })
    }

    /// Runs one sweep: repairs come before decisions, and a failure of one site or server does not stop the others. When
    /// time is short, the rest is left to the next sweep, which begins with it.
    async fn all(&self, moment: Moment) -> anyhow::Result<()> {
        let sites = Box::pin(self.sites(moment));
        let (sites, servers) = future::join(sites, Box::pin(self.repaired_servers(moment))).await;
        let ((sites, of_sites), failure) = match sites {
            Ok(swept) => (swept, None),
            Err(error) => (unlisted(&error), Some(error)),
        };
        let (servers, of_servers) = servers?;
        let looked_at = servers.len();
        let undone = of_sites.and(of_servers).and(Box::pin(self.decide_all(servers, &sites, moment)).await);
        if !undone.is_nothing() {
            let Undone { troubles, left } = undone;
            tracing::error!(servers = looked_at, sites = sites.known.len(), left, ?troubles, "swept, but not over all");
        }
        // Nobody else follows a rollout whose event was lost: a sweep that woke no site has failed, and raises the alarm.
        failure.map_or(Ok(()), Err)
    }

    /// Reads the sites and sends lost ticks again.
    async fn sites(&self, moment: Moment) -> anyhow::Result<(SiteSigns, Undone)> {
        // A sweep that lags behind by a second is one that came a second earlier.
        let listed = future::join(self.table.sites_may_lag(), self.table.old_places());
        let (sites, old_places) = Box::pin(listed).await;
        let sites = sites.context("list the sites")?;
        // Only windows that release 0.1 wrote lie there: sites are woken without them, but none is known to be at rest.
        let (old_places, unseen) = match old_places {
            Ok(old_places) => (old_places, None),
            Err(error) => (OldPlaces::default(), Some(anyhow::Error::from(error).context("list the old windows"))),
        };
        let clients = (&self.table, &self.ticks, &self.chance);
        let (mut signs, mut undone) = sites::sweep(clients, sites, &old_places, moment).await;
        if let Some((any, of_any)) = unseen.as_ref().map(unlisted) {
            signs.unknown.extend(any.unknown);
            undone = undone.and(of_any);
        }
        Ok((signs, undone))
    }

    /// Reads the servers and sends lost wake-ups again, first to those that nobody has looked at for longest. Unreadable
    /// servers are left out.
    async fn repaired_servers(&self, moment: Moment) -> anyhow::Result<(Vec<(ServerName, ServerItem)>, Undone)> {
        let servers = self.table.all_may_lag::<ServerItem>(servers::PARTITION).await.context("list the servers")?;
        let servers = readable(servers, |item| metrics::unreadable_record(item, moment.now));
        let mut servers: Vec<_> =
            servers.into_iter().map(|(name, item)| (ServerName::from_stored(name), item)).collect();
        servers.sort_by_key(|(_, item)| item.record.status.observed_at);
        let repairs =
            servers.iter().map(|(server, item)| in_time(server, moment, self.repair(server, item, moment.now)).boxed());
        let undone = some_at_once(repairs.collect()).await;
        Ok((servers, undone))
    }

    async fn repair(&self, server: &ServerName, item: &ServerItem, now: Timestamp) -> anyhow::Result<()> {
        let Some(reason) = repair::reason(item, now) else { return Ok(()) };
        tracing::info!(%server, reason, "waking the server");
        self.wake(server).await
    }

    /// Decides for each server, first for those that were not decided for longest.
    async fn decide_all(
        &self,
        mut servers: Vec<(ServerName, ServerItem)>,
        sites: &SiteSigns,
        moment: Moment,
    ) -> Undone {
        // One that is to be closed already is left as it is.
        let now = moment.present();
        servers.retain(|(_, item)| !item.record.deleting && item.wish(now).power == Power::Online);
        servers.sort_by_key(|(_, item)| item.decision.as_ref().map(|decision| decision.at));
        let (to_ask, others): (Vec<_>, Vec<_>) =
            servers.into_iter().partition(|(_, item)| self.question(item).is_some());
        let chunks = to_ask.chunks(SERVERS_A_CALL).map(|chunk| self.ask_and_decide(chunk, sites, moment).boxed());
        let asked = stream::iter(chunks.collect::<Vec<_>>()).buffer_unordered(CALLS_AT_ONCE);
        let others = others.iter().map(|server| self.decide_in_time(server, None, sites, moment));
        let (asked, others) = future::join(
            asked.fold(Undone::default(), async |undone, chunk| undone.and(chunk)),
            some_at_once(others.collect()),
        )
        .await;
        asked.and(others)
    }

    /// Asks about the traffic of a call's worth of servers, and decides for each.
    async fn ask_and_decide(&self, servers: &[(ServerName, ServerItem)], sites: &SiteSigns, moment: Moment) -> Undone {
        if !there_is_time(moment) {
            return Undone { left: servers.len(), ..Undone::default() };
        }
        let questions: Vec<_> = servers.iter().filter_map(|(_, item)| self.question(item)).collect();
        let answers = Box::pin(self.metrics.traffic_of(&questions, moment.present())).await;
        let decisions = servers.iter().zip(answers);
        let decisions = decisions.map(|(server, answer)| self.decide_in_time(server, Some(answer), sites, moment));
        some_at_once(decisions.collect()).await
    }

    fn decide_in_time<'a>(
        &'a self,
        (server, item): &'a (ServerName, ServerItem),
        asked: Asked,
        sites: &'a SiteSigns,
        moment: Moment,
    ) -> BoxFuture<'a, Outcome> {
        in_time(server, moment, self.decide(server, item, asked, sites, moment)).boxed()
    }

    /// The AWS id and the window to ask about. AWS is asked only if the answer can matter: for a server that is online
    /// and has an idle policy.
    fn question<'a>(&self, item: &'a ServerItem) -> Option<(&'a str, SignedDuration)> {
        let status = &item.record.status;
        let (policy, id) = (item.record.intent.spec.idle.as_ref()?, status.server_id.as_deref()?);
        let is_online = item.phase() == ServerPhase::Online;
        is_online.then(|| (id, idle::window(policy, self.metrics.period())))
    }

    /// Decides whether a server that is to be online is used.
    async fn decide(
        &self,
        server: &ServerName,
        item: &ServerItem,
        asked: Asked,
        sites: &SiteSigns,
        moment: Moment,
    ) -> anyhow::Result<()> {
        let signs = self.signs(item, asked, sites).await;
        let now = moment.present();
        let decision = idle::decide(item.record.intent.spec.idle.as_ref(), self.metrics.period(), &signs, now);
        let kept_until = item.wish(now).until;
        tracing::info!(%server, %decision, ?kept_until, "decided");
        match (decision.action, kept_until) {
            (Action::Keep, _) => self.table.note_decision(server, &decision).await.context("note the decision"),
            (Action::Close, None) => {
                if self.close(server, item, &decision).await? {
                    self.wake(server).await?;
                }
                Ok(())
            }
            // It counts as soon as the order has ended, when `reconcile` is woken by a message of its own.
            (Action::Close, Some(until)) => {
                let decision = Decision { possible_at: Some(until), ..decision };
                self.close(server, item, &decision).await.map(drop)
            }
        }
    }

    /// Gathers the signs of use. Only a server whose traffic was `asked` for can be stopped.
    async fn signs(&self, item: &ServerItem, asked: Asked, sites: &SiteSigns) -> Signs {
        match (asked, &item.record.status.server_id) {
            (Some(traffic), Some(id)) => {
                let sites = future::ready(sites.on(&item.record.intent.spec.file_system_id));
                self.table.signs_of_use(item, id, future::ready(traffic), sites).await
            }
            _ => Signs::of_record(item.order().as_ref(), &item.record.status),
        }
    }

    /// Has a server closed that nobody uses, unless somebody has changed it or gave an order since. Returns whether it
    /// is to be closed.
    async fn close(&self, server: &ServerName, item: &ServerItem, decision: &Decision) -> anyhow::Result<bool> {
        match self.table.close_unused(server, decision, item).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict) => {
                tracing::info!(%server, "it was changed meanwhile: it is not closed");
                Ok(false)
            }
            Err(error) => Err(error).context("have it closed"),
        }
    }

    async fn wake(&self, server: &ServerName) -> anyhow::Result<()> {
        let wake = ServerWake::from(server.clone());
        self.servers.send(&wake, Duration::ZERO).await.with_context(|| format!("wake server {server}"))
    }
}

/// Signs that keep every server online, because no site is known.
fn unlisted(error: &anyhow::Error) -> (SiteSigns, Undone) {
    let reason = format!("{error:#}");
    let any = UnknownSite {
        name: "of any name".into(),
        file_system: None,
        remains: None,
        unreadable: false,
        reason: reason.clone(),
    };
    (SiteSigns { unknown: vec![any], ..SiteSigns::default() }, Undone::trouble(reason))
}
