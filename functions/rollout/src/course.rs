//! The course of a rollout, as one invocation takes it on: step after step, until it is over or something else has to
//! come first. What that comes to is written down here.

use anyhow::Context as _;
use jiff::SignedDuration;
use wharfinger_aws::error::{AwsError, Kind};
use wharfinger_decisions::{
    rollout::{Failure, Rollout, State},
    site::SiteSpec,
    verdict::{Service, Verdict},
    wakeup,
};
use wharfinger_runtime::{
    Moment,
    metrics::{self, Trouble},
};
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError};

use crate::{
    App, given_up, giving_way, old_revisions, queue, rollback,
    steps::{Base, Step, Stop, missing, registering, step},
    ticks::send_tick,
    turn::LEASE_GRACE,
};

/// What a look led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is nothing more to do now; where there will be, a tick or an event of ECS brings it.
    Rest,
    /// There is more to do now.
    Further,
    /// The table was not as it was read: read it again and decide anew. It may be another writer, or our own write
    /// whose answer was lost, so this is no sign that somebody else sees to the site.
    Contended,
}

/// What a rollout's course needs beside the rollout.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) app: &'a App,
    /// The site as the rollout was made from.
    pub(crate) spec: &'a SiteSpec,
    /// A deployment on the service has ended, says ECS.
    pub(crate) ended: bool,
    pub(crate) moment: Moment,
}

