//! The steps of a rollout: register a revision, update the service, follow the deployment. The base is
//! recorded before a revision is made of it, and the deployment once ECS has taken it on. An invocation that takes over
//! finds the rest in ECS, the revision by its environment and the deployment by its revision: there is no second one.

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use wharfinger_aws::{
    ecs::family_and_revision,
    error::{AwsError, Kind},
};
use wharfinger_decisions::{
    names::SiteName,
    revision,
    rollout::{Revisions, Rollout, State},
    site::SiteSpec,
    verdict::{self, LONGEST_DEPLOYMENT, Service, Verdict},
    wakeup,
};
use wharfinger_runtime::{
    Moment,
    metrics::{self, Trouble},
};
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError};

use crate::{
    App, old_revisions,
    ticks::send_tick,
    turn::{LEASE_GRACE, Turn, turn},
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

/// What a step led to.
enum Step {
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
enum Stop {
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

/// A rollout in the hands of the invocation that takes its steps.
pub(crate) struct Course {
    /// The rollout.
    pub(crate) record: RolloutRecord,
    /// What ECS said of the service before the rollout was in the table: nothing can have been registered for it yet.
    /// Where ECS failed, it is not asked again at once: two calls without an answer would take the whole invocation.
    base: Option<Result<Service, AwsError>>,
    /// A deployment on the service has ended, says ECS.
    ended: bool,
}

/// Takes the rollout `id` as far as it can go now. `ended`: ECS says that a deployment on its service has ended.
/// `lease` is the lease that this invocation has taken, kept from one look to the next: when the table is read again
/// after a conflict, its own lease is nobody else's.
///
/// # Errors
/// When the table or the queue fails.
pub(crate) async fn advance(
    app: &App,
    site: &SiteName,
    spec: &SiteSpec,
    id: &str,
    ended: bool,
    moment: Moment,
    lease: &mut Option<Timestamp>,
) -> anyhow::Result<Outcome> {
    let record = app.table.rollout_record(site, id).await.context("read the rollout")?;
    let mut record = record.with_context(|| format!("the rollout {id} is locked, but it is not in the table"))?;
    if record.rollout.state.is_final() {
        tracing::warn!(%site, rollout = id, "the rollout is over, but it held the window: it is freed");
        return conclude(app, spec, &record.rollout, moment.now).await;
    }
    if record.rollout.state != State::Deploying {
        match turn(record.leased_until, *lease, moment.now) {
            Turn::Ours => {}
            Turn::Theirs(until) => {
                send_tick(app, site, until, moment.now).await?;
                return Ok(Outcome::Rest);
            }
            Turn::Free => {
                record.leased_until = Some(moment.deadline + LEASE_GRACE);
                record = match app.table.write_rollout(&record).await {
                    Err(StoreError::Conflict) => return Ok(Outcome::Contended),
                    written => written.context("take the rollout on")?,
                };
                *lease = record.leased_until;
            }
        }
    }
    Course { record, base: None, ended }.go_on(app, spec, moment).await
}

impl Course {
    /// Begins `rollout`, which is yet to be claimed: under a lease, and with the revision to start from where ECS tells
    /// it, so that neither takes a write of its own. What keeps ECS from telling it is found or told by the first step.
    pub(crate) async fn begin(app: &App, spec: &SiteSpec, mut rollout: Rollout, moment: Moment) -> Self {
        let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await.transpose();
        let service = service.filter(|read| read.as_ref().ok().and_then(Service::obstacle).is_none());
        if let Some(Ok(Service { task_definition: Some(base), .. })) = &service {
            register_next_of(&mut rollout, base.clone());
        }
        let record = RolloutRecord::begun(rollout, moment.deadline + LEASE_GRACE);
        Self { record, base: service, ended: false }
    }

    /// Takes one step after the other.
    ///
    /// # Errors
    /// When the table or the queue fails.
    pub(crate) async fn go_on(self, app: &App, spec: &SiteSpec, moment: Moment) -> anyhow::Result<Outcome> {
        let Self { mut record, mut base, ended } = self;
        loop {
            let before = record.clone();
            match step(app, spec, record, base.take(), moment).await {
                Ok(Step::On(next)) => record = next,
                Ok(Step::Deploying(record, reason)) if !ended => return note(app, record, reason).await,
                // The event was faster than what ECS shows. Where a later look shows no end either, the sweep looks on.
                Ok(Step::Later(record, reason) | Step::Deploying(record, reason)) => {
                    return later(app, record, reason, moment.now).await;
                }
                Ok(Step::Over(record, verdict)) => return finish(app, spec, record, verdict, moment.now).await,
                Err(Stop::Store(StoreError::Conflict)) => return Ok(Outcome::Contended),
                Err(Stop::Store(error)) => return Err(error).context("record a step of the rollout"),
                Err(Stop::Aws(error)) => return failed(app, spec, before, &error, moment.now).await,
            }
        }
    }
}

fn register_next_of(rollout: &mut Rollout, base: String) {
    rollout.state = State::Registering;
    rollout.reason = format!("registering the next revision of {base}");
    rollout.task_definition = Revisions { before: Some(base), after: None };
}

/// Takes one step. `base` is the service as it was read before the rollout was in the table, for the first.
async fn step(
    app: &App,
    spec: &SiteSpec,
    record: RolloutRecord,
    base: Option<Result<Service, AwsError>>,
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

fn missing(spec: &SiteSpec) -> String {
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
        register_next_of(&mut record.rollout, base.clone());
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

/// What to do about a call that failed: try again later if that can help, else give up with a sentence that helps. What
/// is not yet deployed is tried for as long as it takes: whoever gave it up would throw the uploads away.
pub(crate) async fn failed(
    app: &App,
    spec: &SiteSpec,
    record: RolloutRecord,
    error: &AwsError,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    // What this step has recorded is in the table, what the step before it left to be recorded is in hand.
    let (site, id) = (&record.rollout.site, &record.rollout.id);
    let present = app.table.rollout_record(site, id).await.context("read the rollout")?;
    if present.as_ref().is_some_and(|present| present.rollout.state.is_final()) {
        // Another invocation was faster: its verdict stands.
        return Ok(Outcome::Contended);
    }
    let record = present.filter(|present| present.version != record.version).unwrap_or(record);
    let deploying = record.rollout.state == State::Deploying;
    let too_long = deploying && now.duration_since(record.since()) > LONGEST_DEPLOYMENT;
    if error.is_temporary() && !too_long {
        tracing::warn!(site = %record.rollout.site, rollout = record.rollout.id, %error, "trying again later");
        return later(app, record, format!("trying again: {error}"), now).await;
    }
    let reason = match &error.kind {
        Kind::NotFound => missing(spec),
        _ => error.to_string(),
    };
    finish(app, spec, record, Verdict { state: State::Failed, reason }, now).await
}

/// Arms the tick that follows the rollout, unless one is armed. It is sent before it is recorded: one too many only
/// looks, while one that is recorded and was never sent leaves the rollout alone.
async fn later(app: &App, mut record: RolloutRecord, reason: String, now: Timestamp) -> anyhow::Result<Outcome> {
    let armed = wakeup::is_pending(record.armed_until, now, SignedDuration::ZERO);
    if armed && record.leased_until.is_none() && record.rollout.reason == reason {
        return Ok(Outcome::Rest);
    }
    let until = record.armed_until.filter(|_| armed).unwrap_or(now + wakeup::beside_events(record.looks));
    if !armed {
        send_tick(app, &record.rollout.site, until, now).await?;
    }
    record.looks += u32::from(!armed);
    record.armed_until = Some(until);
    record.leased_until = None;
    record.rollout.reason = reason;
    match app.table.write_rollout(&record).await {
        Err(StoreError::Conflict) => return Ok(Outcome::Contended),
        written => written.context("record how far the rollout is")?,
    };
    Ok(Outcome::Rest)
}

/// Notes how the deployment goes. No tick follows it: ECS tells its end, and the sweep looks after it where that event
/// is lost.
async fn note(app: &App, mut record: RolloutRecord, reason: String) -> anyhow::Result<Outcome> {
    if record.rollout.reason == reason {
        return Ok(Outcome::Rest);
    }
    record.rollout.reason = reason;
    match app.table.write_rollout(&record).await {
        Err(StoreError::Conflict) => Ok(Outcome::Contended),
        written => written.map(|_| Outcome::Rest).context("record how far the rollout is"),
    }
}

async fn finish(
    app: &App,
    spec: &SiteSpec,
    mut record: RolloutRecord,
    verdict: Verdict,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    record.rollout.state = verdict.state;
    record.rollout.reason = verdict.reason;
    record.rollout.finished_at = Some(now);
    record.leased_until = None;
    let record = match app.table.write_rollout(&record).await {
        Err(StoreError::Conflict) => return Ok(Outcome::Contended),
        written => written.context("record the verdict")?,
    };
    let rollout = &record.rollout;
    tracing::info!(site = %rollout.site, rollout = rollout.id, state = ?rollout.state, reason = rollout.reason, "over");
    conclude(app, spec, rollout, now).await
}

/// What follows from the verdict on `rollout`. An invocation that dies before the window is free leaves all of it to the
/// next one, which tells a failure twice rather than never.
async fn conclude(app: &App, spec: &SiteSpec, rollout: &Rollout, now: Timestamp) -> anyhow::Result<Outcome> {
    if matches!(rollout.state, State::Failed | State::RolledBack) {
        metrics::trouble(Trouble::FailedRollout, &format!("site {}", rollout.site), now);
    }
    let changes_wait = match app.table.free_window(rollout).await {
        Err(StoreError::Conflict) => return Ok(Outcome::Contended),
        freed => freed.context("free the window")?,
    };
    if rollout.state == State::Succeeded {
        old_revisions::deregister(app, spec, rollout).await;
    }
    Ok(if changes_wait { Outcome::Further } else { Outcome::Rest })
}
