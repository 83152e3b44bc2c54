//! A look at one site: is its window over, has its rollout come further?

use anyhow::Context as _;
use jiff::Timestamp;
use wharfinger_decisions::{
    names::SiteName,
    rollout::{Revisions, Rollout, State},
    site::SiteSpec,
    wakeup,
    window::{Decision, decide},
};
use wharfinger_runtime::{Moment, metrics};
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::StoreError,
    windows::WindowRecord,
};

use crate::{
    App,
    intake::MOST_TRIES,
    steps::{self, Outcome},
    ticks::send_tick,
};

/// Looks at `site` and does what is due: arms the next tick, claims the window, takes the rollout's next steps. When a
/// rollout ends, the changes that came in the meantime are looked at at once.
///
/// # Errors
/// When the table or the queue fails: the message is to come again.
pub(crate) async fn look(app: &App, site: &SiteName, moment: Moment) -> anyhow::Result<()> {
    let record = match app.table.read::<SiteRecord>(&sites::key(site)).await.context("read the site")? {
        Some(Ok(record)) => record,
        Some(Err(unreadable)) => {
            tracing::error!(item = %unreadable, "the site can't be read and is left alone");
            metrics::trouble(metrics::Trouble::UnreadableRecord, &unreadable.to_string(), moment.now);
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
        let outcome = match app.table.window_to_change(site, moment.now).await {
            Err(StoreError::Conflict) => Outcome::Contended,
            Err(error) => return Err(error).context("read the window"),
            Ok(WindowRecord { rollout: Some(id), rollout_spec, .. }) => {
                let spec = rollout_spec.as_ref().unwrap_or(&record.intent);
                steps::advance(app, site, spec, &id, moment, &mut lease).await?
            }
            Ok(window) => claim_or_wait(app, site, &record.intent, window, moment.now).await?,
        };
        match outcome {
            Outcome::Rest => return Ok(()),
            Outcome::Further => {}
            Outcome::Contended => {
                conflicts += 1;
                app.back_off(conflicts).await;
            }
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
    let Some(until) = wakeup::rearm(record.armed_until, until, now) else { return Ok(Outcome::Rest) };
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
        id: app.chance.uuid_v7(now),
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
    let rollout_spec = Some(spec.clone());
    let record = WindowRecord { window, armed_until: None, rollout: Some(rollout.id.clone()), rollout_spec, ..record };
    match app.table.claim(&record, &rollout).await {
        Err(StoreError::Conflict) => return Ok(Outcome::Contended),
        claimed => claimed.context("claim the window")?,
    }
    let (reason, changes) = (&rollout.cause.reason, rollout.cause.summary.changes);
    tracing::info!(%site, rollout = rollout.id, reason, changes, "the window is claimed");
    Ok(Outcome::Further)
}
