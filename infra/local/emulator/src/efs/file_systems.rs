//! File systems.

use std::{fs, io, path::Path};

use serde_json::{Value, json};

use super::{
    Efs, MARKERS,
    model::{FileSystem, State, bare, lifecycle, name},
    paged, refuse_unknown,
};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, random_id},
    input::{list, text},
};

impl Efs {
    /// Adds a file system with an id of one's own, and makes its directory. It is available at once.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn add_file_system(&self, id: &str, input: &Value) -> io::Result<()> {
        self.make_file_system(id, input, 0.0)
    }

    fn make_file_system(&self, id: &str, input: &Value, available: f64) -> io::Result<()> {
        fs::create_dir_all(self.context.file_system(id))?;
        let or = |member: &str, default: &str| text(input, member).unwrap_or(default).to_owned();
        let file_system = FileSystem {
            id: id.to_owned(),
            creation_token: or("CreationToken", id),
            created: self.context.clock.epoch_seconds(),
            encrypted: input["Encrypted"].as_bool().unwrap_or(false),
            performance_mode: or("PerformanceMode", "generalPurpose"),
            throughput_mode: or("ThroughputMode", "bursting"),
            provisioned: input["ProvisionedThroughputInMibps"].as_f64(),
            available,
            lifecycle: vec![],
            backup: input["Backup"].as_bool().unwrap_or(false),
            tags: list(input, "Tags").to_vec(),
        };
        self.state().file_systems.insert(id.to_owned(), file_system);
        Ok(())
    }

    /// No file system has a policy here: none can be put, as mounts would not keep to it.
    pub(super) fn describe_policy(&self, id: &str) -> Result<Value, AwsError> {
        self.state().file_system(id)?;
        let message = format!("No file system policy found for file system {id}.");
        Err(AwsError::client("PolicyNotFound", message).with_status(404))
    }

    pub(super) fn create_file_system(&self, input: &Value) -> Result<Value, AwsError> {
        let token = text(input, "CreationToken")
            .ok_or_else(|| AwsError::client("BadRequest", "A file system needs a CreationToken."))?;
        refuse_unknown(input, &["AvailabilityZoneName", "KmsKeyId"])?;
        check_throughput(input)?;
        if let Some(known) = self.state().file_systems.values().find(|known| known.creation_token == token) {
            let message = format!("File system '{}' already exists with creation token '{token}'", known.id);
            let error = AwsError::client("FileSystemAlreadyExists", message).with_status(409);
            return Err(error.with("FileSystemId", known.id.as_str()));
        }
        let id = random_id("fs-");
        self.make_file_system(&id, input, self.available_later()).map_err(|why| {
            let message = format!("The directory of {id} can't be made: {why}");
            AwsError::client("InternalServerError", message).with_status(500)
        })?;
        let state = self.state();
        Ok(self.show_file_system(&state, state.file_system(&id)?))
    }

    pub(super) fn describe_file_systems(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let wanted = text(input, "FileSystemId");
        if let Some(id) = wanted {
            state.file_system(id)?;
        }
        let token = text(input, "CreationToken");
        let chosen = state.file_systems.values().filter(|one| {
            wanted.is_none_or(|id| bare(id) == one.id) && token.is_none_or(|token| token == one.creation_token)
        });
        let shown = chosen.map(|one| (one.id.clone(), self.show_file_system(&state, one)));
        paged("FileSystems", shown, input, MARKERS)
    }

    pub(super) fn delete_file_system(&self, id: &str) -> Result<Value, AwsError> {
        let mut state = self.state();
        let id = state.file_system(id)?.id.clone();
        if state.mount_targets_of(&id).next().is_some() {
            let message = format!("File system '{id}' is in use: delete its mount targets first.");
            return Err(AwsError::client("FileSystemInUse", message).with_status(409));
        }
        state.file_systems.remove(&id);
        state.access_points.retain(|_, point| point.file_system != id);
        if let Err(why) = fs::remove_dir_all(self.context.file_system(&id)) {
            tracing::warn!(file_system = id, %why, "The directory of a deleted file system stays");
        }
        Ok(Value::Null)
    }

    fn show_file_system(&self, state: &State, one: &FileSystem) -> Value {
        let bytes = size(&self.context.file_system(&one.id));
        let mut shown = json!({
            "FileSystemId": one.id, "OwnerId": ACCOUNT, "CreationToken": one.creation_token,
            "FileSystemArn": self.context.arn("elasticfilesystem", &format!("file-system/{}", one.id)),
            "CreationTime": one.created, "LifeCycleState": lifecycle(one.available, self.now()), "Encrypted": one.encrypted,
            "NumberOfMountTargets": state.mount_targets_of(&one.id).count(),
            "SizeInBytes": {"Value": bytes, "ValueInStandard": bytes, "ValueInIA": 0},
            "PerformanceMode": one.performance_mode, "ThroughputMode": one.throughput_mode, "Tags": one.tags,
        });
        if let Some(throughput) = one.provisioned {
            shown["ProvisionedThroughputInMibps"] = throughput.into();
        }
        if let Some(name) = name(&one.tags) {
            shown["Name"] = name.into();
        }
        shown
    }
}

/// Refuses modes that EFS does not have, and a throughput without the mode that provisions it.
fn check_throughput(input: &Value) -> Result<(), AwsError> {
    let bad = |message: &str| Err(AwsError::client("BadRequest", message));
    if !matches!(text(input, "PerformanceMode"), None | Some("generalPurpose" | "maxIO")) {
        return bad("PerformanceMode must be generalPurpose or maxIO.");
    }
    match (text(input, "ThroughputMode"), input["ProvisionedThroughputInMibps"].as_f64()) {
        (None | Some("bursting" | "elastic"), None) => Ok(()),
        (Some("provisioned"), Some(throughput)) if throughput >= 1.0 => Ok(()),
        (Some("provisioned"), _) => bad("ThroughputMode provisioned needs ProvisionedThroughputInMibps, at least 1."),
        (_, Some(_)) => bad("ProvisionedThroughputInMibps is of ThroughputMode provisioned alone."),
        _ => bad("ThroughputMode must be bursting, provisioned or elastic."),
    }
}

/// The bytes in the files below a directory. Symbolic links count nothing.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) if metadata.is_file() => metadata.len(),
            _ => 0,
        })
        .sum()
}
