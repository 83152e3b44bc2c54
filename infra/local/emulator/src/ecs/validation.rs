//! What ECS refuses in a task definition.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::model::client_error;
use crate::{
    error::AwsError,
    input::{list, text},
};

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

fn check_containers(definition: &Value, volumes: &BTreeSet<&str>) -> Result<(), AwsError> {
    let containers = list(definition, "containerDefinitions");
    if containers.is_empty() {
        return Err(client_error("Container list cannot be empty."));
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
    }
    if containers.iter().all(|container| container["essential"] == false) {
        return Err(client_error("At least one container must be essential."));
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
