//! A rollback: a rollout whose revision is there already. What it goes back to is recorded before anything is done.

use jiff::Timestamp;
use wharfinger_decisions::{
    diff::differences,
    reach,
    rollback::last_good,
    rollout::{Failure, Revisions, State},
    site::SiteSpec,
    verdict::{Service, Verdict},
};
use wharfinger_runtime::Moment;
use wharfinger_store::rollouts::RolloutRecord;

use crate::{
    App,
    steps::{self, Step, Stop, hindrance, over, taken_on},
    way_back,
};

/// Takes a step of a rollback.
pub(crate) async fn step(app: &App, spec: &SiteSpec, record: RolloutRecord, moment: Moment) -> Result<Step, Stop> {
    if record.rollout.state == State::Deploying {
        return steps::step(app, spec, record, None, moment).await;
    }
    let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await?;
    if let Some(hindrance) = hindrance(spec, &record, service.as_ref(), moment.now) {
        return Ok(hindrance.of(record));
    }
    let service = service.expect("a service that is not there is in the way");
    match record.rollout.state {
        State::Registered => go_back(app, spec, record, service, moment.present()).await,
        _ => choose(app, record, service).await,
    }
}

/// Chooses the revision to go back to, and records it before anything is done.
async fn choose(app: &App, mut record: RolloutRecord, service: Service) -> Result<Step, Stop> {
    let history = app.table.rollout_history(&record.rollout.site).await?;
    let undone = record.rollout.undoes.clone().unwrap_or_default();
    let target = match last_good(&history, &undone) {
        Ok(target) => target,
        Err(refusal) => return Ok(over(record, Failure::Refused, refusal.to_string())),
    };
    let brought =
        history.iter().find(|rollout| rollout.id == undone).and_then(|rollout| rollout.task_definition.after.as_ref());
    if brought != service.task_definition.as_ref() {
        let running = service.task_definition.unwrap_or_default();
        let reason =
            format!("the service runs {running}, which {undone} did not bring: there is nothing of it to undo");
        return Ok(over(record, Failure::Refused, reason));
    }
    let before = service.task_definition.unwrap_or_default();
    let (described, next) = (app.ecs.task_definition(&before).await?, app.ecs.task_definition(&target).await?);
    if next["taskDefinition"]["status"].as_str().is_some_and(|status| status != "ACTIVE") {
        let reason = format!("{target} was deregistered: give the site more keep_revisions, and roll it out anew");
        return Ok(over(record, Failure::Refused, reason));
    }
    // IAM asks for them where a revision is registered, not where one that is there is given to a service.
    if let Some(role) = reach::closed_roles(&app.reach.roles, &next["taskDefinition"]).first() {
        let reason =
            format!("this deployment may not hand the role {role} of {target} to tasks: {}", reach::open_role(role));
        return Ok(over(record, Failure::Refused, reason));
    }
    record.rollout.changes = differences(&described, &next);
    record.rollout.state = State::Registered;
    record.rollout.reason = format!("going back to {target}");
    record.rollout.task_definition = Revisions { before: Some(before), after: Some(target) };
    Ok(Step::On(app.table.write_rollout(&record).await?))
}

async fn go_back(
    app: &App,
    spec: &SiteSpec,
    record: RolloutRecord,
    service: Service,
    now: Timestamp,
) -> Result<Step, Stop> {
    let Revisions { before, after } = record.rollout.task_definition.clone();
    let target = after.expect("a rollback that is recorded has its revision");
    if ![before.as_ref(), Some(&target)].contains(&service.task_definition.as_ref()) {
        let running = service.task_definition.unwrap_or_default();
        let reason = format!("somebody else deployed {running} meanwhile");
        return Ok(superseded(record, reason));
    }
    // An invocation that died may have begun it.
    let is_begun = service.task_definition.as_ref() == Some(&target);
    let (cluster, name) = (spec.cluster.as_str(), spec.service.as_str());
    let service = match is_begun {
        // What it replaced may be gone from the service by now.
        true => Service { service_deployments: app.ecs.service_deployments(cluster, name).await?, ..service },
        false => app.ecs.update_service(cluster, name, &target).await?,
    };
    let (known, since) = (before.into_iter().collect(), record.rollout.started_at);
    if let Some(unseen) = way_back::restore(app, spec, service.clone(), &target, known, since).await? {
        let reason = format!("somebody else deployed {unseen} meanwhile: the service goes back to that");
        return Ok(superseded(record, reason));
    }
    match service.id_of(&target) {
        Some(id) => taken_on(app, record, id, is_begun, now).await,
        None => Ok(Step::Later(record, "the service is updated, ECS does not list the deployment yet".into())),
    }
}

fn superseded(record: RolloutRecord, reason: String) -> Step {
    Step::Over(record, Verdict { state: State::Superseded, reason, failure: None, paused: false })
}
