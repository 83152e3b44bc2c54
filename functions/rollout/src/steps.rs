//! The steps of a rollout: register a revision, update the service, look at the deployment. The base is recorded before
//! a revision is made of it, and the deployment once ECS has taken it on. An invocation that takes over finds the rest in
//! ECS, the revision by its environment and the deployment by its revision: there is no second one. It looks for the
//! revision before it waits for a deployment, which may be its own.

use jiff::{SignedDuration, Timestamp};
use wharfinger_aws::{ecs::family_and_revision, error::AwsError};
use wharfinger_decisions::{
    diff::differences,
    revision,
    rollout::{Failure, Revisions, Rollout, State},
    site::SiteSpec,
    verdict::{self, Patience, Service, Verdict},
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
    /// ECS is at work on a deployment, ours or one that is waited for, and tells its end.
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

/// The version of a record that was not written since its claim.
const FIRST: u64 = 1;

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
        return register(app, spec, record, service?).await;
    }
    if record.rollout.state == State::Registering
        && let Some(arn) = find_revision(app, spec, &record).await?
    {
        return Ok(Step::On(with_revision(record, arn)));
    }
    let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await?;
    if record.rollout.state == State::Deploying {
        return Ok(judge(spec, record, service.as_ref(), moment.now));
    }
    if let Some(hindrance) = hindrance(spec, &record, service.as_ref(), moment.now) {
        return Ok(hindrance.of(record));
    }
    let service = service.expect("a service that is not there is in the way");
    match record.rollout.state {
        State::Registered => deploy(app, spec, record, service, moment.present()).await,
        _ => register(app, spec, record, service).await,
    }
}

/// The verdict, or how far the deployment is. While it stands still for a person, no time passes for it.
pub(crate) fn judge(spec: &SiteSpec, mut record: RolloutRecord, service: Option<&Service>, now: Timestamp) -> Step {
    let lasts = if record.paused_since.is_some() { SignedDuration::MAX } else { spec.patience() };
    let patience = Patience { since: record.since(), lasts };
    let verdict = verdict::decide(&record.rollout, patience, service, now);
    match (verdict.state, verdict.paused, record.paused_since) {
        (State::Deploying, true, None) => record.paused_since = Some(now),
        (State::Deploying, false, Some(paused)) => {
            record.paused_since = None;
            record.deploying_since = record.since().checked_add(now.duration_since(paused)).ok();
        }
        (State::Deploying, ..) => {}
        _ => return Step::Over(record, verdict),
    }
    Step::Deploying(record, verdict.reason)
}

/// What is in the way of a rollout, in a sentence.
pub(crate) enum Hindrance {
    /// The service is not there, or can't be rolled out.
    Obstacle(String),
    /// A deployment of others that is to end first.
    Others(String),
}

impl Hindrance {
    /// What a step of the rollout comes to.
    pub(crate) fn of(self, record: RolloutRecord) -> Step {
        match self {
            Self::Obstacle(reason) => over(record, Failure::Service, reason),
            Self::Others(reason) => Step::Deploying(record, reason),
        }
    }
}

/// What is in the way of a rollout that is not deploying yet.
pub(crate) fn hindrance(
    spec: &SiteSpec,
    record: &RolloutRecord,
    service: Option<&Service>,
    now: Timestamp,
) -> Option<Hindrance> {
    let Some(service) = service else { return Some(Hindrance::Obstacle(missing(spec))) };
    let obstacle = service.obstacle().map(Hindrance::Obstacle);
    obstacle.or_else(|| waits_for(spec, record, service, now).map(Hindrance::Others))
}

/// The deployment of others that is to end first, in a sentence. One that rolls without an end is not waited for for ever,
/// as ours would not be.
fn waits_for(spec: &SiteSpec, record: &RolloutRecord, service: &Service, now: Timestamp) -> Option<String> {
    let own = [record.rollout.task_definition.after.as_deref(), record.outdated.as_deref()];
    let own: Vec<&str> = own.into_iter().flatten().collect();
    let others = service.deployment_of_others(&own)?;
    // Each deployment of others begins anew: whoever deploys all the time is not waited for for ever either.
    let is_tired = service.is_rolling() && now.duration_since(record.since()) > spec.patience();
    let waits = !is_tired && !service.is_endless(spec.patience(), now);
    waits.then(|| format!("waiting for the end of {others}, which somebody else began"))
}

/// The service does not exist.
pub(crate) fn missing(spec: &SiteSpec) -> String {
    format!(
        "the cluster {} has no service {}: create it, or correct the site; it is then rolled out",
        spec.cluster, spec.service
    )
}

pub(crate) fn over(record: RolloutRecord, failure: Failure, reason: String) -> Step {
    Step::Over(record, Verdict::failed(failure, reason))
}

/// Makes the rollout's revision of what the service runs. It is recorded with the next step: until then it is found by its
/// environment.
async fn register(app: &App, spec: &SiteSpec, mut record: RolloutRecord, service: Service) -> Result<Step, Stop> {
    let id = record.rollout.id.clone();
    let begun = service.latest_begun();
    let present = service.task_definition.expect("a service without one was an obstacle");
    // What ours replaced unseen is the base, as long as ours is what runs.
    let replaced = record.rollout.task_definition.before.clone().filter(|_| record.outdated.as_ref() == Some(&present));
    let base_since = if replaced.is_some() { record.base_since } else { begun };
    let base = replaced.unwrap_or(present);
    if record.rollout.state != State::Registering || record.rollout.task_definition.before.as_ref() != Some(&base) {
        record.rollout = registering(record.rollout, base.clone());
        record.base_since = base_since;
        record = app.table.write_rollout(&record).await?;
    }
    let described = app.ecs.task_definition(&base).await?;
    match revision::make(&described, &record.rollout.site, spec, &record.left, &id) {
        Ok(input) => {
            record.rollout.changes = differences(&described, &input);
            Ok(Step::On(with_revision(record, app.ecs.register(&input).await?)))
        }
        Err(refusal) => Ok(over(record, Failure::Definition, refusal.to_string())),
    }
}

