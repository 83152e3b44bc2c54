//! An ECS service with its deployments, as far as decisions need it.

use jiff::{SignedDuration, Timestamp};

/// An ECS service, as far as a verdict needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its ARN.
    pub arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The revision that it is to run; absent where another controller decides.
    pub task_definition: Option<String>,
    /// The deployment controller: `ECS` where absent.
    pub controller: Option<String>,
    /// Who manages it: `CUSTOMER` where absent, `ECS` for one of Express mode.
    pub managed_by: Option<String>,
    /// How tasks are replaced: `ROLLING` where absent.
    pub strategy: Option<String>,
    /// Whether ECS goes back to the last completed revision: by the circuit breaker, or at an alarm.
    pub rolls_back: bool,
    /// Whether ECS may call a deployment completed while earlier tasks still run.
    pub succeeds_early: bool,
    /// Its deployments.
    pub deployments: Vec<Deployment>,
    /// Its service deployments, the latest first: read where `deployments` do not tell all.
    pub service_deployments: Vec<ServiceDeployment>,
}

/// A deployment of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// `ecs-svc/…`.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
    pub status: String,
    /// The revision that it brings.
    pub task_definition: String,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub rollout_state: Option<String>,
    /// ECS's sentence on it.
    pub rollout_reason: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it changed last.
    pub updated_at: Option<Timestamp>,
    /// How many tasks it is to run.
    pub desired: i32,
    /// How many run.
    pub running: i32,
    /// How many failed to start.
    pub failed: i32,
}

/// A service deployment: what ECS tells of any strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDeployment {
    /// Its ARN.
    pub arn: String,
    /// `PENDING`, `IN_PROGRESS`, `SUCCESSFUL`, `STOPPED`, `ROLLBACK_SUCCESSFUL`, …
    pub status: String,
    /// ECS's sentence on it.
    pub reason: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// The revision that it brings, where that could be read.
    pub task_definition: Option<String>,
    /// The stage that it is in: `BAKE_TIME`, `TEST_TRAFFIC_SHIFT`, …
    pub stage: Option<String>,
    /// The lifecycle hook that waits for a person's `ContinueServiceDeployment`.
    pub awaits: Option<String>,
}

impl Deployment {
    pub(super) fn is(&self, rollout_state: &str) -> bool {
        self.rollout_state.as_deref() == Some(rollout_state)
    }

    pub(super) fn ecs_says(&self) -> String {
        says(self.rollout_reason.as_deref())
    }

    /// Whether ECS made it to go back. It says so in its sentence alone.
    pub(crate) fn goes_back(&self) -> bool {
        let reason = self.rollout_reason.as_deref().unwrap_or_default().to_ascii_lowercase();
        reason.contains("rolling back") || reason.contains("rollback")
    }
}

impl ServiceDeployment {
    /// Whether ECS ends it and goes back already.
    #[must_use]
    pub fn is_going_back(&self) -> bool {
        ["STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"].contains(&self.status.as_str())
    }

    /// Whether ECS is at work on it.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        const UNDER_WAY: [&str; 5] =
            ["PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"];
        UNDER_WAY.contains(&self.status.as_str())
    }
}

impl Service {
    /// The deployment that ECS brings forward.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }

    /// The deployment of `revision`, the PRIMARY one before others.
    #[must_use]
    pub fn deployment_of(&self, revision: &str) -> Option<&Deployment> {
        let brings = |deployment: &&Deployment| deployment.task_definition == revision;
        self.primary().filter(brings).or_else(|| self.deployments.iter().find(brings))
    }

    /// The latest service deployment of `revision`.
    #[must_use]
    pub fn service_deployment_of(&self, revision: &str) -> Option<&ServiceDeployment> {
        self.service_deployments.iter().find(|one| one.task_definition.as_deref() == Some(revision))
    }

