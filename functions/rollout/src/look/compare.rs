//! Compares a site that was rolled out, and has nothing else to do, with what its service runs.

use anyhow::Context as _;
use serde_json::Value;
use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{
    drift::{self, Comparison, Finding, Running},
    revision,
    rollout::{Rollout, State, Trigger, Wanted},
    site::SiteSpec,
    verdict::Service,
};
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError, windows::WindowRecord};

use super::Look;
use crate::course::Outcome;

/// What was found, and against whom.
struct Found {
    finding: Finding,
    by: String,
    task_definition: Option<String>,
}

impl Look<'_> {
    /// Rolls the site out again where that is due; else notes what was found.
    pub(super) async fn compare(
        &mut self,
        spec: &SiteSpec,
        version: u64,
        mut record: WindowRecord,
    ) -> anyhow::Result<Outcome> {
        let (app, site, now) = (self.app, self.site, self.moment.now);
        let is_told = self.ended_on.is_some() && !self.concluded && record.was_rolled_out();
        if !is_told && !record.is_to_be_compared(version, now) {
            return Ok(Outcome::Rest);
        }
        let latest = match app.table.latest_rollout(site).await {
            Ok(latest) => latest.filter(|latest| latest.rollout.state.is_final()),
            Err(StoreError::Unreadable(_)) => None,
            Err(error) => return Err(error).context("read the latest rollout"),
        };
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
        let before = record.compared.take();
        let repairs = before.iter().flat_map(|compared| compared.repairs.clone()).collect::<Vec<_>>();
        let compared = Comparison {
            at: now,
            spec_version: version,
            task_definition: found.task_definition,
            condition: None,
            repairs,
        };
        match found.finding {
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
                self.claim_or_wait(spec, version, WindowRecord { wanted, compared, ..record }).await
            }
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
