//! What a service's deployment controller lets be done: ECS's own deploys by UpdateService, CodeDeploy and external ones
//! by calls of their own.

use serde_json::{Value, json};

use super::{
    configuration::Configuration,
    definitions,
    model::{Definition, ServiceRecord, invalid},
};
use crate::{
    error::AwsError,
    input::{given, list},
};

/// The answer to a task definition for a service whose task sets have theirs.
pub(super) const NO_DEFINITION: &str =
    "Task definition cannot be specified for services with an EXTERNAL deployment controller.";

/// What UpdateService changes of a service that others deploy, and starts a deployment of one that ECS does.
const DEPLOYING: [(&str, &str); 6] = [
    ("taskDefinition", "update task definition"),
    ("forceNewDeployment", "force a new deployment"),
    ("networkConfiguration", "update network configuration"),
    ("platformVersion", "update platform version"),
    ("loadBalancers", "update load balancers"),
    ("serviceRegistries", "update service registries"),
];

/// Checks a service that is to be created.
///
/// # Errors
/// `InvalidParameterException`.
pub(super) fn check_creation(service: &ServiceRecord) -> Result<(), AwsError> {
    let controller = service.controller();
    if !matches!(controller, "ECS" | "CODE_DEPLOY" | "EXTERNAL") {
        return Err(invalid(format!("Invalid deployment controller type {controller}.")));
    }
    let body = Value::Object(service.body.clone());
    if controller == "CODE_DEPLOY" && list(&body, "loadBalancers").is_empty() {
        return Err(invalid("A load balancer is required for services with a CODE_DEPLOY deployment controller."));
    }
    check_configuration(service)
}

/// Checks what UpdateService is asked of a service, which has already what it asks for.
///
/// # Errors
/// `InvalidParameterException`.
pub(super) fn check_update(service: &ServiceRecord, input: &Value) -> Result<(), AwsError> {
    let (controller, instead) = match service.controller() {
        "CODE_DEPLOY" => ("a CODE_DEPLOY", "Use AWS CodeDeploy to trigger a new deployment."),
        "EXTERNAL" => ("an EXTERNAL", "Use CreateTaskSet to start a new deployment."),
        _ => return check_configuration(service),
    };
    let refused = DEPLOYING.into_iter().find(|(member, _)| given(input, &[*member]).is_some());
    if let Some((_, what)) = refused {
        return Err(invalid(format!(
            "Unable to {what} on services with {controller} deployment controller. {instead}"
        )));
    }
    check_configuration(service)
}

fn check_configuration(service: &ServiceRecord) -> Result<(), AwsError> {
    let value = service.body.get("deploymentConfiguration").unwrap_or(&Value::Null);
    Configuration::read(value, service.controller()).map(drop)
}

/// Checks whether a service can run a task definition.
///
/// # Errors
/// `InvalidParameterException`.
pub(super) fn check_definition(service: &ServiceRecord, definition: &Definition) -> Result<(), AwsError> {
    let body = Value::Object(definition.body.clone());
    let awsvpc = body["networkMode"] == "awsvpc";
    let network = service.body.get("networkConfiguration").is_some_and(Value::is_object);
    if awsvpc && !network {
        let message = "Network Configuration must be provided when networkMode 'awsvpc' is specified.";
        return Err(invalid(message));
    }
    if !awsvpc && network {
        let message = "Network Configuration is not valid for the given networkMode of this task definition.";
        return Err(invalid(message));
    }
    let fargate = service.body.get("launchType") == Some(&json!("FARGATE"));
    if fargate && !definitions::compatibilities(&definition.body).contains(&"FARGATE") {
        return Err(invalid("Task definition does not support launch_type FARGATE."));
    }
    Ok(())
}
