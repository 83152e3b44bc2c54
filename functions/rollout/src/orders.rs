//! Breaks a rollout off, as a person orders. Until ECS has a deployment of it, nothing is left of it; then the service goes
//! back, by itself where ECS does that, else to the last good revision.

use anyhow::Context as _;
use wharfinger_decisions::{
    gate::Cancellation,
    rollback::good_before,
    rollout::State,
    verdict::{Service, Verdict},
};
use wharfinger_store::rollouts::RolloutRecord;

use crate::{
    course::{Course, Outcome},
    old_revisions,
    rollback::history,
    steps::{Step, judge},
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
    let Course { app, spec, moment, .. } = course;
    let service = match app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await {
        Ok(service) => service,
        Err(error) => return course.failed(record, &error).await,
    };
    let after = record.rollout.task_definition.after.clone();
    let own = [after.as_ref(), record.outdated.as_ref()];
    let runs_own =
        |service: &Service| service.task_definition.is_some() && own.contains(&service.task_definition.as_ref());
    let has_it = service.as_ref().is_some_and(runs_own);
    let history = history(app, &record).await.context("read the site's rollouts")?;
    let good = good_before(&history, &record.rollout);
    if record.rollout.state == State::Deploying {
        let is_back = |service: &Service| service.is_rolling() && good.is_some() && service.task_definition == good;
        if let (true, Some(good)) = (service.as_ref().is_some_and(is_back), &good) {
            let verdict = broken_off(word, &format!("the service goes back to {good}"));
            return course.finish(by_person(record, word), verdict).await;
        }
        if let Step::Over(record, verdict) = judge(spec, record.clone(), service.as_ref(), moment.now) {
            // It came to its end by itself, or went back.
            if verdict.state != State::RolledBack {
                return course.finish(record, verdict).await;
            }
            return course.finish(by_person(record, word), broken_off(word, &verdict.reason)).await;
        }
    }
    let ours = service.as_ref().filter(|service| !service.is_rolling());
    let ours = ours.and_then(|service| service.service_deployment_of(after.as_deref()?)).filter(|it| it.is_under_way());
    if let Some(ours) = ours {
        if !ours.is_going_back()
            && let Err(error) = app.ecs.stop_service_deployment(&ours.arn).await
        {
            // It may have ended just now: the next look tells.
            return course.later(record, format!("{} breaks it off: {error}", word.by)).await;
        }
        return course.later(record, format!("{} breaks it off: ECS goes back", word.by)).await;
    }
    if !has_it && record.rollout.state == State::Deploying {
        return course.later(record, format!("{} breaks it off: ECS shows another revision for now", word.by)).await;
    }
    if !has_it {
        let own = after.filter(|_| record.rollout.undoes.is_none() && record.rollout.state == State::Registered);
        if let Some(arn) = own {
            old_revisions::discard(app, &record.rollout.site, &arn).await;
        }
        let verdict = broken_off(word, "nothing of it was brought to the service");
        return course.finish(by_person(record, word), verdict).await;
    }
    let Some(good) = good else {
        let reason = format!("{} wants to break it off, but no good revision is known to go back to", word.by);
        return course.later(record, reason).await;
    };
    match app.ecs.update_service(spec.cluster.as_str(), spec.service.as_str(), &good).await {
        Err(error) => course.failed(record, &error).await,
        Ok(_) => {
            course.finish(by_person(record, word), broken_off(word, &format!("the service goes back to {good}"))).await
        }
    }
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
