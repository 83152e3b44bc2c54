//! Task definitions. What is registered is kept as it came, so that a copy of it loses nothing.

use serde_json::{Map, Value, json};

use super::{
    Ecs, fargate,
    model::{Definition, State, bare, client_error},
    paged, validation, wants_tags,
};
use crate::{
    error::AwsError,
    ids::ACCOUNT,
    input::{list, text},
};

impl Ecs {
    pub(super) fn register_task_definition(&self, input: Value) -> Result<Value, AwsError> {
        let Value::Object(mut body) = input else { return Err(client_error("A task definition is an object.")) };
        validation::check(&body)?;
        let tags = body.remove("tags").and_then(|tags| tags.as_array().cloned()).unwrap_or_default();
        fill_in(&mut body);
        let family = body.get("family").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut state = self.state();
        let revisions = state.families.entry(family.clone()).or_default();
        let definition = Definition {
            family,
            revision: revisions.last().map_or(1, |last| last.revision + 1),
            active: true,
            body,
            registered: self.now(),
            deregistered: None,
            tags,
        };
        let shown = json!({"taskDefinition": self.show(&definition), "tags": definition.tags});
        revisions.push(definition);
        Ok(shown)
    }

    pub(super) fn describe_task_definition(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let id = text(input, "taskDefinition").unwrap_or_default();
        let definition = find(&state, id).ok_or_else(|| client_error("Unable to describe task definition."))?;
        let mut answer = json!({"taskDefinition": self.show(definition)});
        if wants_tags(input) {
            answer["tags"] = json!(definition.tags);
        }
        Ok(answer)
    }

    pub(super) fn deregister_task_definition(&self, input: &Value) -> Result<Value, AwsError> {
        let id = bare(text(input, "taskDefinition").unwrap_or_default());
        let Some((family, revision)) = id.split_once(':') else {
            return Err(client_error("Invalid revision number. Number: null"));
        };
        let mut state = self.state();
        let revisions = state.families.get_mut(family).into_iter().flatten();
        let definition = revisions
            .into_iter()
            .find(|one| one.revision.to_string() == revision)
            .ok_or_else(|| client_error("The specified task definition does not exist."))?;
        definition.active = false;
        definition.deregistered.get_or_insert(self.context.clock.epoch_seconds());
        Ok(json!({"taskDefinition": self.show(definition)}))
    }

    pub(super) fn list_task_definitions(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let active = text(input, "status").unwrap_or("ACTIVE") == "ACTIVE";
        let prefix = text(input, "familyPrefix");
        let families = state.families.iter().filter(|(family, _)| prefix.is_none_or(|prefix| prefix == *family));
        let chosen = families.flat_map(|(_, revisions)| revisions).filter(|one| one.active == active);
        let mut arns: Vec<String> = chosen.map(|one| self.definition_arn(one)).collect();
        if text(input, "sort") == Some("DESC") {
            arns.reverse();
        }
        paged("taskDefinitionArns", arns, input, 100)
    }

    pub(super) fn definition_arn(&self, definition: &Definition) -> String {
        self.context.arn("ecs", &format!("task-definition/{}:{}", definition.family, definition.revision))
    }

    fn show(&self, definition: &Definition) -> Value {
        let mut shown = definition.body.clone();
        let mut put = |member: &str, value: Value| shown.insert(member.to_owned(), value);
        put("taskDefinitionArn", self.definition_arn(definition).into());
        put("revision", definition.revision.into());
        put("status", if definition.active { "ACTIVE" } else { "INACTIVE" }.into());
        put("registeredAt", definition.registered.into());
        put("registeredBy", format!("arn:aws:iam::{ACCOUNT}:root").into());
        put("requiresAttributes", required_attributes(&definition.body));
        put("compatibilities", json!(compatibilities(&definition.body)));
        if let Some(at) = definition.deregistered {
            put("deregisteredAt", at.into());
        }
        Value::Object(shown)
    }
}

/// The revision with this ARN, `family:revision`, or the newest active one of a family.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Option<&'a Definition> {
    match bare(id).split_once(':') {
        Some((family, revision)) => state.families.get(family)?.iter().find(|one| one.revision.to_string() == revision),
        None => state.families.get(bare(id))?.iter().rev().find(|one| one.active),
    }
}

/// Where a task definition can run.
pub(super) fn compatibilities(body: &Map<String, Value>) -> &'static [&'static str] {
    let body = Value::Object(body.clone());
    match text(&body, "networkMode") {
        Some("awsvpc") if fargate::has_size(&body) => &["EC2", "FARGATE"],
        Some("awsvpc") => &["EC2"],
        _ => &["EXTERNAL", "EC2"],
    }
}

/// Fills in what ECS fills in, so that a description looks the same as on AWS.
fn fill_in(body: &mut Map<String, Value>) {
    for (member, whole) in [("cpu", "vcpu"), ("memory", "gb")] {
        let units = fargate::units(&Value::Object(body.clone()), member, whole);
        if let Some(units) = units {
            body.insert(member.to_owned(), units.to_string().into());
        }
    }
    let awsvpc = body.get("networkMode").is_some_and(|mode| mode == "awsvpc");
    let volumes = body.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten();
    for efs in volumes.filter_map(|volume| volume.get_mut("efsVolumeConfiguration")?.as_object_mut()) {
        efs.entry("rootDirectory").or_insert_with(|| json!("/"));
    }
    for member in ["volumes", "placementConstraints"] {
        body.entry(member).or_insert_with(|| json!([]));
    }
    let Some(Value::Array(containers)) = body.get_mut("containerDefinitions") else { return };
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        container.entry("cpu").or_insert_with(|| json!(0));
        container.entry("essential").or_insert_with(|| json!(true));
        for member in ["portMappings", "environment", "mountPoints", "volumesFrom", "systemControls"] {
            container.entry(member).or_insert_with(|| json!([]));
        }
        let ports = container.get_mut("portMappings").and_then(Value::as_array_mut).into_iter().flatten();
        for port in ports.filter_map(Value::as_object_mut) {
            let host = if awsvpc { port.get("containerPort").cloned().unwrap_or_default() } else { json!(0) };
            port.entry("hostPort").or_insert(host);
            port.entry("protocol").or_insert_with(|| json!("tcp"));
        }
    }
}

/// What a container instance must be able to do; here only what EFS volumes and task roles ask.
fn required_attributes(body: &Map<String, Value>) -> Value {
    let body = Value::Object(body.clone());
    let mut names = vec!["com.amazonaws.ecs.capability.docker-remote-api.1.18"];
    if list(&body, "volumes").iter().any(|volume| volume.get("efsVolumeConfiguration").is_some()) {
        names.push("ecs.capability.efs");
    }
    if text(&body, "taskRoleArn").is_some() {
        names.push("com.amazonaws.ecs.capability.task-iam-role");
    }
    names.into_iter().map(|name| json!({"name": name})).collect()
}