pub(crate) fn with_revision(mut record: RolloutRecord, arn: String) -> RolloutRecord {
    record.rollout.state = State::Registered;
    record.rollout.reason = "the revision is registered, the service is updated next".into();
    record.rollout.task_definition.after = Some(arn);
    record
}

/// Looks among the revisions newer than the rollout's base for its own, which is not the outdated one. One that only names
/// the rollout is none: whoever may register revisions could else have theirs deployed.
pub(crate) async fn find_revision(
    app: &App,
    spec: &SiteSpec,
    record: &RolloutRecord,
) -> Result<Option<String>, AwsError> {
    let Rollout { id, site, task_definition, .. } = &record.rollout;
    let Some(base) = task_definition.before.as_deref() else { return Ok(None) };
    let Some((family, oldest)) = family_and_revision(base) else { return Ok(None) };
    for arn in app.ecs.revisions(family).await?.into_iter().filter(|arn| Some(arn) != record.outdated.as_ref()) {
        if family_and_revision(&arn).is_none_or(|(_, number)| number <= oldest) {
            break;
        }
        let described = app.ecs.task_definition(&arn).await?;
        if !revision::is_of_rollout(&described, id) {
            continue;
        }
        let made = revision::make(&app.ecs.task_definition(base).await?, site, spec, &record.left, id);
        if made.is_ok_and(|made| revision::is_made(&described, &made)) {
            return Ok(Some(arn));
        }
        tracing::warn!(%site, rollout = id, revision = arn, "it names the rollout, but is not what is made for it");
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
    let (cluster, name) = (spec.cluster.as_str(), spec.service.as_str());
    // Before it was written anew, nobody else can have begun its deployment. One that was begun may have ended since, and
    // have told so; what it replaced, and itself, may be gone from the service.
    let may_be_begun = record.version > FIRST || service.id_of(&arn).is_some();
    let service = match may_be_begun {
        true => Service { service_deployments: app.ecs.service_deployments(cluster, name).await?, ..service },
        false => service,
    };
    let known = [revisions.before.as_ref(), record.outdated.as_ref()];
    if ![known[0], known[1], Some(&arn)].contains(&service.task_definition.as_ref()) {
        if service.id_of(&arn).is_none() {
            old_revisions::discard(app, &record.rollout.site, &arn).await;
        }
        record.rollout.state = State::Claimed;
        record.rollout.reason = "the service runs another task definition since: starting again from that".into();
        record.rollout.task_definition.after = None;
        return Ok(Step::On(app.table.write_rollout(&record).await?));
    }
    let is_begun = service.id_of(&arn).is_some();
    let service = match is_begun {
        true => service,
        false => app.ecs.update_service(cluster, name, &arn).await?,
    };
    let known: Vec<&str> = known.into_iter().flatten().map(String::as_str).collect();
    let since = record.base_since;
    let over = || service.replaced_since(&arn, &known, since.unwrap_or(record.rollout.started_at));
    if let Some(unseen) = service.replaced_unseen(&arn, &known, since).or_else(over).map(ToOwned::to_owned) {
        return Ok(Step::On(app.table.write_rollout(&anew(record, arn, unseen)).await?));
    }
    let Some(id) = service.id_of(&arn) else {
        return Ok(Step::Later(record, "the service is updated, ECS does not list the deployment yet".into()));
    };
    let begun = service.service_deployment_of(&arn).filter(|_| is_begun).and_then(|ours| ours.created_at);
    taken_on(app, record, id, is_begun, begun.unwrap_or(now).min(now)).await
}

/// The rollout once ECS has taken its deployment `id` on, at `now`. One that was begun before may have ended since, and told
/// so.
pub(crate) async fn taken_on(
    app: &App,
    mut record: RolloutRecord,
    id: String,
    is_begun: bool,
    now: Timestamp,
) -> Result<Step, Stop> {
    let RolloutRecord { rollout, .. } = &mut record;
    let revision = rollout.task_definition.after.as_deref();
    tracing::info!(site = %rollout.site, rollout = rollout.id, revision, deployment = id, "deploying");
    rollout.state = State::Deploying;
    rollout.reason = "ECS has taken the deployment on".into();
    rollout.deployment_id = Some(id);
    record.deploying_since = Some(now);
    record.leased_until = None;
    let record = app.table.write_rollout(&record).await?;
    let reason = record.rollout.reason.clone();
    Ok(if is_begun { Step::On(record) } else { Step::Deploying(record, reason) })
}

/// The rollout once its revision `outdated` has replaced `unseen`, which somebody deployed after the service was read: what
/// is in that must not be lost.
fn anew(record: RolloutRecord, outdated: String, unseen: String) -> RolloutRecord {
    let RolloutRecord { rollout, .. } = &record;
    tracing::warn!(site = %rollout.site, rollout = rollout.id, outdated, unseen, "it replaced what it is not made of");
    let rollout = registering(rollout.clone(), unseen);
    RolloutRecord { rollout, outdated: Some(outdated), ..record }
}
