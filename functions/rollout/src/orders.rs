//! Breaks a rollout off, as a person orders. Until ECS has a deployment of it, nothing is left of it; then the service goes
//! back, by itself where ECS does that, else to the last good revision. What AWS refuses ends nothing: ECS goes on then, and
//! what it shows tells the end.

use anyhow::Context as _;
use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{
    gate::Cancellation,
    rollback::good_before,
    rollout::State,
    verdict::{Service, ServiceDeployment, Verdict},
};
use wharfinger_store::{rollouts::RolloutRecord, table::StoreError};

use crate::{
    App,
    course::{Course, Outcome},
    old_revisions,
    steps::{Step, Stop, find_revision, judge, taken_on, with_revision},
    stopping, way_back,
};

/// Breaks the rollout off, or goes on with that.
///
/// # Errors
/// When the table or the queue fails.
pub(crate) async fn break_off(
    course: Course<'_>,
    record: RolloutRecord,
    word: &Cancellation,
) -> anyhow::Result<Outcome> {
    let (app, spec) = (course.app, course.spec);
    let service = match app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await {
        Ok(service) => service,
        Err(error) if error.is_not_found() => return course.failed(record, &error).await,
        Err(error) => return again(course, record, word, &error).await,
    };
    match as_far_as_it_is(course, record.clone(), service.as_ref()).await {
        Ok(record) if record.rollout.state == State::Deploying => {
            Box::pin(break_off_deployment(course, record, word, service)).await
        }
        Ok(record) => Box::pin(break_off_early(course, record, word, service)).await,
        Err(Stop::Store(StoreError::Conflict)) => Ok(Outcome::Contended),
        Err(Stop::Store(error)) => Err(error).context("record how far the rollout is"),
        Err(Stop::Aws(error)) => again(course, record, word, &error).await,
    }
}

/// The rollout as far as an invocation that died may have brought it: it may have registered the revision, and have given it
/// to the service, before either was recorded.
async fn as_far_as_it_is(
    course: Course<'_>,
    mut record: RolloutRecord,
    service: Option<&Service>,
) -> Result<RolloutRecord, Stop> {
    let Course { app, spec, moment, .. } = course;
    if record.rollout.state == State::Registering
        && let Some(arn) = find_revision(app, spec, &record).await?
    {
        record = with_revision(record, arn);
    }
    let after = record.rollout.task_definition.after.as_ref().filter(|_| record.rollout.state == State::Registered);
    let of_ours = |service: &Service| {
        let after = after.filter(|after| {
            let is_under_way = || service.service_deployment_of(after).is_some_and(ServiceDeployment::is_under_way);
            service.task_definition.as_ref() == Some(*after) || is_under_way()
        })?;
        service.id_of(after)
    };
    let Some(id) = service.and_then(of_ours) else { return Ok(record) };
    match taken_on(app, record, id, true, moment.present()).await? {
        Step::On(record) | Step::Later(record, _) | Step::Deploying(record, _) | Step::Over(record, _) => Ok(record),
    }
}

/// Breaks a rollout off that ECS has no deployment of, or of which it only has the revision that is outdated.
async fn break_off_early(
    course: Course<'_>,
    record: RolloutRecord,
    word: &Cancellation,
    service: Option<Service>,
) -> anyhow::Result<Outcome> {
    let after = record.rollout.task_definition.after.clone();
    let own = [after.as_ref(), record.outdated.as_ref()];
    let runs_own =
        |service: &Service| service.task_definition.is_some() && own.contains(&service.task_definition.as_ref());
    if service.as_ref().is_some_and(runs_own) {
        return Box::pin(go_back(course, record, word)).await;
    }
    let own = after.filter(|_| record.rollout.undoes.is_none() && record.rollout.state == State::Registered);
    if let Some(arn) = own {
        old_revisions::discard(course.app, &record.rollout.site, &arn).await;
    }
    let verdict = broken_off(word, "nothing of it was brought to the service");
    course.finish(by_person(record, word), verdict).await
}