    /// Whether ECS replaces tasks by rolling, so that `deployments` tell how it goes.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        self.strategy.as_deref().is_none_or(|strategy| strategy == "ROLLING")
    }

    /// The id of the deployment of `revision`, once ECS has taken it on.
    #[must_use]
    pub fn id_of(&self, revision: &str) -> Option<String> {
        let of_any_strategy = || self.service_deployment_of(revision).map(|one| one.arn.clone());
        self.deployment_of(revision).map(|one| one.id.clone()).or_else(of_any_strategy)
    }

    /// The deployment that is under way and brings none of the revisions `own`, in words.
    #[must_use]
    pub fn deployment_of_others(&self, own: &[&str]) -> Option<String> {
        let others = |revision: Option<&str>| revision.is_none_or(|revision| !own.contains(&revision));
        let under_way = self.service_deployments.iter().filter(|one| one.is_under_way());
        if let Some(one) = under_way.into_iter().find(|one| others(one.task_definition.as_deref())) {
            let awaits = one.awaits.as_ref().map(|hook| format!(", which waits for the hook {hook}"));
            return Some(format!("the service deployment {}{}", one.arn, awaits.unwrap_or_default()));
        }
        let primary = self.primary().filter(|_| self.is_rolling()).filter(|primary| primary.is("IN_PROGRESS"));
        let primary = primary.filter(|primary| others(Some(&primary.task_definition)))?;
        Some(format!("the deployment {} of {}", primary.id, primary.task_definition))
    }

    /// When the latest of its deployments was begun.
    #[must_use]
    pub fn latest_begun(&self) -> Option<Timestamp> {
        let deployments = self.deployments.iter().filter_map(|one| one.created_at);
        deployments.chain(self.service_deployments.iter().filter_map(|one| one.created_at)).max()
    }

    /// Since when the deployment goes on that ECS brings forward.
    #[must_use]
    pub fn primary_since(&self) -> Option<Timestamp> {
        self.primary().and_then(|primary| primary.created_at)
    }

    /// Whether what ECS brings forward by rolling has gone on for longer than `patience`: it may have no end.
    #[must_use]
    pub fn is_endless(&self, patience: SignedDuration, now: Timestamp) -> bool {
        self.is_rolling() && self.primary_since().is_some_and(|since| now.duration_since(since) > patience)
    }

    /// The revision that our deployment of `after` replaces, where it is none of those that are `known`: somebody deployed it
    /// after the service was read. What was replaced before that is still listed while its tasks stop, and what was begun
    /// before `since`, the latest deployment at that time, was seen: its base may have failed and be gone from the list.
    #[must_use]
    pub fn replaced_unseen(&self, after: &str, known: &[&str], since: Option<Timestamp>) -> Option<&str> {
        self.primary().filter(|primary| primary.task_definition == after)?;
        let mut replaced: Vec<&Deployment> = self.deployments.iter().filter(|one| one.status == "ACTIVE").collect();
        // ECS lists the latest first.
        replaced.sort_by_key(|one| std::cmp::Reverse(one.created_at));
        let is_later = |one: &Deployment| one.created_at.zip(since).is_none_or(|(at, since)| at > since);
        let stayed = |one: &&Deployment| one.task_definition != after && !one.goes_back() && is_later(one);
        let latest = replaced.into_iter().find(stayed)?;
        Some(latest.task_definition.as_str()).filter(|latest| !known.contains(latest))
    }

    /// The same of service deployments, which tell it also when all is over. Only what was begun after `since`, and stayed,
    /// can be what ours replaced.
    #[must_use]
    pub fn replaced_since(&self, after: &str, known: &[&str], since: Timestamp) -> Option<&str> {
        let ours = self.service_deployments.iter().position(|one| one.task_definition.as_deref() == Some(after))?;
        let stayed = |one: &&ServiceDeployment| {
            let is_later = one.created_at.is_some_and(|at| at > since) && !one.status.starts_with("ROLLBACK");
            is_later && one.task_definition.as_deref().is_some_and(|revision| revision != after)
        };
        let latest = self.service_deployments[ours..].iter().find(stayed)?.task_definition.as_deref()?;
        Some(latest).filter(|latest| !known.contains(latest))
    }

    /// Why the service can't be rolled out, or `None` if it can.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        if self.status != "ACTIVE" {
            return Some(format!("the service is {}: create it again", self.status));
        }
        if let Some(controller) = self.controller.as_deref().filter(|controller| *controller != "ECS") {
            return Some(format!(
                "the service's deployments are made by {controller}: give the site a service whose deployment controller is ECS"
            ));
        }
        if self.managed_by.as_deref() == Some("ECS") {
            return Some(
                "the service is one of ECS Express mode, which manages its task definition itself: give the site a service of your own".to_owned(),
            );
        }
        self.task_definition.is_none().then(|| "the service has no task definition".to_owned())
    }
}

pub(super) fn says(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" (ECS says: {reason})")).unwrap_or_default()
}
