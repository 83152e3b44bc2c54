//! A look at one site: is its window over, has its rollout come further?

use anyhow::Context as _;
use jiff::Timestamp;
use uuid::{NoContext, Uuid};
use wharfinger_decisions::{
    names::SiteName,
    rollout::{Revisions, Rollout, State},
    site::SiteSpec,
    window::{Decision, decide},
};
use wharfinger_runtime::Moment;
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::StoreError,
    windows::WindowRecord,
};

use crate::{
    App, arming,
    changes::{MOST_TRIES, leave_alone, send_tick},
    steps,
};

/// What a look led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing more to do now; where there will be, a tick or an event of ECS brings it.
    Rest,
    /// There is more to do now.
    Further,
    /// The table was not as it was read: read it again and decide anew. It may be another writer, or our own write
    /// whose answer was lost, so this is no sign that somebody else sees to the site.
    Contended,
}

/// Looks at `site` and does what is due: arms the next tick, claims the window, takes the rollout's next steps. When a
/// rollout ends, the changes that came in the meantime are looked at at once.
///
/// # Errors
/// When the table or the queue fails: the message is to come again.
pub async fn look(app: &App, site: &SiteName, moment: Moment) -> anyhow::Result<()> {
    let record = match app.table.read::<SiteRecord>(&sites::key(site)).await.context("read the site")? {
        Some(Ok(record)) => record,
        Some(Err(unreadable)) => {
            leave_alone(&unreadable, moment.now);
            return Ok(());
        }
        None => {
            tracing::info!(%site, "the site is gone: nothing to look at");
            return Ok(());
        }
    };
    if record.deleting {
        tracing::info!(%site, "the site is on its way out: nothing is rolled out");
        return Ok(());
    }
    let (mut lease, mut conflicts) = (None, 0);
    while conflicts < MOST_TRIES {
        let window = app.table.window(site).await.context("read the window")?;
        let outcome = match &window.rollout {
            Some(id) => steps::advance(app, site, &record.intent, id, moment, &mut lease).await?,
            None => claim_or_wait(app, site, &record.intent, window, moment.now).await?,
        };
        match outcome {
            Outcome::Rest => return Ok(()),
            Outcome::Further => {}
            Outcome::Contended => conflicts += 1,
        }
    }
    anyhow::bail!("{MOST_TRIES} other writers were first")
}

async fn claim_or_wait(
    app: &App,
    site: &SiteName,
    spec: &SiteSpec,
    record: WindowRecord,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    match decide(&record.window, &spec.finish, now) {
        Decision::Nothing => Ok(Outcome::Rest),
        Decision::Wait { until, reason, .. } => wait(app, site, record, until, &reason, now).await,
        Decision::Claim { reason } => claim(app, site, spec, record, reason, now).await,
    }
}

async fn wait(
    app: &App,
    site: &SiteName,
    mut record: WindowRecord,
    until: Timestamp,
    reason: &str,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    let Some(until) = arming::rearm(record.armed_until, until, now) else { return Ok(Outcome::Rest) };
    // Sent before it is recorded: one too many only looks, one that was never sent leaves the window alone.
    send_tick(app, site, until, now).await?;
    record.armed_until = Some(until);
    match app.table.write_window(site, &record).await {
        Err(StoreError::Conflict) => return Ok(Outcome::Contended),
        written => written.context("write the window")?,
    };
    tracing::info!(%site, %until, reason, "the window stays open");
    Ok(Outcome::Rest)
}

async fn claim(
    app: &App,
    site: &SiteName,
    spec: &SiteSpec,
    record: WindowRecord,
    reason: String,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    let rollout = Rollout {
        id: rollout_id(now),
        site: site.clone(),
        state: State::Claimed,
        reason: "the window is over".into(),
        cause: record.window.cause(reason),
        task_definition: Revisions::default(),
        deployment_id: None,
        started_at: now,
        finished_at: None,
    };
    let window = record.window.claimed(&spec.finish, now);
    let record = WindowRecord { window, armed_until: None, rollout: Some(rollout.id.clone()), ..record };
    match app.table.claim(&record, &rollout).await {
        Err(StoreError::Conflict) => return Ok(Outcome::Contended),
        claimed => claimed.context("claim the window")?,
    }
    let (reason, changes) = (&rollout.cause.reason, rollout.cause.changes);
    tracing::info!(%site, rollout = rollout.id, reason, changes, "the window is claimed");
    Ok(Outcome::Further)
}

fn rollout_id(now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds)).to_string()
}
