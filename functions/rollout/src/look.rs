//! A look at one site: is its window over, has its rollout come further, does its service still run what is wanted?

mod claim;
mod compare;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::{gate::Cancellation, names::SiteName, rollout::State, site::SiteSpec};
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
    giving_way,
    intake::MOST_TRIES,
    orders,
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
    /// This look has seen a rollout's end, and with it what the service runs.
    concluded: bool,
    /// This look has compared a site whose window waits.
    told: bool,
}

/// The site as a look knows it.
struct Known {
    /// `None`: this version can't read it. A rollout in flight is followed all the same, as others wait for its end.
    spec: Option<SiteSpec>,
    /// `None`: it is as the list of sites had it, which may lag behind.
    version: Option<u64>,
}

impl<'a> Look<'a> {
    /// A look that `wake_up` asks for.
    pub(crate) fn new(app: &'a App, site: &'a SiteName, wake_up: &WakeUp, moment: Moment) -> Self {
        Self { app, site, ended_on: wake_up.ended_on.clone(), moment, lease: None, concluded: false, told: false }
    }

    /// Does what is due: arms the next tick, claims the window, takes the rollout's next steps, compares what is wanted
    /// with what runs. When a rollout ends, the changes that came in the meantime are looked at at once.
    ///
    /// # Errors
    /// When the table or the queue fails: the message is to come again.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut known = match self.ended_on.clone() {
            Some(spec) => Some(Known { spec: Some(spec), version: None }),
            None => self.present().await?,
        };
        let mut conflicts = 0;
        while let Some(site) = known.as_ref().filter(|_| conflicts < MOST_TRIES) {
            let outcome = match self.app.table.window_to_change(self.site, self.moment.now).await {
                Err(StoreError::Conflict) => Outcome::Contended,
                Err(error) => return Err(error).context("read the window"),
                Ok(WindowRecord { rollout: Some(id), rollout_spec, word, .. }) => {
                    let cancellation = word.cancellation.filter(|word| word.rollout == id);
                    let spec = rollout_spec.as_ref().or(site.spec.as_ref());
                    Box::pin(self.follow(spec, &id, cancellation.as_ref())).await?
                }
                Ok(window) => match (site.version, &site.spec) {
                    (Some(version), Some(spec)) if self.is_to_be_told(&window, spec, version) => {
                        Box::pin(self.tell(spec, version, window)).await?
                    }
                    (Some(version), Some(spec)) if window.wants() => {
                        Box::pin(self.claim_or_wait(spec, version, window)).await?
                    }
                    (Some(version), Some(spec)) => Box::pin(self.compare(spec, version, window)).await?,
                    (_, None) => Outcome::Rest,
                    (None, _) if !window.wants() && !window.was_rolled_out() => Outcome::Rest,
                    // Enough to follow a rollout, not to begin one.
                    (None, _) => {
                        known = self.present().await?;
                        Outcome::Further
                    }
                },
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
    async fn present(&self) -> anyhow::Result<Option<Known>> {
        let Self { app, site, moment, .. } = self;
        match app.table.read::<SiteRecord>(&sites::key(site)).await.context("read the site")? {
            Some(Ok(record)) if record.deleting => {
                tracing::info!(%site, "the site is on its way out: nothing is rolled out");
                Ok(None)
            }
            Some(Ok(record)) => Ok(Some(Known { spec: Some(record.intent), version: Some(record.version) })),
            Some(Err(unreadable)) => {
                metrics::unreadable_record(&unreadable, moment.now);
                Ok(Some(Known { spec: None, version: None }))
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

    /// Takes the rollout `id` as far as it can go now. `spec` is what it was made from, where an earlier version did not
    /// write that down.
    async fn follow(
        &mut self,
        spec: Option<&SiteSpec>,
        id: &str,
        cancellation: Option<&Cancellation>,
    ) -> anyhow::Result<Outcome> {
        let Self { app, site, moment, .. } = *self;
        let record = app.table.rollout_record(site, id).await.context("read the rollout")?;
        let record = record.with_context(|| format!("the rollout {id} is locked, but it is not in the table"))?;
        let Some(spec) = &record.spec.clone().or_else(|| spec.cloned()) else {
            tracing::error!(%site, rollout = id, "neither the site nor what the rollout was made from can be read");
            return Ok(Outcome::Rest);
        };
        let limit =
            giving_way::limit(app, spec, &record, moment.now).await.context("read who waits for the service")?;
        let spec = &spec.with_patience_of(limit.unwrap_or(SignedDuration::MAX));
        let course = self.course(spec);
        self.concluded = true;
        if record.rollout.state.is_final() {
            tracing::warn!(%site, rollout = id, "the rollout is over, but it held the window: it is freed");
            return course.conclude(&record.rollout).await;
        }
        if record.rollout.state == State::Deploying {
            return Box::pin(proceed(course, record, cancellation)).await;
        }
        match turn(record.leased_until, self.lease, moment.now) {
            Turn::Ours => Box::pin(proceed(course, record, cancellation)).await,
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
                Box::pin(proceed(course, record, cancellation)).await
            }
        }
    }
}

/// Takes the rollout further, or breaks it off.
async fn proceed(
    course: Course<'_>,
    record: RolloutRecord,
    cancellation: Option<&Cancellation>,
) -> anyhow::Result<Outcome> {
    match cancellation {
        Some(word) => Box::pin(orders::break_off(course, record, word)).await,
        None => Box::pin(course.go_on(record, None)).await,
    }
}
