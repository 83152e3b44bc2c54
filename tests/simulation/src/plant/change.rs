//! What some planted bugs make of inputs and answers.

use serde_json::{Value, json};

/// How the volumes begin that rollouts make.
const OWN: &str = "wharfinger-";

/// Whether an item that is put is a rollout with a verdict.
pub(super) fn is_verdict(put: &Value) -> bool {
    let state = &put["Item"]["rollout"]["M"]["state"]["S"];
    ["succeeded", "failed", "rolled_back", "superseded"].iter().any(|verdict| state == verdict)
}

/// Leaves out the mounts that rollouts make.
pub(super) fn drop_own_mounts(definition: &mut Value) {
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        if let Some(points) = container["mountPoints"].as_array_mut() {
            points.retain(|point| !is_own(&point["sourceVolume"]));
        }
    }
}

/// Mounts all sites where one alone is to be.
pub(super) fn mount_another(definition: &mut Value) {
    let volumes = definition["volumes"].as_array_mut().into_iter().flatten();
    for volume in volumes.filter(|volume| is_own(&volume["name"])) {
        volume["efsVolumeConfiguration"]["rootDirectory"] = json!("/sites");
    }
}

fn is_own(volume: &Value) -> bool {
    volume.as_str().is_some_and(|name| name.starts_with(OWN))
}

/// Leaves the rollout that locks a window out of it, and lets what runs pass for compared.
pub(super) fn drop_lock(read: &mut Value) {
    if read["Item"]["rollout"]["S"].is_string() {
        read["Item"]["rollout"] = json!({ "NULL": true });
        if read["Item"]["compared"]["M"].is_object() {
            read["Item"]["compared"]["M"]["at"] = json!({ "S": "2100-01-01T00:00:00Z" });
        }
    }
}

/// The place in a list of the first record that this version can't read.
pub(super) fn first_unreadable(listed: &Value) -> Option<usize> {
    listed["Items"].as_array()?.iter().position(|item| item.to_string().contains(r#""of_a_later_version":{"BOOL""#))
}

/// Leaves out what a list has from the first record on that this version can't read.
pub(super) fn end_at_the_unreadable(listed: &mut Value) {
    if let (Some(first), Some(items)) = (first_unreadable(listed), listed["Items"].as_array_mut()) {
        items.truncate(first);
        listed["Count"] = json!(first);
    }
}

/// The answer to a batch of messages that says that all failed.
pub(super) fn all_failed(event: &[u8]) -> Value {
    let event: Value = serde_json::from_slice(event).unwrap_or_default();
    let records = event["Records"].as_array().into_iter().flatten();
    let failures = records.map(|record| json!({ "itemIdentifier": record["messageId"] }));
    json!({ "batchItemFailures": failures.collect::<Vec<_>>() })
}
