//! Services: what is wanted of them, and what is shown.

use serde_json::{Map, Value, json};

use super::{
    Ecs, configuration, controllers, definitions, merge_tags,
    model::{Deployment, Rollout, ServiceRecord, ServiceStatus, State, TaskStatus, bare, client_error, invalid},
    refuse_unknown, wants_tags,
};
use crate::{
    error::AwsError,
    input::{list, text, texts},
};

/// The members of CreateService and UpdateService that a service keeps and shows as they came.
const KEPT: [&str; 16] = [
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
    "availabilityZoneRebalancing",
];

/// Those whose change starts a deployment.
pub(super) const DEPLOYED: [&str; 5] =
    ["networkConfiguration", "platformVersion", "capacityProviderStrategy", "loadBalancers", "serviceRegistries"];

/// What a service may be told on AWS, and does not do here.
const NOT_DONE: [&str; 6] = [
    "clientToken",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "monitoring",
];

impl Ecs {
    pub(super) fn create_service(&self, input: Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(&input, "cluster"))?;
        let name = text(&input, "serviceName").ok_or_else(|| invalid("Service name cannot be empty."))?.to_owned();
        if name.len() > 255 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err(invalid("Service name contains invalid characters."));
        }
        refuse_unknown(&input, &NOT_DONE)?;
        if text(&input, "schedulingStrategy").is_some_and(|strategy| strategy != "REPLICA") {
            return Err(invalid("This region schedules services of the strategy REPLICA only."));
        }
        let key = format!("{cluster}/{name}");
        if state.services.get(&key).is_some_and(|known| known.status != ServiceStatus::Inactive) {
            return Err(invalid("Creation of service was not idempotent."));
        }
        let desired = desired(&input)?.ok_or_else(|| {
            invalid("The desired count is required when the scheduling strategy is REPLICA or not given.")
        })?;
        let mut tags = Vec::new();
        merge_tags(&mut tags, &input);
        let mut service = ServiceRecord::new(cluster, name, desired, tags, self.now());
        service.body = default_body(&input);
        keep(&mut service.body, &input);
        let external = service.controller() == "EXTERNAL";
        let definition = match text(&input, "taskDefinition") {
            Some(_) if external => return Err(invalid(controllers::NO_DEFINITION)),
            None if external => None,
            id => Some(self.usable_definition(&state, id.unwrap_or_default(), &service)?),
        };
        controllers::check_creation(&service)?;
        state.services.insert(key.clone(), service);
        if let Some(definition) = definition {
            self.deploy(&mut state, &key, definition);
        }
        Ok(json!({"service": self.show_service(&state, &key, true)}))
    }

    pub(super) fn update_service(&self, input: Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(&input, "cluster"))?;
        refuse_unknown(&input, &NOT_DONE)?;
        let desired = desired(&input)?;
        let service = state.service_mut(&cluster, text(&input, "service").unwrap_or_default())?;
        if service.status != ServiceStatus::Active {
            return Err(AwsError::client("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        let key = service.key();
        let mut updated = service.clone();
        keep(&mut updated.body, &input);
        controllers::check_update(&updated, &input)?;
        updated.desired = desired.unwrap_or(updated.desired);
        let forced = input["forceNewDeployment"] == true;
        let present = updated.deployments.first().map(|one| one.definition.clone());
        let definition = match (text(&input, "taskDefinition"), &present) {
            (Some(id), _) => Some(self.usable_definition(&state, id, &updated)?),
            // A deployment needs tasks to be started from it, so a deregistered one won't do.
            (None, Some(present)) if forced => Some(self.usable_definition(&state, present, &updated)?),
            (None, _) => present.clone(),
        };
        let service = state.service_mut(&cluster, bare(&key))?;
        let changed = DEPLOYED.iter().any(|member| updated.body.get(*member) != service.body.get(*member));
        *service = updated;
        if let Some(definition) = definition.filter(|one| forced || changed || Some(one) != present.as_ref()) {
            self.deploy(&mut state, &key, definition);
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

    /// The ARN of a revision from which tasks of a service may be started.
    fn usable_definition(&self, state: &State, id: &str, service: &ServiceRecord) -> Result<String, AwsError> {
        let definition = definitions::find(state, id).ok_or_else(|| client_error("TaskDefinition not found."))?;
        if !definition.active {
            return Err(client_error("TaskDefinition is inactive"));
        }
        controllers::check_definition(service, definition)?;
        Ok(self.definition_arn(definition))
    }

    pub(super) fn show_service(&self, state: &State, key: &str, tags: bool) -> Value {
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
        shown["resourceManagementType"] = if service.express { "ECS" } else { "CUSTOMER" }.into();
        if let Some(primary) = service.deployments.first() {
            shown["taskDefinition"] = primary.definition.clone().into();
        }
        self.show_deployments(state, service, &mut shown);
        if tags && !service.tags.is_empty() {
            shown["tags"] = json!(service.tags);
        }
        shown
    }

    /// Deployments are what ECS's own controller makes; others make task sets.
    fn show_deployments(&self, state: &State, service: &ServiceRecord, shown: &mut Value) {
        let numbered = service.deployments.iter().enumerate();
        if service.controller() != "ECS" {
            shown["deployments"] = json!([]);
            shown["taskSets"] = numbered.map(|(at, one)| self.show_task_set(state, service, one, at)).collect();
            return;
        }
        shown["deployments"] = numbered.map(|(at, one)| show_deployment(state, service, one, at)).collect();
        shown["currentServiceRevisions"] = self.show_current_revisions(state, service);
        let begun = service.under_way().filter(|newest| newest.started.is_some());
        if let Some(newest) = begun {
            shown["currentServiceDeployment"] = self.service_deployment_arn(&service.key(), &newest.id).into();
        }
    }

    fn show_task_set(&self, state: &State, service: &ServiceRecord, deployment: &Deployment, at: usize) -> Value {
        let count = |status| state.count(&service.key(), &deployment.id, status);
        let (key, desired) = (service.key(), service.wanted_of(at));
        json!({
            "id": deployment.id, "taskSetArn": self.context.arn("ecs", &format!("task-set/{key}/{}", deployment.id)),
            "serviceArn": self.service_arn(&key), "clusterArn": self.cluster_arn(&service.cluster),
            "startedBy": service.controller(), "status": if at == 0 { "PRIMARY" } else { "ACTIVE" },
            "taskDefinition": deployment.definition, "computedDesiredCount": desired,
            "pendingCount": count(TaskStatus::Pending), "runningCount": count(TaskStatus::Running),
            "createdAt": deployment.created, "updatedAt": deployment.updated,
            "scale": {"value": 100.0, "unit": "PERCENT"},
            "stabilityStatus": if count(TaskStatus::Running) == desired { "STEADY_STATE" } else { "STABILIZING" },
        })
    }
}

fn show_deployment(state: &State, service: &ServiceRecord, deployment: &Deployment, at: usize) -> Value {
    let count = |status| state.count(&service.key(), &deployment.id, status);
    let mut shown = json!({
        "id": deployment.id, "status": if at == 0 { "PRIMARY" } else { "ACTIVE" },
        "taskDefinition": deployment.definition, "desiredCount": service.wanted_of(at),
        "pendingCount": count(TaskStatus::Pending), "runningCount": count(TaskStatus::Running),
        "failedTasks": deployment.failed_tasks, "createdAt": deployment.created, "updatedAt": deployment.updated,
    });
    // The API reference: only returned for services that use the rolling update.
    if !service.shifts_traffic() {
        let rollout = match deployment.rollout {
            Rollout::InProgress => "IN_PROGRESS",
            Rollout::Completed => "COMPLETED",
            Rollout::Failed => "FAILED",
        };
        shown["rolloutState"] = rollout.into();
        shown["rolloutStateReason"] = deployment.reason.clone().into();
    }
    let revision = service.revisions.iter().find(|revision| revision.number == deployment.revision());
    let body = revision.map_or(&service.body, |revision| &revision.body);
    for member in ["launchType", "capacityProviderStrategy", "networkConfiguration", "platformVersion"] {
        if let Some(value) = body.get(member) {
            shown[member] = value.clone();
        }
    }
    if shown["platformVersion"] == "LATEST" {
        shown["platformVersion"] = "1.4.0".into();
        shown["platformFamily"] = "Linux".into();
    }
    shown
}

/// What a service has when its creation does not say otherwise.
fn default_body(input: &Value) -> Map<String, Value> {
    let mut body = json!({
        "loadBalancers": [], "serviceRegistries": [], "placementConstraints": [], "placementStrategy": [],
        "deploymentConfiguration": configuration::defaults(), "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": false, "propagateTags": "NONE", "enableExecuteCommand": false, "launchType": "EC2",
        "availabilityZoneRebalancing": "ENABLED",
    });
    if input["launchType"] == "FARGATE" {
        body["platformVersion"] = "LATEST".into();
        body["platformFamily"] = "Linux".into();
    }
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

/// Takes over what the input says; of the deployment configuration only the members that it names.
fn keep(body: &mut Map<String, Value>, input: &Value) {
    for member in KEPT {
        let Some(value) = input.get(member).filter(|value| !value.is_null()) else { continue };
        match body.get_mut(member) {
            Some(present) if member == "deploymentConfiguration" => configuration::merge(present, value),
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
