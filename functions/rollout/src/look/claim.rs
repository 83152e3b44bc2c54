//! Claims a window that is over, once it is the site's turn on its service.

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::{
    gate::Word,
    names::SiteName,
    rollout::{Cause, Revisions, Rollout, State, Trigger},
    site::{Mount, SiteSpec},
    wakeup,
    window::Decision,
};
use wharfinger_runtime::Moment;
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError, turns::TurnsRecord, windows::WindowRecord};

use super::Look;
use crate::{course::Outcome, queue, ticks::send_tick, uploads};

/// How long a site waits for its turn before it looks again by itself, for each one that is before it. Whoever has the
/// turn wakes the next one; this is for those who could not.
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_secs(60);

impl Look<'_> {
    pub(super) async fn claim_or_wait(
        &mut self,
        spec: &SiteSpec,
        version: u64,
        record: WindowRecord,
    ) -> anyhow::Result<Outcome> {
        let reason = match record.decide(spec, self.moment.now) {
            Decision::Nothing | Decision::Ask { .. } => return Ok(Outcome::Rest),
            Decision::Wait { until, reason, .. } => return self.wait(record, until, &reason).await,
            Decision::Claim { reason } => reason,
        };
        if let Some(upload) = self.upload_under_way(spec, &record).await {
            let until = self.moment.now + uploads::BETWEEN_LOOKS;
            return self.wait(WindowRecord { waits: Some(upload.clone()), ..record }, until, &upload).await;
        }
        let turns = self.app.table.turns(spec).await.context("read the turns on the service")?;
        match self.ahead(spec, &turns).await? {
            Some(ahead) => self.queue(record, turns, ahead).await,
            None => Box::pin(self.claim((spec, version), record, turns, reason)).await,
        }
    }

    /// What somebody is uploading, where a window that is over only by its events is to wait for it.
    async fn upload_under_way(&self, spec: &SiteSpec, record: &WindowRecord) -> Option<String> {
        let WindowRecord { window, word, wanted, .. } = record;
        let by_events = window.marker.is_none() && word.order.is_none() && wanted.is_none();
        if !by_events || self.moment.now >= window.last_end(&spec.finish) {
            return None;
        }
        uploads::under_way(self.app, spec, self.moment.now).await
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

    /// Whose turn on the service comes before that of the site, in a sentence.
    async fn ahead(&self, spec: &SiteSpec, record: &TurnsRecord) -> anyhow::Result<Option<String>> {
        let Self { app, site, moment, .. } = *self;
        let others = record.turns.holder.as_ref().filter(|holder| holder.site != *site);
        if let Some(holder) = others
            && app.table.is_in_flight(holder).await.context("read the rollout whose turn it is")?
        {
            let (other, id) = (&holder.site, &holder.rollout);
            return Ok(Some(format!("it follows the rollout {id} of the site {other}, which has the same service")));
        }
        let before = record.turns.before(site).cloned().collect();
        let Some(next) = queue::next(app, spec, before, moment.now).await? else { return Ok(None) };
        send_tick(app, &next, moment.now, moment.now).await?;
        Ok(Some(format!("it follows the site {next}, which waits for the same service")))
    }

    async fn queue(&self, mut record: WindowRecord, turns: TurnsRecord, ahead: String) -> anyhow::Result<Outcome> {
        let Self { app, site, moment: Moment { now, .. }, .. } = *self;
        let queued = turns.with(turns.turns.queued(site, now));
        if queued != turns {
            match app.table.write_turns(&queued).await {
                Err(StoreError::Conflict) => return Ok(Outcome::Contended),
                written => written.context("wait for the site's turn")?,
            }
        }
        let place = queued.turns.place(site).unwrap_or_default();
        let looks = i32::try_from(place + 1).unwrap_or(i32::MAX);
        let until = now.saturating_add(BETWEEN_LOOKS.saturating_mul(looks)).unwrap_or(Timestamp::MAX);
        let rearm = wakeup::rearm(record.armed_until, until, now);
        if rearm.is_none() && record.waits.as_ref() == Some(&ahead) {
            return Ok(Outcome::Rest);
        }
        if let Some(at) = rearm {
            send_tick(app, site, at, now).await?;
            record.armed_until = Some(at);
        }
        tracing::info!(%site, ahead, "the window is over, but it is not the site's turn");
        record.waits = Some(ahead);
        match app.table.write_window(site, &record).await {
            Err(StoreError::Conflict) => Ok(Outcome::Contended),
            written => written.map(|_| Outcome::Rest).context("write the window"),
        }
    }

    async fn claim(
        &mut self,
        (spec, version): (&SiteSpec, u64),
        record: WindowRecord,
        turns: TurnsRecord,
        reason: String,
    ) -> anyhow::Result<Outcome> {
        let (app, now) = (self.app, self.moment.now);
        let left = self.latest().await?.map(|latest| left_since(&latest, spec)).unwrap_or_default();
        let id = record.word.order.as_ref().map_or_else(|| app.chance.uuid_v7(now), |order| order.id.clone());
        let rollout = Rollout { spec_version: Some(version), ..begun(self.site, &record, id, reason, now) };
        let (begun, base) = self.course(spec).begin(rollout).await;
        let begun = RolloutRecord { spec: Some(spec.clone()), left, ..begun };
        let turns = turns.with(turns.turns.taken(self.site, &begun.rollout.id));
        match app.table.claim(&claimed(record, spec, &begun), &turns, &begun).await {
            Err(StoreError::Conflict) => return Ok(Outcome::Contended),
            claimed => claimed.context("claim the window")?,
        }
        let Rollout { id, cause, .. } = &begun.rollout;
        let (site, changes) = (self.site, cause.summary.changes);
        tracing::info!(%site, rollout = id, reason = cause.reason, changes, "the window is claimed");
        self.lease = begun.leased_until;
        self.concluded = true;
        Box::pin(self.course(spec).go_on(begun, base)).await
    }
}

