//! Services: what is wanted of them, and what is shown.

use serde_json::{Map, Value, json};

use super::{
    Ecs, definitions, merge_tags,
    model::{Deployment, Rollout, ServiceRecord, ServiceStatus, State, TaskStatus, bare, client_error, invalid},
    wants_tags,
};
use crate::{
    error::AwsError,
    input::{list, text, texts},
};

/// The members of CreateService and UpdateService that a service keeps and shows as they came.
const KEPT: [&str; 15] = [
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "role",
    "deploymentConfiguration",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "deploymentController",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
];

/// Those whose change starts a deployment.
const DEPLOYED: [&str; 4] = ["networkConfiguration", "platformVersion", "capacityProviderStrategy", "loadBalancers"];

impl Ecs {
    pub(super) fn create_service(&self, input: Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(&input, "cluster"))?;
        let name = text(&input, "serviceName").ok_or_else(|| invalid("Service name cannot be empty."))?.to_owned();
        if name.len() > 255 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err(invalid("Service name contains invalid characters."));
        }
        let definition = self.usable_definition(&state, text(&input, "taskDefinition").unwrap_or_default())?;
        let desired = desired(&input)?.ok_or_else(|| {
            invalid("The desired count is required when the scheduling strategy is REPLICA or not given.")
        })?;
        let key = format!("{cluster}/{name}");
        if state.services.get(&key).is_some_and(|known| known.status != ServiceStatus::Inactive) {
            return Err(invalid("Creation of service was not idempotent."));
        }
        let now = self.now();
        let mut body = default_body();
        keep(&mut body, &input);
        let mut tags = Vec::new();
        merge_tags(&mut tags, &input);
        let service = ServiceRecord {
            cluster,
            name,
            status: ServiceStatus::Active,
            desired,
            body,
            created: now,
            deployments: vec![],
            last_good: None,
            events: vec![],
            tags,
        };
        state.services.insert(key.clone(), service);
        self.deploy(&mut state, &key, Deployment::new(definition, now));
        Ok(json!({"service": self.show_service(&state, &key, true)}))
    }

    pub(super) fn update_service(&self, input: Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(&input, "cluster"))?;
        let wanted = text(&input, "taskDefinition").map(str::to_owned);
        let desired = desired(&input)?;
        let service = state.service_mut(&cluster, text(&input, "service").unwrap_or_default())?;
        if service.status != ServiceStatus::Active {
            return Err(AwsError::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        let (key, present) = (service.key(), service.deployments.first().map(|one| one.definition.clone()));
        let definition = match (wanted, present) {
            (Some(id), _) => self.usable_definition(&state, &id)?,
            // A deployment needs tasks to be started from it, so a deregistered one won't do.
            (None, Some(present)) if input["forceNewDeployment"] == true => self.usable_definition(&state, &present)?,
            (None, present) => present.unwrap_or_default(),
        };
        let service = state.service_mut(&cluster, bare(&key))?;
        let changed = DEPLOYED.iter().any(|member| {
            input.get(*member).is_some_and(|value| !value.is_null() && service.body.get(*member) != Some(value))
        });
        keep(&mut service.body, &input);
        service.desired = desired.unwrap_or(service.desired);
        let differs = service.deployments.first().is_none_or(|primary| primary.definition != definition);
        if differs || changed || input["forceNewDeployment"] == true {
            self.deploy(&mut state, &key, Deployment::new(definition, self.now()));
        }
        Ok(json!({"service": self.show_service(&state, &key, true)}))
    }

    pub(super) fn delete_service(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(input, "cluster"))?;
        let service = state.service_mut(&cluster, text(input, "service").unwrap_or_default())?;
        if service.status == ServiceStatus::Inactive {
            return Err(AwsError::client("ServiceNotFoundException", "Service not found."));
        }
        if service.desired > 0 && input["force"] != true {
            return Err(invalid("The service cannot be stopped while it is scaled above 0."));
        }
        service.desired = 0;
        service.status = ServiceStatus::Draining;
        let key = service.key();
        Ok(json!({"service": self.show_service(&state, &key, true)}))
    }

    pub(super) fn describe_services(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let cluster = state.cluster(text(input, "cluster"))?;
        let wanted = texts(input, "services");
        if wanted.is_empty() {
            return Err(invalid("Services cannot be empty."));
        }
        if wanted.len() > 10 {
            return Err(invalid("Services cannot contain more than 10 elements."));
        }
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for id in wanted {
            let key = format!("{cluster}/{}", bare(&id));
            if state.services.contains_key(&key) {
                services.push(self.show_service(&state, &key, wants_tags(input)));
            } else {
                failures.push(json!({"arn": self.service_arn(&key), "reason": "MISSING"}));
            }
        }
        Ok(json!({"services": services, "failures": failures}))
    }

    pub(super) fn service_arn(&self, key: &str) -> String {
        self.context.arn("ecs", &format!("service/{key}"))
    }

    /// The ARN of a revision from which tasks may be started.
    fn usable_definition(&self, state: &State, id: &str) -> Result<String, AwsError> {
        let definition = definitions::find(state, id).ok_or_else(|| client_error("TaskDefinition not found."))?;
        if !definition.active {
            return Err(client_error("TaskDefinition is inactive"));
        }
        Ok(self.definition_arn(definition))
    }

    fn show_service(&self, state: &State, key: &str, tags: bool) -> Value {
        let Some(service) = state.services.get(key) else { return Value::Null };
        let count = |status| state.tasks_of(key).filter(|task| task.status == status).count();
        let mut shown = Value::Object(service.body.clone());
        shown["serviceArn"] = self.service_arn(key).into();
        shown["serviceName"] = service.name.clone().into();
        shown["clusterArn"] = self.cluster_arn(&service.cluster).into();
        shown["status"] = format!("{:?}", service.status).to_uppercase().into();
        shown["desiredCount"] = service.desired.into();
        shown["runningCount"] = count(TaskStatus::Running).into();
        shown["pendingCount"] = count(TaskStatus::Pending).into();
        shown["createdAt"] = service.created.into();
        shown["events"] = json!(service.events);
        shown["schedulingStrategy"] = "REPLICA".into();
        if let Some(primary) = service.deployments.first() {
            shown["taskDefinition"] = primary.definition.clone().into();
        }
        let deployments = service.deployments.iter().enumerate();
        shown["deployments"] =
            deployments.map(|(index, deployment)| show_deployment(state, service, deployment, index == 0)).collect();
        if tags && !service.tags.is_empty() {
            shown["tags"] = json!(service.tags);
        }
        shown
    }
}