/// Breaks a rollout off that ECS is at work on.
async fn break_off_deployment(
    course: Course<'_>,
    record: RolloutRecord,
    word: &Cancellation,
    service: Option<Service>,
) -> anyhow::Result<Outcome> {
    let Course { app, spec, moment, .. } = course;
    let good = good(app, &record).await?;
    let is_back = |service: &&Service| service.is_rolling() && good.is_some() && service.task_definition == good;
    if let (Some(service), Some(good)) = (service.as_ref().filter(is_back), &good) {
        return gone_back(course, record, word, service.clone(), good.clone()).await;
    }
    if let Step::Over(record, verdict) = judge(spec, record.clone(), service.as_ref(), moment.now) {
        // It came to its end by itself, or went back.
        if verdict.state != State::RolledBack {
            return course.finish(record, verdict).await;
        }
        return course.finish(by_person(record, word), broken_off(word, &verdict.reason)).await;
    }
    let after = record.rollout.task_definition.after.clone();
    let ours = service.as_ref().filter(|service| !service.is_rolling());
    let ours = ours.and_then(|service| service.service_deployment_of(after.as_deref()?)).filter(|it| it.is_under_way());
    if let Some(ours) = ours {
        return match stopping::stop(app, spec, ours).await {
            // It may have ended just now: the next look tells.
            Err(error) => again(course, record, word, &error).await,
            Ok(()) => course.later(record, format!("{} breaks it off: ECS goes back", word.by)).await,
        };
    }
    let own = [after.as_ref(), record.outdated.as_ref()];
    if !service.as_ref().is_some_and(|service| own.contains(&service.task_definition.as_ref())) {
        return course.later(record, format!("{} breaks it off: ECS shows another revision for now", word.by)).await;
    }
    Box::pin(go_back(course, record, word)).await
}

/// Brings the last good revision to the service.
async fn go_back(course: Course<'_>, record: RolloutRecord, word: &Cancellation) -> anyhow::Result<Outcome> {
    let Course { app, spec, .. } = course;
    let Some(good) = good(app, &record).await? else {
        let reason = format!("{} wants to break it off, but no good revision is known to go back to", word.by);
        return course.later(record, reason).await;
    };
    match app.ecs.update_service(spec.cluster.as_str(), spec.service.as_str(), &good).await {
        Err(error) => again(course, record, word, &error).await,
        Ok(service) => gone_back(course, record, word, service, good).await,
    }
}

/// Ends the rollout once the `service` goes back to `good`, as ECS shows it or answers. What somebody deployed unseen, and that
/// replaced, is brought back.
async fn gone_back(
    course: Course<'_>,
    record: RolloutRecord,
    word: &Cancellation,
    service: Service,
    good: String,
) -> anyhow::Result<Outcome> {
    let revisions = &record.rollout.task_definition;
    let known = [revisions.after.clone(), revisions.before.clone(), record.outdated.clone()];
    let known = known.into_iter().flatten().collect();
    match way_back::restore(course.app, course.spec, service, &good, known, record.rollout.started_at).await {
        Err(error) => again(course, record, word, &error).await,
        Ok(None) => {
            course.finish(by_person(record, word), broken_off(word, &format!("the service goes back to {good}"))).await
        }
        Ok(Some(unseen)) => {
            let what = format!("somebody deployed {unseen} meanwhile, and the service goes back to that");
            course.finish(by_person(record, word), broken_off(word, &what)).await
        }
    }
}

/// Notes why it could not be broken off yet. It is tried again, and judged again, later.
async fn again(
    course: Course<'_>,
    record: RolloutRecord,
    word: &Cancellation,
    error: &AwsError,
) -> anyhow::Result<Outcome> {
    tracing::warn!(site = %record.rollout.site, rollout = record.rollout.id, %error, "it can't be broken off yet");
    course.later(record, format!("{} breaks it off, trying again: {error}", word.by)).await
}

async fn good(app: &App, record: &RolloutRecord) -> anyhow::Result<Option<String>> {
    let history = app.table.rollout_history(&record.rollout.site).await.context("read the site's rollouts")?;
    Ok(good_before(&history, &record.rollout))
}

fn by_person(mut record: RolloutRecord, word: &Cancellation) -> RolloutRecord {
    record.rollout.broken_off_by = Some(word.by.clone());
    record
}

fn broken_off(word: &Cancellation, what: &str) -> Verdict {
    Verdict {
        state: State::RolledBack,
        reason: format!("broken off by {}: {what}", word.by),
        failure: None,
        paused: false,
    }
}