/// The rollout of a window that is over.
fn begun(site: &SiteName, record: &WindowRecord, id: String, reason: String, now: Timestamp) -> Rollout {
    let wanted = record.wanted.as_ref().map_or(Trigger::Uploads, |wanted| wanted.trigger);
    let order = record.word.order.as_ref();
    Rollout {
        id,
        site: site.clone(),
        state: State::Claimed,
        reason: "the window is over".into(),
        cause: Cause { trigger: order.map_or(wanted, |_| Trigger::Order), ..record.window.cause(reason) },
        task_definition: Revisions::default(),
        deployment_id: None,
        started_at: now,
        finished_at: None,
        failure: None,
        spec_version: None,
        undoes: order.and_then(|order| order.undoes.clone()),
        broken_off_by: None,
        changes: Vec::new(),
    }
}

/// The window as `begun` has claimed it.
fn claimed(record: WindowRecord, spec: &SiteSpec, begun: &RolloutRecord) -> WindowRecord {
    let Rollout { id, started_at, spec_version, .. } = &begun.rollout;
    WindowRecord {
        window: record.window.claimed(&spec.finish, *started_at),
        armed_until: None,
        rollout: Some(id.clone()),
        rollout_spec: None,
        wanted: None,
        word: Word { order: None, cancellation: None, ..record.word.clone() },
        waits: None,
        compared: Some(record.compared_anew(spec_version.unwrap_or_default(), *started_at)),
        ..record
    }
}

/// The places that the site has left since its `latest` rollout, or that this one was still to unmount.
fn left_since(latest: &RolloutRecord, spec: &SiteSpec) -> Vec<Mount> {
    let same_service = |made_from: &&SiteSpec| made_from.shares_service_with(spec);
    let Some(made_from) = latest.spec.as_ref().filter(same_service) else { return Vec::new() };
    let undone = if latest.rollout.state == State::Succeeded { &[][..] } else { &latest.left };
    let wanted = spec.places();
    let places = made_from.places().into_iter().chain(undone.iter().cloned());
    places.filter(|place| !wanted.iter().any(|wanted| wanted.is_at(place))).collect()
}
