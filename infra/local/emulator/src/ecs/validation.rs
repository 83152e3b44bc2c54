//! What ECS refuses in a task definition.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    fargate,
    model::{client_error, invalid},
};
use crate::{
    error::AwsError,
    input::{list, text},
};

/// The longest task definition, in bytes of its JSON.
const LONGEST: usize = 64 * 1024;

/// The most containers of a task, and the most tags of a resource.
const MOST_CONTAINERS: usize = 10;
const MOST_TAGS: usize = 50;

/// Checks a task definition before it is registered.
///
/// # Errors
/// `ClientException`, as ECS words it where its words are known.
pub(super) fn check(body: &Map<String, Value>) -> Result<(), AwsError> {
    let definition = Value::Object(body.clone());
    let family = text(&definition, "family").ok_or_else(|| client_error("Family should not be null or empty."))?;
    if family.len() > 255 || !family.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        let message = "Family contains invalid characters: letters, numbers, hyphens and underscores are allowed, \
                       255 at most.";
        return Err(client_error(message));
    }
    let length = definition.to_string().len();
    if length > LONGEST {
        return Err(client_error(format!("Actual length: '{length}'. Max allowed length is '{LONGEST}' bytes.")));
    }
    check_tags(list(&definition, "tags"))?;
    if let Some(mode) = text(&definition, "networkMode")
        && !matches!(mode, "bridge" | "host" | "awsvpc" | "none")
    {
        return Err(client_error(format!("Invalid network mode '{mode}': use bridge, host, awsvpc or none.")));
    }
    fargate::check(&definition)?;
    let mut volumes = BTreeSet::new();
    for volume in list(&definition, "volumes") {
        let name = text(volume, "name").ok_or_else(|| client_error("Volume name should not be null or empty."))?;
        if !volumes.insert(name) {
            return Err(client_error(format!("Duplicate volume name '{name}'.")));
        }
        if let Some(configuration) = volume.get("efsVolumeConfiguration").filter(|one| one.is_object()) {
            check_efs(name, configuration)?;
        }
    }
    check_containers(&definition, &volumes)
}

fn check_tags(tags: &[Value]) -> Result<(), AwsError> {
    if tags.len() > MOST_TAGS {
        return Err(invalid(format!("The number of tags exceeds the maximum of {MOST_TAGS}.")));
    }
    let mut keys = BTreeSet::new();
    for tag in tags {
        let key = text(tag, "key").unwrap_or_default();
        if !(1..=128).contains(&key.chars().count()) || key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid(format!("Invalid tag key '{key}'.")));
        }
        if text(tag, "value").is_some_and(|value| value.chars().count() > 256) {
            return Err(invalid(format!("The value of the tag '{key}' is too long.")));
        }
        if !keys.insert(key) {
            return Err(invalid(format!("Duplicate tag key '{key}'.")));
        }
    }
    Ok(())
}

fn check_containers(definition: &Value, volumes: &BTreeSet<&str>) -> Result<(), AwsError> {
    let containers = list(definition, "containerDefinitions");
    if containers.is_empty() {
        return Err(client_error("Container list cannot be empty."));
    }
    if containers.len() > MOST_CONTAINERS {
        return Err(client_error(format!("A task can have at most {MOST_CONTAINERS} containers.")));
    }
    let mut names = BTreeSet::new();
    for container in containers {
        let missing = |member: &str| client_error(format!("Container.{member} should not be null or empty."));
        let name = text(container, "name").ok_or_else(|| missing("name"))?;
        text(container, "image").ok_or_else(|| missing("image"))?;
        if !names.insert(name) {
            return Err(client_error(format!("Duplicate container name '{name}'.")));
        }
        let sized = |value: &Value, member: &str| value.get(member).is_some_and(|value| !value.is_null());
        if !sized(definition, "memory") && !sized(container, "memory") && !sized(container, "memoryReservation") {
            let message = format!(
                "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be \
                 specified."
            );
            return Err(client_error(message));
        }
        check_mount_points(container, volumes)?;
        check_ports(definition, container)?;
    }
    if containers.iter().all(|container| container["essential"] == false) {
        return Err(client_error("At least one container must be essential."));
    }
    Ok(())
}

fn check_ports(definition: &Value, container: &Value) -> Result<(), AwsError> {
    let own = |port: &Value| {
        let host = port["hostPort"].as_u64().filter(|host| *host != 0);
        host.is_none_or(|host| Some(host) == port["containerPort"].as_u64())
    };
    if definition["networkMode"] == "awsvpc" && !list(container, "portMappings").iter().all(own) {
        let message = "When networkMode=awsvpc, the host ports and container ports in port mappings must match.";
        return Err(client_error(message));
    }
    Ok(())
}

fn check_mount_points(container: &Value, volumes: &BTreeSet<&str>) -> Result<(), AwsError> {
    let mut paths = BTreeSet::new();
    for point in list(container, "mountPoints") {
        let volume = text(point, "sourceVolume").unwrap_or_default();
        if !volumes.contains(volume) {
            return Err(client_error(format!("Unknown volume '{volume}'.")));
        }
        let path = text(point, "containerPath")
            .ok_or_else(|| client_error("MountPoint.containerPath should not be null or empty."))?;
        if !paths.insert(path) {
            return Err(client_error(format!("Duplicate mount point '{path}'.")));
        }
    }
    Ok(())
}

/// The rules of `efsVolumeConfiguration`, from the ECS API reference.
fn check_efs(volume: &str, configuration: &Value) -> Result<(), AwsError> {
    let refuse = |why: &str| Err(client_error(format!("Invalid EFS volume configuration of volume '{volume}': {why}")));
    let id = text(configuration, "fileSystemId").unwrap_or_default();
    if !id.strip_prefix("fs-").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return refuse("fileSystemId must be the id of an EFS file system.");
    }
    let transit = text(configuration, "transitEncryption").unwrap_or("DISABLED");
    let authorization = &configuration["authorizationConfig"];
    let iam = text(authorization, "iam").unwrap_or("DISABLED");
    for (member, value) in [("transitEncryption", transit), ("iam", iam)] {
        if !matches!(value, "ENABLED" | "DISABLED") {
            return refuse(&format!("{member} must be ENABLED or DISABLED."));
        }
    }
    let root = text(configuration, "rootDirectory").unwrap_or("/");
    if !root.starts_with('/') {
        return refuse("rootDirectory must be an absolute path.");
    }
    if text(authorization, "accessPointId").is_some() {
        if root != "/" {
            return refuse("rootDirectory must be omitted or set to / when an access point is specified.");
        }
        if transit != "ENABLED" {
            return refuse("transitEncryption must be ENABLED when an access point is specified.");
        }
    }
    if iam == "ENABLED" && transit != "ENABLED" {
        return refuse("transitEncryption must be ENABLED when IAM authorization is enabled.");
    }
    Ok(())
}