fn show_deployment(state: &State, service: &ServiceRecord, deployment: &Deployment, primary: bool) -> Value {
    let count = |status| state.count(&service.key(), &deployment.id, status);
    let rollout = match deployment.rollout {
        Rollout::InProgress => "IN_PROGRESS",
        Rollout::Completed => "COMPLETED",
        Rollout::Failed => "FAILED",
    };
    let mut shown = json!({
        "id": deployment.id, "status": if primary { "PRIMARY" } else { "ACTIVE" },
        "taskDefinition": deployment.definition, "desiredCount": if primary { service.desired } else { 0 },
        "pendingCount": count(TaskStatus::Pending), "runningCount": count(TaskStatus::Running),
        "failedTasks": deployment.failed_tasks, "createdAt": deployment.created, "updatedAt": deployment.updated,
        "rolloutState": rollout, "rolloutStateReason": deployment.reason,
    });
    for member in ["launchType", "networkConfiguration", "platformVersion"] {
        if let Some(value) = service.body.get(member) {
            shown[member] = value.clone();
        }
    }
    shown
}

/// What a service has when its creation does not say otherwise.
fn default_body() -> Map<String, Value> {
    let breaker = json!({"enable": false, "rollback": false});
    let body = json!({
        "loadBalancers": [], "serviceRegistries": [], "placementConstraints": [], "placementStrategy": [],
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": breaker, "maximumPercent": 200, "minimumHealthyPercent": 100,
        },
        "deploymentController": {"type": "ECS"}, "enableECSManagedTags": false, "propagateTags": "NONE",
        "enableExecuteCommand": false, "launchType": "EC2",
    });
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

/// Takes over what the input says; of the deployment configuration only the members that it names.
fn keep(body: &mut Map<String, Value>, input: &Value) {
    for member in KEPT {
        let Some(value) = input.get(member).filter(|value| !value.is_null()) else { continue };
        match (body.get_mut(member), value) {
            (Some(Value::Object(present)), Value::Object(value)) if member == "deploymentConfiguration" => {
                present.extend(value.clone());
            }
            _ => {
                body.insert(member.to_owned(), value.clone());
            }
        }
    }
    if !list(input, "capacityProviderStrategy").is_empty() {
        body.remove("launchType");
    }
}

fn desired(input: &Value) -> Result<Option<usize>, AwsError> {
    match input.get("desiredCount").filter(|count| !count.is_null()) {
        None => Ok(None),
        Some(count) => match count.as_u64().and_then(|count| usize::try_from(count).ok()) {
            Some(count) if count <= 5000 => Ok(Some(count)),
            _ => Err(invalid("The desired count must be between 0 and 5000.")),
        },
    }
}