impl Course<'_> {
    /// Begins `rollout`, which is yet to be claimed: under a lease, and with the revision to start from where ECS tells
    /// it, so that neither takes a write of its own. What ECS said goes to the first step: nothing can have been
    /// registered for the rollout yet. Where ECS failed, it is not asked again at once, as two calls without an answer
    /// would take the whole invocation.
    pub(crate) async fn begin(self, rollout: Rollout) -> (RolloutRecord, Option<Base>) {
        let Self { app, spec, moment, .. } = self;
        if rollout.undoes.is_some() {
            return (RolloutRecord::begun(rollout, moment.deadline + LEASE_GRACE), None);
        }
        let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await.transpose();
        let is_free = |read: &Service| read.obstacle().is_none() && read.deployment_of_others(&[]).is_none();
        let service = service.filter(|read| read.as_ref().ok().is_none_or(is_free));
        let (rollout, base_since) = match &service {
            Some(Ok(read @ Service { task_definition: Some(base), .. })) => {
                (registering(rollout, base.clone()), read.latest_begun())
            }
            _ => (rollout, None),
        };
        let begun = RolloutRecord::begun(rollout, moment.deadline + LEASE_GRACE);
        (RolloutRecord { base_since, ..begun }, service)
    }

    /// Takes one step after the other.
    ///
    /// # Errors
    /// When the table or the queue fails.
    pub(crate) async fn go_on(self, mut record: RolloutRecord, mut base: Option<Base>) -> anyhow::Result<Outcome> {
        loop {
            let before = record.clone();
            let taken = match record.rollout.undoes {
                Some(_) => Box::pin(rollback::step(self.app, self.spec, record, self.moment)).await,
                None => step(self.app, self.spec, record, base.take(), self.moment).await,
            };
            if let Ok(Step::Deploying(record, _)) = &taken
                && record.rollout.state != State::Deploying
            {
                // It waits for a deployment, which may be one that a rollout before has given up.
                given_up::stop(self.app, self.spec).await;
            }
            match taken {
                Ok(Step::On(next)) => record = next,
                Ok(Step::Deploying(record, reason)) if !self.ended => return self.note(before, record, reason).await,
                // The event was faster than what ECS shows. Where a later look shows no end either, the sweep looks on.
                Ok(Step::Later(record, reason) | Step::Deploying(record, reason)) => {
                    return self.later(record, reason).await;
                }
                Ok(Step::Over(record, verdict)) => return self.finish(record, verdict).await,
                Err(Stop::Store(StoreError::Conflict)) => return Ok(Outcome::Contended),
                Err(Stop::Store(error)) => return Err(error).context("record a step of the rollout"),
                Err(Stop::Aws(error)) => return self.failed(before, &error).await,
            }
        }
    }

    /// What to do about a call that failed: try again later if that can help, else give up with a sentence that helps. What
    /// is not yet deployed is tried for as long as it takes: whoever gave it up would throw the uploads away. Only where
    /// others wait for the service does it give way after a time; it is then made again like all that a service was the
    /// cause of.
    pub(crate) async fn failed(self, record: RolloutRecord, error: &AwsError) -> anyhow::Result<Outcome> {
        let Self { app, spec, moment: Moment { now, .. }, .. } = self;
        // What this step has recorded is in the table, what the step before it left to be recorded is in hand.
        let (site, id) = (&record.rollout.site, &record.rollout.id);
        let present = app.table.rollout_record(site, id).await.context("read the rollout")?;
        if present.as_ref().is_some_and(|present| present.rollout.state.is_final()) {
            // Another invocation was faster: its verdict stands.
            return Ok(Outcome::Contended);
        }
        let record = present.filter(|present| present.version != record.version).unwrap_or(record);
        let deploying = record.rollout.state == State::Deploying;
        let is_late = now.duration_since(record.since()) > spec.patience();
        let too_long = deploying && is_late && record.paused_since.is_none();
        let limit = giving_way::limit(app, spec, &record, now).await.context("read who waits for the service")?;
        let gives_way = !deploying && limit.is_some_and(|limit| now.duration_since(record.since()) > limit);
        if error.is_temporary() && gives_way {
            let reason = format!("other sites wait for the service, so this is tried again after them: {error}");
            return self.finish(record, Verdict::failed(Failure::Service, reason)).await;
        }
        if error.is_temporary() && !too_long {
            tracing::warn!(site = %record.rollout.site, rollout = record.rollout.id, %error, "trying again later");
            return self.later(record, format!("trying again: {error}")).await;
        }
        let verdict = match &error.kind {
            Kind::NotFound => Verdict::failed(Failure::Service, missing(spec)),
            _ if too_long => Verdict::failed(Failure::NoEnd, error.to_string()),
            _ => Verdict::failed(Failure::Refused, error.to_string()),
        };
        self.finish(record, verdict).await
    }

    /// Arms the tick that follows the rollout, unless one is armed. It is sent before it is recorded: one too many only
    /// looks, while one that is recorded and was never sent leaves the rollout alone.
    pub(crate) async fn later(self, mut record: RolloutRecord, reason: String) -> anyhow::Result<Outcome> {
        let Self { app, moment: Moment { now, .. }, .. } = self;
        let armed = wakeup::is_pending(record.armed_until, now, SignedDuration::ZERO);
        if armed && record.leased_until.is_none() && record.rollout.reason == reason {
            return Ok(Outcome::Rest);
        }
        let until = record.armed_until.filter(|_| armed).unwrap_or(now + wakeup::between_tries(record.tries));
        if !armed {
            send_tick(app, &record.rollout.site, until, now).await?;
        }
        record.tries += u32::from(!armed);
        record.armed_until = Some(until);
        record.leased_until = None;
        record.rollout.reason = reason;
        match app.table.write_rollout(&record).await {
            Err(StoreError::Conflict) => return Ok(Outcome::Contended),
            written => written.context("record how far the rollout is")?,
        };
        Ok(Outcome::Rest)
    }

    /// Notes how the deployment goes, ours or the one that is waited for. No tick follows it: ECS tells its end, and the
    /// sweep looks after it where that event is lost.
    async fn note(self, before: RolloutRecord, mut record: RolloutRecord, reason: String) -> anyhow::Result<Outcome> {
        let is_written = record.version != before.version || record == before;
        if is_written && record.rollout.reason == reason && record.leased_until.is_none() {
            return Ok(Outcome::Rest);
        }
        record.rollout.reason = reason;
        record.leased_until = None;
        match self.app.table.write_rollout(&record).await {
            Err(StoreError::Conflict) => Ok(Outcome::Contended),
            written => written.map(|_| Outcome::Rest).context("record how far the rollout is"),
        }
    }

    pub(crate) async fn finish(self, mut record: RolloutRecord, verdict: Verdict) -> anyhow::Result<Outcome> {
        record.rollout.state = verdict.state;
        record.rollout.reason = verdict.reason;
        record.rollout.failure = verdict.failure;
        record.rollout.finished_at = Some(self.moment.now);
        record.leased_until = None;
        let record = match self.app.table.write_rollout(&record).await {
            Err(StoreError::Conflict) => return Ok(Outcome::Contended),
            written => written.context("record the verdict")?,
        };
        let rollout = &record.rollout;
        tracing::info!(site = %rollout.site, rollout = rollout.id, state = ?rollout.state, reason = rollout.reason, "over");
        self.conclude(rollout).await
    }

    /// What follows from the verdict on `rollout`. An invocation that dies before the window is free leaves all of it to the
    /// next one, which tells a failure twice rather than never.
    pub(crate) async fn conclude(self, rollout: &Rollout) -> anyhow::Result<Outcome> {
        let Self { app, spec, moment, .. } = self;
        if matches!(rollout.state, State::Failed | State::RolledBack) && rollout.broken_off_by.is_none() {
            metrics::trouble(Trouble::FailedRollout, &format!("site {}", rollout.site), moment.now);
        }
        let turns = match app.table.release_turn(spec, &rollout.id).await {
            Err(StoreError::Conflict) => return Ok(Outcome::Contended),
            turns => turns.context("give the turn back")?,
        };
        // Whoever waits is woken before the window is free: until then the next invocation does this again.
        let waiting = turns.waiting.into_iter().map(|waiting| waiting.site).collect();
        if let Some(next) = queue::next(app, spec, waiting, moment.now).await? {
            send_tick(app, &next, moment.now, moment.now).await?;
        }
        match app.table.free_window(rollout).await {
            Err(StoreError::Conflict) => return Ok(Outcome::Contended),
            freed => freed.context("free the window")?,
        };
        if rollout.state == State::Succeeded {
            old_revisions::deregister(app, spec, rollout).await;
        }
        Ok(Outcome::Further)
    }
}
