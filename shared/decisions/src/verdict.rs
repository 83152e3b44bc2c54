//! The verdict on a rollout's deployment, from the service as it is now.
//!
//! Success is only: what ECS brings forward is our revision, and that deployment is COMPLETED (or its service deployment
//! SUCCESSFUL, where ECS replaces tasks otherwise than by rolling). A COMPLETED alone means nothing: a rollback completes
//! too. A deployment of our revision that somebody else forced is as good as our own.

mod service;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use self::service::says;
pub use self::service::{Deployment, Service, ServiceDeployment};
use crate::{
    duration::describe,
    rollout::{Failure, Rollout, State},
};

/// How long after the start a deployment that ECS does not list yet is not taken as gone: ECS is eventually consistent.
pub const LISTING_GRACE: SignedDuration = SignedDuration::from_secs(10);

/// How long ECS may take to go back after a deployment failed. Without a completed one before, it never does.
pub const ROLLBACK_GRACE: SignedDuration = SignedDuration::from_mins(2);

/// A rollout's state, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// [`State::Deploying`] or a final state.
    pub state: State,
    /// The reason, as a sentence.
    pub reason: String,
    /// What it failed of.
    pub failure: Option<Failure>,
    /// The deployment stands still until a person lets it go on.
    pub paused: bool,
}

impl Verdict {
    fn new(state: State, reason: impl Into<String>) -> Self {
        let failure = matches!(state, State::Failed | State::RolledBack).then_some(Failure::Tasks);
        Self { state, reason: reason.into(), failure, paused: false }
    }

    /// The rollout failed of `failure`.
    #[must_use]
    pub fn failed(failure: Failure, reason: impl Into<String>) -> Self {
        Self { failure: Some(failure), ..Self::new(State::Failed, reason) }
    }

    fn deploying(reason: impl Into<String>) -> Self {
        Self::new(State::Deploying, reason)
    }
}

/// How long ECS has for a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Since when it goes on. This can be long after the claim if ECS was busy.
    pub since: Timestamp,
    /// How long it may.
    pub lasts: SignedDuration,
}

/// Judges `rollout` by its `service`, which is `None` if it no longer exists.
#[must_use]
pub fn decide(rollout: &Rollout, patience: Patience, service: Option<&Service>, now: Timestamp) -> Verdict {
    let Some(service) = service else {
        return Verdict::failed(Failure::Service, "the service was deleted during the rollout");
    };
    if service.status != "ACTIVE" {
        let reason = format!("the service became {} during the rollout", service.status);
        return Verdict::failed(Failure::Service, reason);
    }
    let age = now.duration_since(patience.since);
    let verdict = match service.is_rolling() {
        true => judge_rolling(rollout, service, age, now),
        false => judge_service_deployment(rollout, service, age),
    };
    let verdict = match waits_for(rollout, service) {
        Some(reason) if verdict.state == State::Deploying => Verdict { paused: true, ..Verdict::deploying(reason) },
        _ => verdict,
    };
    if verdict.state == State::Deploying && !verdict.paused && age > patience.lasts {
        let advice = match service.is_rolling() {
            true => "look at the service's events in ECS, and switch its deployment circuit breaker on",
            false => "look at the service deployment in ECS, and give the site a longer verdict_after",
        };
        let reason = format!("no end after {}: {}. Advice: {advice}", describe(patience.lasts), verdict.reason);
        return Verdict::failed(Failure::NoEnd, reason);
    }
    verdict
}

/// For whom our deployment stands still.
fn waits_for(rollout: &Rollout, service: &Service) -> Option<String> {
    let ours = service.service_deployment_of(rollout.task_definition.after.as_deref()?)?;
    let hook = ours.awaits.as_ref().filter(|_| ours.is_under_way())?;
    let stage = ours.stage.as_ref().map(|stage| format!(" at {stage}")).unwrap_or_default();
    Some(format!("the deployment waits{stage} for somebody to answer the hook {hook}: continue {} in ECS", ours.arn))
}

fn judge_rolling(rollout: &Rollout, service: &Service, age: SignedDuration, now: Timestamp) -> Verdict {
    let (id, after) = (rollout.deployment_id.as_ref(), rollout.task_definition.after.as_ref());
    match service.primary() {
        None => Verdict::deploying("the service has no primary deployment at the moment"),
        Some(primary) if after == Some(&primary.task_definition) => judge_primary(primary, service, now),
        Some(primary) if Some(&primary.id) == id => {
            Verdict::new(State::Superseded, format!("our deployment brings {} now", primary.task_definition))
        }
        Some(primary) => {
            match service.deployments.iter().find(|one| Some(&one.id) == id || after == Some(&one.task_definition)) {
                None if age < LISTING_GRACE => Verdict::deploying("ECS has taken the deployment on"),
                ours => judge_replaced(rollout, ours, primary),
            }
        }
    }
}

