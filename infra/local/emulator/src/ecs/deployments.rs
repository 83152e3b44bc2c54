//! Deployments: how one begins, how it ends, and the events that tell of it.

use jiff::Timestamp;
use serde_json::json;

use super::{
    Ecs,
    model::{Deployment, Rollout, ServiceRecord, State},
};

/// The fewest and the most failed tasks that trip the circuit breaker; between them it is half of the desired count.
/// From the ECS developer guide, "How the deployment circuit breaker detects failures".
const THRESHOLD: (usize, usize) = (3, 200);

impl Ecs {
    /// Makes `deployment` the service's PRIMARY one.
    pub(super) fn deploy(&self, state: &mut State, key: &str, deployment: Deployment) {
        let Some(service) = state.services.get_mut(key) else { return };
        self.announce(service, &deployment, "INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS");
        service.deployments.insert(0, deployment);
    }

    /// Ends the PRIMARY deployment well: its tasks run, and all others have stopped.
    pub(super) fn complete(&self, service: &mut ServiceRecord, now: f64) {
        service.deployments.truncate(1);
        let Some(primary) = service.deployments.first_mut() else { return };
        primary.rollout = Rollout::Completed;
        primary.updated = now;
        primary.reason = if primary.rollback {
            format!("ECS deployment circuit breaker: rollback {} completed.", primary.id)
        } else {
            format!("ECS deployment {} completed.", primary.id)
        };
        let primary = primary.clone();
        service.last_good = Some((primary.id.clone(), primary.definition.clone()));
        service.log(now, format!("(service {}) (deployment {}) deployment completed.", service.name, primary.id));
        service.log(now, format!("(service {}) has reached a steady state.", service.name));
        self.announce(service, &primary, "INFO", "SERVICE_DEPLOYMENT_COMPLETED");
    }

    /// Whether the circuit breaker ends the PRIMARY deployment.
    pub(super) fn trips(service: &ServiceRecord) -> bool {
        let (enabled, _) = service.circuit_breaker();
        let threshold = service.desired.div_ceil(2).clamp(THRESHOLD.0, THRESHOLD.1);
        let primary = service.deployments.first();
        enabled && primary.is_some_and(|one| one.rollout == Rollout::InProgress && one.failed_tasks >= threshold)
    }

    /// Ends the PRIMARY deployment badly, and goes back to the last good one if the service asks for it.
    pub(super) fn fail(&self, state: &mut State, key: &str, now: f64) {
        let Some(service) = state.services.get_mut(key) else { return };
        let Some(primary) = service.deployments.first_mut() else { return };
        primary.rollout = Rollout::Failed;
        primary.updated = now;
        "ECS deployment circuit breaker: tasks failed to start.".clone_into(&mut primary.reason);
        let failed = primary.clone();
        service.log(
            now,
            format!("(service {}) (deployment {}) deployment failed: tasks failed to start.", service.name, failed.id),
        );
        self.announce(service, &failed, "ERROR", "SERVICE_DEPLOYMENT_FAILED");
        let (_, rolls_back) = service.circuit_breaker();
        let Some((id, definition)) = service.last_good.clone().filter(|_| rolls_back && !failed.rollback) else {
            return;
        };
        let reason = format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.");
        service.log(now, format!("(service {}) rolling back to deployment {id}.", service.name));
        let deployment = Deployment { rollback: true, reason, ..Deployment::new(definition, now) };
        self.deploy(state, key, deployment);
    }

    /// Puts `ECS Deployment State Change` on the bus.
    fn announce(&self, service: &ServiceRecord, deployment: &Deployment, kind: &str, name: &str) {
        let now = self.context.clock.now();
        let detail = json!({
            "eventType": kind,
            "eventName": name,
            "clusterArn": self.cluster_arn(&service.cluster),
            "deploymentId": deployment.id,
            "updatedAt": Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now).to_string(),
            "reason": deployment.reason,
        });
        let resources = [self.service_arn(&service.key())];
        self.context.bus.put("aws.ecs", "ECS Deployment State Change", &resources, detail);
    }
}
