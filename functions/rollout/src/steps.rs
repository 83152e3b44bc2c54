//! The steps of a rollout: register a revision, update the service, follow the deployment. Each is recorded before the
//! next, so that another invocation takes it up wherever one died: no second revision, no second deployment.

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use wharfinger_aws::{
    ecs::family_and_revision,
    error::{AwsError, Kind},
};
use wharfinger_decisions::{
    names::SiteName,
    revision,
    rollout::{Revisions, State},
    site::SiteSpec,
    verdict::{self, LONGEST_DEPLOYMENT, Service, Verdict},
    wakeup,
};
use wharfinger_runtime::{
    Moment,
    metrics::{self, Trouble},
};
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError};

use crate::{App, old_revisions, ticks::send_tick};

/// How long after its deadline an invocation is surely dead.
const LEASE_GRACE: SignedDuration = SignedDuration::from_secs(2);

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
    /// Look again later: ECS is busy, or at work.
    Later(RolloutRecord, String),
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

/// Whose turn it is to take a rollout's steps.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// This invocation's: it holds the lease.
    Ours,
    /// Nobody's: the lease can be taken.
    Free,
    /// Another invocation's, until then at the latest.
    Theirs(Timestamp),
}

/// Takes the rollout `id` as far as it can go now. `lease` is the lease that this invocation has taken, kept from one
/// look to the next: when the table is read again after a conflict, its own lease is nobody else's.
///
/// # Errors
/// When the table or the queue fails.
pub(crate) async fn advance(
    app: &App,
    site: &SiteName,
    spec: &SiteSpec,
    id: &str,
    moment: Moment,
    lease: &mut Option<Timestamp>,
) -> anyhow::Result<Outcome> {
    let record = app.table.rollout_record(site, id).await.context("read the rollout")?;
    let mut record = record.with_context(|| format!("the rollout {id} is locked, but it is not in the table"))?;
    if record.rollout.state.is_final() {
        tracing::warn!(%site, rollout = id, "the rollout is over, but it held the window: it is freed");
        return match app.table.unlock_window(&record.rollout).await {
            Err(StoreError::Conflict) => Ok(Outcome::Contended),
            unlocked => unlocked.map(|()| Outcome::Further).context("free the window"),
        };
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
    loop {
        let before = record.clone();
        match step(app, spec, record, moment).await {
            Ok(Step::On(next)) => record = next,
            Ok(Step::Later(record, reason)) => return later(app, record, reason, moment.now).await,
            Ok(Step::Over(record, verdict)) => return finish(app, spec, record, verdict, moment.now).await,
            Err(Stop::Store(StoreError::Conflict)) => return Ok(Outcome::Contended),
            Err(Stop::Store(error)) => return Err(error).context("record a step of the rollout"),
            Err(Stop::Aws(error)) => return failed(app, spec, before, &error, moment.now).await,
        }
    }
}

fn turn(leased_until: Option<Timestamp>, ours: Option<Timestamp>, now: Timestamp) -> Turn {
    match leased_until {
        Some(until) if ours == Some(until) => Turn::Ours,
        Some(until) if until > now => Turn::Theirs(until),
        _ => Turn::Free,
    }
}

async fn step(app: &App, spec: &SiteSpec, record: RolloutRecord, moment: Moment) -> Result<Step, Stop> {
    let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await?;
    if record.rollout.state == State::Deploying {
        let verdict = verdict::decide(&record.rollout, record.since(), service.as_ref(), moment.now);
        return Ok(match verdict.state {
            State::Deploying => Step::Later(record, verdict.reason),
            _ => Step::Over(record, verdict),
        });
    }
    let obstacle = service.as_ref().map_or_else(|| Some(missing(spec)), Service::obstacle);
    let (Some(service), None) = (service, &obstacle) else {
        return Ok(over(record, obstacle.unwrap_or_default()));
    };
    match record.rollout.state {
        State::Registered => deploy(app, spec, record, service, moment.now).await,
        _ => register(app, spec, record, service).await,
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

/// Makes the rollout's revision of what the service runs, or finds the one that an invocation made before it died.
async fn register(app: &App, spec: &SiteSpec, mut record: RolloutRecord, service: Service) -> Result<Step, Stop> {
    let base = service.task_definition.expect("a service without one was an obstacle");
    let id = record.rollout.id.clone();
    let mut found = None;
    if record.rollout.state == State::Registering && record.rollout.task_definition.before.as_ref() == Some(&base) {
        found = find_revision(app, &base, &id).await?;
    } else {
        record.rollout.state = State::Registering;
        record.rollout.reason = format!("registering the next revision of {base}");
        record.rollout.task_definition = Revisions { before: Some(base.clone()), after: None };
        record = app.table.write_rollout(&record).await?;
    }
    let arn = match found {
        Some(arn) => arn,
        None => {
            let described = app.ecs.task_definition(&base).await?;
            match revision::make(&described, &record.rollout.site, spec, &id) {
                Ok(input) => app.ecs.register(&input).await?,
                Err(refusal) => return Ok(over(record, refusal.to_string())),
            }
        }
    };
    tracing::info!(site = %record.rollout.site, rollout = id, revision = arn, "the revision is registered");
    record.rollout.state = State::Registered;
    record.rollout.reason = "the revision is registered, the service is updated next".into();
    record.rollout.task_definition.after = Some(arn);
    Ok(Step::On(app.table.write_rollout(&record).await?))
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
            discard(app, &record.rollout.site, &arn).await;
        }
        record.rollout.state = State::Claimed;
        record.rollout.reason = "the service runs another task definition since: starting again from that".into();
        return Ok(Step::On(app.table.write_rollout(&record).await?));
    }
    let service = match service.deployment_of(&arn) {
        Some(_) => service,
        None => app.ecs.update_service(spec.cluster.as_str(), spec.service.as_str(), &arn).await?,
    };
    let Some(deployment) = service.deployment_of(&arn) else {
        return Ok(Step::Later(record, "the service is updated, ECS does not list the deployment yet".into()));
    };
    tracing::info!(site = %record.rollout.site, rollout = record.rollout.id, deployment = deployment.id, "deploying");
    record.rollout.state = State::Deploying;
    record.rollout.reason = "ECS has taken the deployment on".into();
    record.rollout.deployment_id = Some(deployment.id.clone());
    record.deploying_since = Some(now);
    record.leased_until = None;
    Ok(Step::On(app.table.write_rollout(&record).await?))
}

/// Takes a revision that was never deployed out of use: the table forgets it, so nobody retires it later. Should this
/// fail, it lies there and harms nothing.
async fn discard(app: &App, site: &SiteName, arn: &str) {
    match app.ecs.deregister(arn).await {
        Ok(()) => tracing::info!(%site, revision = arn, "an unused revision is deregistered"),
        Err(error) => tracing::warn!(%site, revision = arn, %error, "an unused revision could not be deregistered"),
    }
}

/// What to do about a call that failed: try again later if that can help, else give up with a sentence that helps. What
/// is not yet deployed is tried for as long as it takes: whoever gave it up would throw the uploads away.
async fn failed(
    app: &App,
    spec: &SiteSpec,
    record: RolloutRecord,
    error: &AwsError,
    now: Timestamp,
) -> anyhow::Result<Outcome> {
    // The steps before this one may have been recorded: go on from what is in the table.
    let (site, id) = (&record.rollout.site, &record.rollout.id);
    let present = app.table.rollout_record(site, id).await.context("read the rollout")?;
    let record = present.unwrap_or(record);
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
    match app.table.finish_rollout(&record).await {
        // Changes that came in meanwhile write the window too.
        Err(StoreError::Conflict) => return Ok(Outcome::Contended),
        finished => finished.context("record the verdict")?,
    }
    let rollout = &record.rollout;
    tracing::info!(site = %rollout.site, rollout = rollout.id, state = ?rollout.state, reason = rollout.reason, "over");
    match rollout.state {
        State::Succeeded => old_revisions::deregister(app, spec, rollout).await,
        State::Failed | State::RolledBack => {
            metrics::trouble(Trouble::FailedRollout, &format!("site {}", rollout.site), now)
        }
        _ => {}
    }
    Ok(Outcome::Further)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_lease_of_another_is_respected_until_it_ends() {
        assert_eq!(turn(Some(at(9)), None, at(8)), Turn::Theirs(at(9)));
        assert_eq!(turn(Some(at(9)), Some(at(7)), at(8)), Turn::Theirs(at(9)));
        assert_eq!(turn(Some(at(9)), None, at(9)), Turn::Free);
        assert_eq!(turn(None, None, at(8)), Turn::Free);
    }

    #[test]
    fn our_own_lease_read_again_is_no_obstacle() {
        assert_eq!(turn(Some(at(9)), Some(at(9)), at(8)), Turn::Ours);
        assert_eq!(turn(None, Some(at(9)), at(8)), Turn::Free, "it was given back");
    }
}