fn judge_primary(ours: &Deployment, service: &Service, now: Timestamp) -> Verdict {
    if ours.is("COMPLETED") {
        return Verdict::new(State::Succeeded, success(ours, service));
    }
    let failed_at = ours.updated_at.or(ours.created_at);
    let may_go_back = failed_at.is_none_or(|at| now.duration_since(at) < ROLLBACK_GRACE);
    if ours.is("FAILED") && service.rolls_back && may_go_back {
        return Verdict::deploying(format!("the deployment failed, ECS is to go back{}", ours.ecs_says()));
    }
    if ours.is("FAILED") {
        let none_before = if service.rolls_back { ", and there is no completed revision to go back to" } else { "" };
        return Verdict::new(
            State::Failed,
            format!(
                "the new tasks did not come to run{}{none_before}: see their stopped reason in ECS",
                ours.ecs_says()
            ),
        );
    }
    let failed = if ours.failed > 0 { format!(", {} failed to start", ours.failed) } else { String::new() };
    Verdict::deploying(format!("{} of {} tasks run the new revision{failed}", ours.running, ours.desired))
}

/// What a success shows.
fn success(ours: &Deployment, service: &Service) -> String {
    if ours.desired == 0 {
        return "the service has the new revision, but no task is to run: this proves nothing of it".to_owned();
    }
    let earlier: i32 = service.deployments.iter().filter(|one| one.id != ours.id).map(|one| one.running).sum();
    if service.succeeds_early && (earlier > 0 || ours.running < ours.desired) {
        return format!(
            "ECS calls it a success early: {} of {} tasks run the new revision, {earlier} an earlier one",
            ours.running, ours.desired
        );
    }
    format!("all {} tasks run the new revision", ours.desired)
}

fn judge_replaced(rollout: &Rollout, ours: Option<&Deployment>, primary: &Deployment) -> Verdict {
    let failed = ours.is_none_or(|ours| ours.is("FAILED"));
    let to_before = Some(&primary.task_definition) == rollout.task_definition.before.as_ref();
    let said = ours.filter(|ours| ours.is("FAILED")).unwrap_or(primary).ecs_says();
    if (to_before && failed) || primary.goes_back() {
        let to = if to_before { "the revision before" } else { primary.task_definition.as_str() };
        let reason = format!(
            "the new tasks did not come to run, and ECS went back to {to}{said}; \
                 often the site's directory is missing on the file system: see the stopped tasks' reason in ECS"
        );
        return Verdict::new(State::RolledBack, reason);
    }
    if ours.is_some_and(|ours| ours.is("FAILED")) {
        return Verdict::new(State::Failed, format!("the new tasks did not come to run{said}"));
    }
    Verdict::new(
        State::Superseded,
        format!("deployment {} of {} took the service over", primary.id, primary.task_definition),
    )
}

/// Judges by what ECS tells of any strategy, with its bake time as long as it takes.
fn judge_service_deployment(rollout: &Rollout, service: &Service, age: SignedDuration) -> Verdict {
    let after = rollout.task_definition.after.as_deref().unwrap_or_default();
    let Some(ours) = service.service_deployment_of(after) else {
        if age < LISTING_GRACE || service.task_definition.as_deref() == Some(after) {
            return Verdict::deploying("ECS has taken the deployment on");
        }
        return Verdict::new(State::Superseded, "ECS lists no service deployment of the revision");
    };
    let (said, stage) = (says(ours.reason.as_deref()), ours.stage.as_deref().unwrap_or("its first stage"));
    match ours.status.as_str() {
        "SUCCESSFUL" => match service.deployment_of(after) {
            Some(deployment) => Verdict::new(State::Succeeded, success(deployment, service)),
            None => Verdict::new(State::Succeeded, "the service runs the new revision"),
        },
        "ROLLBACK_SUCCESSFUL" => Verdict::new(State::RolledBack, format!("ECS went back to the revision before{said}")),
        "ROLLBACK_FAILED" => Verdict::new(State::Failed, format!("ECS could not go back to the revision before{said}")),
        "STOPPED" if service.task_definition.as_deref().is_some_and(|present| present != after) => {
            Verdict::new(State::Superseded, format!("the deployment was stopped for another one{said}"))
        }
        "STOPPED" => Verdict::new(State::Failed, format!("the deployment was stopped{said}")),
        "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" => {
            Verdict::deploying(format!("ECS goes back to the revision before{said}"))
        }
        status => Verdict::deploying(format!("the service deployment is {status}, at {stage}{said}")),
    }
}
