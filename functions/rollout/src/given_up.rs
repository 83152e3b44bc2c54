//! A deployment of ours that a rollout has given up because it had no end. ECS goes on with it, and whoever comes next
//! would wait for it for ever.

use wharfinger_decisions::{
    revision,
    rollout::{Failure, State},
    site::SiteSpec,
};
use wharfinger_store::table::StoreError;

use crate::{App, stopping};

/// Ends the service deployments that rollouts have given up: ECS goes back. Where that fails, the next look tries again.
pub(crate) async fn stop(app: &App, spec: &SiteSpec) {
    if let Err(error) = try_stop(app, spec).await {
        tracing::warn!(service = %spec.service, error = format!("{error:#}"), "what was given up may go on");
    }
}

async fn try_stop(app: &App, spec: &SiteSpec) -> anyhow::Result<()> {
    let Some(service) = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await? else { return Ok(()) };
    let under_way = service.service_deployments.iter().filter(|one| one.is_under_way() && !one.is_going_back());
    for deployment in under_way {
        let Some(revision) = &deployment.task_definition else { continue };
        if is_given_up(app, revision).await? {
            stopping::stop(app, spec, deployment).await?;
            tracing::warn!(deployment = deployment.arn, revision, "it was given up before: ECS goes back");
        }
    }
    Ok(())
}

/// Whether a rollout brought `revision` and gave it up. Anybody may name a rollout in a revision: the rollout names it too.
async fn is_given_up(app: &App, revision: &str) -> anyhow::Result<bool> {
    let described = match app.ecs.task_definition(revision).await {
        Err(error) if error.is_not_found() => return Ok(false),
        described => described?,
    };
    let Some((site, id)) = revision::rollout_of(&described) else { return Ok(false) };
    let rollout = match app.table.rollout(&site, &id).await {
        Err(StoreError::Unreadable(_)) => None,
        read => read?,
    };
    Ok(rollout.is_some_and(|rollout| {
        let gave_up = rollout.state == State::Failed && rollout.failure == Some(Failure::NoEnd);
        gave_up && rollout.task_definition.after.as_deref() == Some(revision)
    }))
}
