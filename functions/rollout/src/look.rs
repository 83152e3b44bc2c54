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
    course::{Course, Outcome},
    intake::MOST_TRIES,
    ticks::send_tick,
    turn::{LEASE_GRACE, Turn, turn},
};

/// A look at one site.
pub(crate) struct Look<'a> {
    app: &'a App,
    site: &'a SiteName,
    /// The site as the list of sites has it, where an event of ECS asks for the look.
    ended_on: Option<SiteSpec>,
    moment: Moment,
    /// The lease on the site's rollout that this look has taken: when the table is read again after a conflict, its own
    /// lease is nobody else's.
    lease: Option<Timestamp>,
}

impl<'a> Look<'a> {
    /// A look that `wake_up` asks for.
    pub(crate) fn new(app: &'a App, site: &'a SiteName, wake_up: &WakeUp, moment: Moment) -> Self {
        Self { app, site, ended_on: wake_up.ended_on.clone(), moment, lease: None }
    }

    /// Does what is due: arms the next tick, claims the window, takes the rollout's next steps. When a rollout ends, the
    /// changes that came in the meantime are looked at at once.
    ///
    /// # Errors
    /// When the table or the queue fails: the message is to come again.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut spec = self.ended_on.clone();
        let mut is_present = spec.is_none();
        if is_present {
            spec = self.present_spec().await?;
        }
        let mut conflicts = 0;
        while let Some(intent) = spec.as_ref().filter(|_| conflicts < MOST_TRIES) {
            let outcome = match self.app.table.window_to_change(self.site, self.moment.now).await {
                Err(StoreError::Conflict) => Outcome::Contended,
                Err(error) => return Err(error).context("read the window"),
                Ok(WindowRecord { rollout: Some(id), rollout_spec, .. }) => {
                    self.follow(rollout_spec.as_ref().unwrap_or(intent), &id).await?
                }
                Ok(window) if !window.window.is_open() => Outcome::Rest,
                // What came with an event of ECS may lag behind: enough to follow a rollout, not to begin one.
                Ok(_) if !is_present => {
                    spec = self.present_spec().await?;
                    is_present = true;
                    Outcome::Further
                }
                Ok(window) => self.claim_or_wait(intent, window).await?,
            };
            match outcome {
                Outcome::Rest => return Ok(()),
                Outcome::Further => {}
                Outcome::Contended => {
                    conflicts += 1;
                    self.app.back_off(conflicts).await;
                }
            }
        }
        anyhow::ensure!(conflicts < MOST_TRIES, "{MOST_TRIES} other writers were first");
        Ok(())
    }

    /// The site as it is wanted now; `None`: it is to be left alone, which is told.
    async fn present_spec(&self) -> anyhow::Result<Option<SiteSpec>> {
        let Self { app, site, moment, .. } = self;
        match app.table.read::<SiteRecord>(&sites::key(site)).await.context("read the site")? {
            Some(Ok(record)) if record.deleting => {
                tracing::info!(%site, "the site is on its way out: nothing is rolled out");
                Ok(None)
            }
            Some(Ok(record)) => Ok(Some(record.intent)),
            Some(Err(unreadable)) => {
                metrics::unreadable_record(&unreadable, moment.now);
                Ok(None)
            }
            None => {
                tracing::info!(%site, "the site is gone: nothing to look at");
                Ok(None)
            }
        }
    }

    fn course<'b>(&self, spec: &'b SiteSpec) -> Course<'b>
    where
        'a: 'b,
    {
        Course { app: self.app, spec, ended: self.ended_on.is_some(), moment: self.moment }
    }

    /// Takes the rollout `id`, which was made from `spec`, as far as it can go now.
    async fn follow(&mut self, spec: &SiteSpec, id: &str) -> anyhow::Result<Outcome> {
        let Self { app, site, moment, .. } = *self;
        let record = app.table.rollout_record(site, id).await.context("read the rollout")?;
        let record = record.with_context(|| format!("the rollout {id} is locked, but it is not in the table"))?;
        if record.rollout.state.is_final() {
            tracing::warn!(%site, rollout = id, "the rollout is over, but it held the window: it is freed");
            return self.course(spec).conclude(&record.rollout).await;
        }
        if record.rollout.state == State::Deploying {
            return self.course(spec).go_on(record, None).await;
        }
        match turn(record.leased_until, self.lease, moment.now) {
            Turn::Ours => self.course(spec).go_on(record, None).await,
            Turn::Theirs(until) => {
                send_tick(app, site, until, moment.now).await?;
                Ok(Outcome::Rest)
            }
            Turn::Free => {
                let leased = RolloutRecord { leased_until: Some(moment.deadline + LEASE_GRACE), ..record };
                let record = match app.table.write_rollout(&leased).await {
                    Err(StoreError::Conflict) => return Ok(Outcome::Contended),
                    written => written.context("take the rollout on")?,
                };
                self.lease = record.leased_until;
                self.course(spec).go_on(record, None).await
            }
        }
    }

    async fn claim_or_wait(&mut self, spec: &SiteSpec, record: WindowRecord) -> anyhow::Result<Outcome> {
        let now = self.moment.now;
        match decide(&record.window, &spec.finish, now) {
            Decision::Nothing => Ok(Outcome::Rest),
            Decision::Wait { until, reason, .. } => self.wait(record, until, &reason).await,
            Decision::Claim { reason } => {
                let rollout = begun(self.site, &record, self.app.chance.uuid_v7(now), reason, now);
                let (rollout, base) = self.course(spec).begin(rollout).await;
                match claim(self.app, spec, record, &rollout).await {
                    Err(StoreError::Conflict) => return Ok(Outcome::Contended),
                    claimed => claimed.context("claim the window")?,
                }
                self.lease = rollout.leased_until;
                self.course(spec).go_on(rollout, base).await
            }
        }
    }

    async fn wait(&self, mut record: WindowRecord, until: Timestamp, reason: &str) -> anyhow::Result<Outcome> {
        let Self { app, site, moment: Moment { now, .. }, .. } = *self;
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
