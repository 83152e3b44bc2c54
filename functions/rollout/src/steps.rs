//! The steps of a rollout: register a revision, update the service, look at the deployment. The base is recorded before
//! a revision is made of it, and the deployment once ECS has taken it on. An invocation that takes over finds the rest in
//! ECS, the revision by its environment and the deployment by its revision: there is no second one.

use jiff::Timestamp;
use wharfinger_aws::{ecs::family_and_revision, error::AwsError};
use wharfinger_decisions::{
    revision,
    rollout::{Revisions, Rollout, State},
    site::SiteSpec,
    verdict::{self, Service, Verdict},
};
use wharfinger_runtime::Moment;
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError};

use crate::{App, old_revisions};

/// What a step led to.
pub(crate) enum Step {
    /// The next step can be taken now.
    On(RolloutRecord),
    /// Look again later: ECS is busy.
    Later(RolloutRecord, String),
    /// ECS is at work on the deployment, and tells its end.
    Deploying(RolloutRecord, String),
    /// The verdict.
    Over(RolloutRecord, Verdict),
}

/// Why a step could not be taken.
pub(crate) enum Stop {
    /// ECS did not do it.
    Aws(AwsError),
    /// The table did not. [`StoreError::Conflict`]: it is not as it was read, or our write was done and its answer lost.
    Store(StoreError),
}

impl From<AwsError> for Stop {
    fn from(error: AwsError) -> Self {
        Self::Aws(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What ECS said of a service before its rollout was in the table.
pub(crate) type Base = Result<Service, AwsError>;

/// The rollout as it registers the next revision of `base`.
pub(crate) fn registering(rollout: Rollout, base: String) -> Rollout {
    Rollout {
        state: State::Registering,
        reason: format!("registering the next revision of {base}"),
        task_definition: Revisions { before: Some(base), after: None },
        ..rollout
    }
}

/// Takes one step. `base` is the service as it was read before the rollout was in the table, for the first.
pub(crate) async fn step(
    app: &App,
    spec: &SiteSpec,
    record: RolloutRecord,
    base: Option<Base>,
    moment: Moment,
) -> Result<Step, Stop> {
    if let Some(service) = base {
        return register(app, spec, record, service?, Registered::Nothing).await;
    }
    let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await?;
    if record.rollout.state == State::Deploying {
        let verdict = verdict::decide(&record.rollout, record.since(), service.as_ref(), moment.now);
        return Ok(match verdict.state {
            State::Deploying => Step::Deploying(record, verdict.reason),
            _ => Step::Over(record, verdict),
        });
    }
    let obstacle = service.as_ref().map_or_else(|| Some(missing(spec)), Service::obstacle);
    let (Some(service), None) = (service, &obstacle) else {
        return Ok(over(record, obstacle.unwrap_or_default()));
    };
    match record.rollout.state {
        State::Registered => deploy(app, spec, record, service, moment.present()).await,
        _ => register(app, spec, record, service, Registered::Perhaps).await,
    }
}

/// The service does not exist.
pub(crate) fn missing(spec: &SiteSpec) -> String {
    format!(
        "the cluster {} has no service {}: create it, or correct the site; then upload any file again, for this rollout is not tried again",
        spec.cluster, spec.service
    )
}

fn over(record: RolloutRecord, reason: String) -> Step {
    Step::Over(record, Verdict { state: State::Failed, reason })
}

/// What may have been registered for a rollout already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registered {
    /// Nothing: this invocation has begun it.
    Nothing,
    /// A revision of its recorded base, by an invocation that died.
    Perhaps,
}

/// Makes the rollout's revision of what the service runs, or finds the one that an invocation made before it died. It
/// is recorded with the next step: until then it is found by its environment.
async fn register(
    app: &App,
    spec: &SiteSpec,
    mut record: RolloutRecord,
    service: Service,
    registered: Registered,
) -> Result<Step, Stop> {
    let id = record.rollout.id.clone();
    if let (State::Registering, Some(base)) = (record.rollout.state, record.rollout.task_definition.before.clone())
        && registered == Registered::Perhaps
        && let Some(arn) = find_revision(app, &base, &id).await?
    {
        return Ok(Step::On(with_revision(record, arn)));
    }
    let base = service.task_definition.expect("a service without one was an obstacle");
    if record.rollout.state != State::Registering || record.rollout.task_definition.before.as_ref() != Some(&base) {
        record.rollout = registering(record.rollout, base.clone());
        record = app.table.write_rollout(&record).await?;
    }
    let described = app.ecs.task_definition(&base).await?;
    match revision::make(&described, &record.rollout.site, spec, &id) {
        Ok(input) => Ok(Step::On(with_revision(record, app.ecs.register(&input).await?))),
        Err(refusal) => Ok(over(record, refusal.to_string())),
    }
}

fn with_revision(mut record: RolloutRecord, arn: String) -> RolloutRecord {
    record.rollout.state = State::Registered;
    record.rollout.reason = "the revision is registered, the service is updated next".into();
    record.rollout.task_definition.after = Some(arn);
    record
}

/// Looks among the revisions newer than `base` for that of the rollout `id`.
async fn find_revision(app: &App, base: &str, id: &str) -> Result<Option<String>, AwsError> {
    let Some((family, oldest)) = family_and_revision(base) else { return Ok(None) };
    for arn in app.ecs.revisions(family).await? {
        if family_and_revision(&arn).is_none_or(|(_, number)| number <= oldest) {
            break;
        }
        if revision::is_of_rollout(&app.ecs.task_definition(&arn).await?, id) {
            return Ok(Some(arn));
        }
    }
    Ok(None)
}

/// Brings the revision to the service, unless someone else has deployed another since: then it is made anew, on that.
async fn deploy(
    app: &App,
    spec: &SiteSpec,
    mut record: RolloutRecord,
    service: Service,
    now: Timestamp,
) -> Result<Step, Stop> {
    let revisions = record.rollout.task_definition.clone();
    let arn = revisions.after.expect("a registered rollout has its revision");
    if service.task_definition != revisions.before && service.task_definition.as_ref() != Some(&arn) {
        if service.deployment_of(&arn).is_none() {
            old_revisions::discard(app, &record.rollout.site, &arn).await;
        }
        record.rollout.state = State::Claimed;
        record.rollout.reason = "the service runs another task definition since: starting again from that".into();
        return Ok(Step::On(app.table.write_rollout(&record).await?));
    }
    // One that an invocation began before it died may have ended since, and told so.
    let is_begun = service.deployment_of(&arn).is_some();
    let service = match is_begun {
        true => service,
        false => app.ecs.update_service(spec.cluster.as_str(), spec.service.as_str(), &arn).await?,
    };
    let Some(deployment) = service.deployment_of(&arn) else {
        return Ok(Step::Later(record, "the service is updated, ECS does not list the deployment yet".into()));
    };
    let RolloutRecord { rollout, .. } = &mut record;
    tracing::info!(site = %rollout.site, rollout = rollout.id, revision = arn, deployment = deployment.id, "deploying");
    rollout.state = State::Deploying;
    rollout.reason = "ECS has taken the deployment on".into();
    rollout.deployment_id = Some(deployment.id.clone());
    record.deploying_since = Some(now);
    record.leased_until = None;
    let record = app.table.write_rollout(&record).await?;
    let reason = record.rollout.reason.clone();
    Ok(if is_begun { Step::On(record) } else { Step::Deploying(record, reason) })
}
