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
    rollouts::RolloutRecord,
    sites::{self, SiteRecord},
    table::StoreError,
    windows::WindowRecord,
};

use crate::{
    App,
    batch::WakeUp,
    intake::MOST_TRIES,
    steps::{self, Course, Outcome},
    ticks::send_tick,
};

/// Looks at `site` and does what is due: arms the next tick, claims the window, takes the rollout's next steps. When a
/// rollout ends, the changes that came in the meantime are looked at at once.
///
/// # Errors
/// When the table or the queue fails: the message is to come again.
pub(crate) async fn look(app: &App, site: &SiteName, call: &WakeUp, moment: Moment) -> anyhow::Result<()> {
    let mut spec = call.ended_on.clone();
    let mut is_present = spec.is_none();
    if is_present {
        spec = present_spec(app, site, moment.now).await?;
    }
    let (mut lease, mut conflicts) = (None, 0);
    while let Some(intent) = spec.as_ref().filter(|_| conflicts < MOST_TRIES) {
        let outcome = match app.table.window_to_change(site, moment.now).await {
            Err(StoreError::Conflict) => Outcome::Contended,
            Err(error) => return Err(error).context("read the window"),
            Ok(WindowRecord { rollout: Some(id), rollout_spec, .. }) => {
                let intent = rollout_spec.as_ref().unwrap_or(intent);
                steps::advance(app, site, intent, &id, call.ended_on.is_some(), moment, &mut lease).await?
            }
            Ok(window) if !window.window.is_open() => Outcome::Rest,
            // What came with an event of ECS may lag behind: enough to follow a rollout, not to begin one.
            Ok(_) if !is_present => {
                spec = present_spec(app, site, moment.now).await?;
                is_present = true;
                Outcome::Further
            }
            Ok(window) => claim_or_wait(app, site, intent, window, moment, &mut lease).await?,
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
    anyhow::ensure!(conflicts < MOST_TRIES, "{MOST_TRIES} other writers were first");
    Ok(())
}

/// The site as it is wanted now; `None`: it is to be left alone, which is told.
async fn present_spec(app: &App, site: &SiteName, now: Timestamp) -> anyhow::Result<Option<SiteSpec>> {
    match app.table.read::<SiteRecord>(&sites::key(site)).await.context("read the site")? {
        Some(Ok(record)) if record.deleting => {
            tracing::info!(%site, "the site is on its way out: nothing is rolled out");
            Ok(None)
        }
        Some(Ok(record)) => Ok(Some(record.intent)),
        Some(Err(unreadable)) => {
            metrics::unreadable_record(&unreadable, now);
            Ok(None)
        }
        None => {
            tracing::info!(%site, "the site is gone: nothing to look at");
            Ok(None)
        }
    }
}

async fn claim_or_wait(
    app: &App,
    site: &SiteName,
    spec: &SiteSpec,
    record: WindowRecord,
    moment: Moment,
    lease: &mut Option<Timestamp>,
) -> anyhow::Result<Outcome> {
    match decide(&record.window, &spec.finish, moment.now) {
        Decision::Nothing => Ok(Outcome::Rest),
        Decision::Wait { until, reason, .. } => wait(app, site, record, until, &reason, moment.now).await,
        Decision::Claim { reason } => {
            let rollout = begun(site, &record, app.chance.uuid_v7(moment.now), reason, moment.now);
            let course = Course::begin(app, spec, rollout, moment).await;
            match claim(app, spec, record, &course.record).await {
                Err(StoreError::Conflict) => return Ok(Outcome::Contended),
                claimed => claimed.context("claim the window")?,
            }
            *lease = course.record.leased_until;
            course.go_on(app, spec, moment).await
        }
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

/// The rollout of a window that is over.
fn begun(site: &SiteName, record: &WindowRecord, id: String, reason: String, now: Timestamp) -> Rollout {
    Rollout {
        id,
        site: site.clone(),
        state: State::Claimed,
        reason: "the window is over".into(),
        cause: record.window.cause(reason),
        task_definition: Revisions::default(),
        deployment_id: None,
        started_at: now,
        finished_at: None,
    }
}

async fn claim(app: &App, spec: &SiteSpec, record: WindowRecord, rollout: &RolloutRecord) -> Result<(), StoreError> {
    let RolloutRecord { rollout: Rollout { id, site, cause, started_at, .. }, .. } = rollout;
    let window = record.window.claimed(&spec.finish, *started_at);
    let (lock, rollout_spec) = (Some(id.clone()), Some(spec.clone()));
    let record = WindowRecord { window, armed_until: None, rollout: lock, rollout_spec, ..record };
    app.table.claim(&record, rollout).await?;
    tracing::info!(%site, rollout = id, reason = cause.reason, changes = cause.summary.changes, "the window is claimed");
    Ok(())
}
