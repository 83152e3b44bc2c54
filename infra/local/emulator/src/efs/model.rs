//! What EFS keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::AwsError;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub file_systems: BTreeMap<String, FileSystem>,
    pub mount_targets: BTreeMap<String, MountTarget>,
    pub access_points: BTreeMap<String, AccessPoint>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FileSystem {
    pub id: String,
    pub creation_token: String,
    /// Epoch seconds.
    pub created: f64,
    pub encrypted: bool,
    pub performance_mode: String,
    pub throughput_mode: String,
    /// Of the mode `provisioned`, in MiB/s.
    #[serde(default)]
    pub provisioned: Option<f64>,
    /// When it becomes available, in epoch seconds.
    #[serde(default)]
    pub available: f64,
    pub lifecycle: Vec<Value>,
    pub backup: bool,
    pub tags: Vec<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MountTarget {
    pub id: String,
    pub file_system: String,
    /// The network interface that it has in its subnet.
    pub interface: String,
    /// When it becomes available, in epoch seconds.
    #[serde(default)]
    pub available: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccessPoint {
    pub id: String,
    pub client_token: String,
    pub file_system: String,
    pub posix_user: Option<Value>,
    pub root: String,
    /// With it, the first mount makes the root directory.
    pub creation_info: Option<Value>,
    /// When it becomes available, in epoch seconds.
    #[serde(default)]
    pub available: f64,
    pub tags: Vec<Value>,
}

impl State {
    pub(super) fn file_system(&self, id: &str) -> Result<&FileSystem, AwsError> {
        self.file_systems.get(bare(id)).ok_or_else(|| no_file_system(id))
    }

    /// A file system in which something may be made.
    pub(super) fn usable_file_system(&self, id: &str, now: f64) -> Result<&FileSystem, AwsError> {
        let file_system = self.file_system(id)?;
        if file_system.available <= now {
            return Ok(file_system);
        }
        let message = format!("File system '{id}' is in the state creating, and not available.");
        Err(AwsError::client("IncorrectFileSystemLifeCycleState", message).with_status(409))
    }

    pub(super) fn access_point(&self, id: &str) -> Result<&AccessPoint, AwsError> {
        self.access_points.get(bare(id)).ok_or_else(|| {
            let message = format!("Access point '{id}' does not exist.");
            AwsError::client("AccessPointNotFound", message).with_status(404)
        })
    }

    pub(super) fn mount_target(&self, id: &str) -> Result<&MountTarget, AwsError> {
        self.mount_targets.get(id).ok_or_else(|| {
            let message = format!("Mount target '{id}' does not exist.");
            AwsError::client("MountTargetNotFound", message).with_status(404)
        })
    }

    pub(super) fn mount_targets_of<'a>(&'a self, file_system: &'a str) -> impl Iterator<Item = &'a MountTarget> {
        self.mount_targets.values().filter(move |target| target.file_system == file_system)
    }

    pub(super) fn tags_of(&mut self, id: &str) -> Result<&mut Vec<Value>, AwsError> {
        if bare(id).starts_with("fsap-") {
            self.access_point(id)?;
        } else {
            self.file_system(id)?;
        }
        let access_point = self.access_points.get_mut(bare(id)).map(|point| &mut point.tags);
        let file_system = self.file_systems.get_mut(bare(id)).map(|one| &mut one.tags);
        access_point.or(file_system).ok_or_else(|| no_file_system(id))
    }
}

/// The state of what becomes available at some time.
pub(super) fn lifecycle(available: f64, now: f64) -> &'static str {
    if available <= now { "available" } else { "creating" }
}

/// The id in an ARN, or the id itself.
pub(super) fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

fn no_file_system(id: &str) -> AwsError {
    AwsError::client("FileSystemNotFound", format!("File system '{id}' does not exist.")).with_status(404)
}

/// Puts tags over those with the same keys.
pub(super) fn merge_tags(tags: &mut Vec<Value>, added: &[Value]) {
    for tag in added {
        tags.retain(|old| old["Key"] != tag["Key"]);
        tags.push(tag.clone());
    }
}

/// The value of the tag `Name`, which EFS shows as a member of its own.
pub(super) fn name(tags: &[Value]) -> Option<&str> {
    tags.iter().find(|tag| tag["Key"] == "Name")?["Value"].as_str()
}
