//! Compares a site that was rolled out, and has nothing else to do, with what its service runs.

use anyhow::Context as _;
use jiff::SignedDuration;
use serde_json::Value;
use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{
    drift::{self, Comparison, Finding, Running},
    revision,
    rollout::{Rollout, State, Trigger, Wanted},
    site::SiteSpec,
    verdict::Service,
    wakeup::TRUSTED_FOR,
    window::Decision,
};
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError, windows::WindowRecord};

use super::Look;
use crate::{course::Outcome, ticks::send_tick};

/// What was found, and against whom.
struct Found {
    finding: Finding,
    by: String,
    task_definition: Option<String>,
}

/// After an event that is ahead of what ECS shows, how long it takes to look again.
const AFTER_AN_EVENT: SignedDuration = SignedDuration::from_secs(15);

impl Look<'_> {
    /// Whether a site whose window waits is to be compared first: nothing is done about what is found, but it is told.
    pub(super) fn is_to_be_told(&self, record: &WindowRecord, spec: &SiteSpec, version: u64) -> bool {
        let waits = || matches!(record.decide(spec, self.moment.now), Decision::Wait { .. } | Decision::Ask { .. });
        !self.told && record.wants() && self.is_to_be_compared(record, version) && waits()
    }

    /// Compares a site whose window waits. Whatever comes of it, the window is looked at then.
    pub(super) async fn tell(
        &mut self,
        spec: &SiteSpec,
        version: u64,
        record: WindowRecord,
    ) -> anyhow::Result<Outcome> {
        self.told = true;
        match Box::pin(self.compare(spec, version, record)).await? {
            Outcome::Rest => Ok(Outcome::Further),
            outcome => Ok(outcome),
        }
    }

    fn is_to_be_compared(&self, record: &WindowRecord, version: u64) -> bool {
        self.hears_of_an_end(record) || record.is_to_be_compared(version, self.moment.now)
    }

    /// Whether ECS tells that somebody else's deployment has ended.
    fn hears_of_an_end(&self, record: &WindowRecord) -> bool {
        self.ended_on.is_some() && !self.concluded && record.was_rolled_out()
    }

    /// Rolls the site out again where that is due; else notes what was found.
    pub(super) async fn compare(
        &mut self,
        spec: &SiteSpec,
        version: u64,
        mut record: WindowRecord,
    ) -> anyhow::Result<Outcome> {
        let (app, site, now) = (self.app, self.site, self.moment.now);
        if !self.is_to_be_compared(&record, version) {
            return Ok(Outcome::Rest);
        }
        let is_told = self.hears_of_an_end(&record);
        let latest = self.latest().await?.filter(|latest| latest.rollout.state.is_final());
        let found = match latest {
            None => Found { finding: Finding::AsWanted, by: String::new(), task_definition: None },
            Some(latest) => match self.find((spec, version), &record, &latest).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%site, %error, "what runs is not known: the next sweep looks again");
                    return Ok(Outcome::Rest);
                }
            },
        };
        let (before, waits) = (record.compared.take(), record.wants());
        let repairs = before.iter().flat_map(|compared| compared.repairs.clone()).collect::<Vec<_>>();
        let compared = Comparison {
            at: now,
            spec_version: version,
            task_definition: found.task_definition,
            condition: None,
            repairs,
        };
        let finding = match found.finding {
            Finding::Due { trigger: Trigger::Mended, .. } if waits => Finding::AsWanted,
            Finding::Due { reason, .. } if waits => Finding::Told(drift::waiting(&reason, now)),
            finding => finding,
        };
        match finding {
            Finding::Unsettled if is_told => {
                // The event was ahead of what ECS shows: the tick's look finds the comparison to be an old one.
                send_tick(app, site, now + AFTER_AN_EVENT, now).await?;
                let at = now - TRUSTED_FOR;
                let compared = before.map_or(Comparison { at, ..compared }, |before| Comparison { at, ..before });
                self.note(WindowRecord { compared: Some(compared), ..record }).await
            }
            Finding::Unsettled => Ok(Outcome::Rest),
            Finding::AsWanted => self.note(WindowRecord { compared: Some(compared), ..record }).await,
            Finding::Told(condition) => {
                tracing::warn!(%site, code = %condition.code, message = condition.message, "not as wanted");
                let before = before.and_then(|compared| compared.condition).filter(|old| old.code == condition.code);
                let since = before.map_or(condition.since, |old| old.since);
                let condition = Some(wharfinger_decisions::condition::Condition { since, ..condition });
                self.note(WindowRecord { compared: Some(Comparison { condition, ..compared }), ..record }).await
            }
            Finding::Due { trigger, reason } => {
                let repairs = match trigger {
                    Trigger::Drift => drift::repaired(&compared.repairs, &found.by, now),
                    _ => compared.repairs,
                };
                let wanted = Some(Wanted { trigger, reason, at: now });
                let compared = Some(Comparison { repairs, ..compared });
                Box::pin(self.claim_or_wait(spec, version, WindowRecord { wanted, compared, ..record })).await
            }
        }
    }

    /// The site's latest rollout, if there is one that can be read.
    pub(super) async fn latest(&self) -> anyhow::Result<Option<RolloutRecord>> {
        match self.app.table.latest_rollout(self.site).await {
            Err(StoreError::Unreadable(_)) => Ok(None),
            read => read.context("read the latest rollout"),
        }
    }

    async fn find(
        &self,
        (spec, version): (&SiteSpec, u64),
        record: &WindowRecord,
        latest: &RolloutRecord,
    ) -> Result<Found, AwsError> {
        let (app, site, now) = (self.app, self.site, self.moment.now);
        let as_wanted = |task_definition| Found { finding: Finding::AsWanted, by: String::new(), task_definition };
        let read = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await;
        let service = match read {
            Err(error) if error.is_not_found() => return Ok(as_wanted(None)),
            read => read?,
        };
        let Some(service) = service.filter(|service| service.obstacle().is_none()) else { return Ok(as_wanted(None)) };
        let running = service.task_definition.clone();
        let approved = record.compared.as_ref().is_some_and(|known| known.approved(version, running.as_deref()));
        if approved || is_ours(&latest.rollout, version, running.as_ref()) {
            return Ok(as_wanted(running));
        }
        let described = app.ecs.task_definition(running.as_deref().unwrap_or_default()).await?;
        let refusal = revision::make(&described, site, spec, &[], "").err().map(|refusal| refusal.to_string());
        let by = deployed_by(&described, &service);
        let missing = revision::missing(&described, site, spec);
        let endless = service.is_endless(spec.patience(), now);
        let seen = Running { service: &service, missing: &missing, refusal: refusal.as_deref(), by: &by, endless };
        let repairs = record.compared.as_ref().map(|known| known.repairs.as_slice()).unwrap_or_default();
        let finding = drift::compare((version, spec.drift), &latest.rollout, seen, repairs, now);
        Ok(Found { finding, by, task_definition: running })
    }

    async fn note(&self, record: WindowRecord) -> anyhow::Result<Outcome> {
        match self.app.table.write_window(self.site, &record).await {
            Err(StoreError::Conflict) => Ok(Outcome::Contended),
            written => written.map(|_| Outcome::Rest).context("write the window"),
        }
    }
}

/// Whether the service runs what the rollout, which succeeded, made of the site as it is now.
fn is_ours(latest: &Rollout, version: u64, running: Option<&String>) -> bool {
    let after = latest.task_definition.after.as_ref();
    latest.state == State::Succeeded && latest.spec_version == Some(version) && after.is_some() && after == running
}

/// Who registered what runs: its principal, or the family where AWS does not tell.
fn deployed_by(described: &Value, service: &Service) -> String {
    let family = || service.task_definition.as_deref().and_then(|arn| arn.rsplit('/').next()?.split(':').next());
    let principal = described["taskDefinition"]["registeredBy"].as_str().map(drift::principal);
    principal.or_else(family).unwrap_or("somebody").to_owned()
}
