//! A service as the SDK has it, in our words.

use aws_sdk_ecs::types;
use jiff::Timestamp;
use wharfinger_decisions::verdict::{Deployment, Service};

pub(super) fn service_of(service: &types::Service) -> Service {
    let configuration = service.deployment_configuration();
    let breaker = configuration.and_then(|it| it.deployment_circuit_breaker());
    let breaks = breaker.is_some_and(|breaker| breaker.enable() && breaker.rollback());
    let alarms = configuration.and_then(|it| it.alarms());
    let alarmed = alarms.is_some_and(|alarms| alarms.enable() && alarms.rollback());
    Service {
        arn: service.service_arn().unwrap_or_default().to_owned(),
        status: service.status().unwrap_or_default().to_owned(),
        task_definition: service.task_definition().map(ToOwned::to_owned),
        controller: service.deployment_controller().map(|controller| controller.r#type().as_str().to_owned()),
        managed_by: service.resource_management_type().map(|by| by.as_str().to_owned()),
        strategy: configuration.and_then(|it| it.strategy()).map(|strategy| strategy.as_str().to_owned()),
        rolls_back: breaks || alarmed,
        succeeds_early: configuration.and_then(|it| it.early_success_criteria()).is_some_and(|it| it.enable()),
        deployments: service.deployments().iter().map(deployment_of).collect(),
        service_deployments: Vec::new(),
    }
}

/// Whether lifecycle hooks can make a deployment of the service wait.
pub(super) fn has_hooks(service: &types::Service) -> bool {
    service.deployment_configuration().is_some_and(|it| !it.lifecycle_hooks().is_empty())
}

fn deployment_of(deployment: &types::Deployment) -> Deployment {
    Deployment {
        id: deployment.id().unwrap_or_default().to_owned(),
        status: deployment.status().unwrap_or_default().to_owned(),
        task_definition: deployment.task_definition().unwrap_or_default().to_owned(),
        rollout_state: deployment.rollout_state().map(|state| state.as_str().to_owned()),
        rollout_reason: deployment.rollout_state_reason().map(ToOwned::to_owned),
        created_at: time(deployment.created_at()),
        updated_at: time(deployment.updated_at()),
        desired: deployment.desired_count(),
        running: deployment.running_count(),
        failed: deployment.failed_tasks(),
    }
}

pub(super) fn time(time: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::from_millisecond(time.to_millis().ok()?).ok())
}
