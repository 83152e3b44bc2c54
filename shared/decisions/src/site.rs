//! A site: a directory on EFS, and the ECS service and container that mount it.

use serde::{Deserialize, Serialize};

use crate::{
    directory::{Directory, MountPath},
    duration::HumanDuration,
    ids::{AccessPointId, EcsName, FileSystemId},
    text::{Misfit, all_fit},
};

/// What a person wants of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteSpec {
    /// The file system that holds it.
    pub file_system_id: FileSystemId,
    /// Its directory there. It must exist before a user can log in to it or a container can mount it.
    pub directory: Directory,
    /// An access point to mount through; its root is then what the container sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_point_id: Option<AccessPointId>,
    /// The ECS cluster of the service.
    pub cluster: EcsName,
    /// The ECS service that is rolled out.
    pub service: EcsName,
    /// The container that mounts the directory.
    pub container: EcsName,
    /// Where the container mounts it.
    pub mount_path: MountPath,
    /// When uploads count as finished.
    #[serde(default)]
    pub finish: Finish,
    /// How many of its task-definition revisions are kept for rollbacks: 2 to 100.
    #[serde(default = "default_keep_revisions")]
    pub keep_revisions: u32,
}

fn default_keep_revisions() -> u32 {
    10
}

/// When a burst of uploads counts as finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Finish {
    /// How long nothing must have changed.
    pub quiet_period: HumanDuration,
    /// How long after the first change a rollout starts at the latest.
    pub max_wait: HumanDuration,
    /// The name of a file whose upload finishes the window at once.
    pub marker: Option<String>,
    /// How long a partial upload holds the window back.
    pub hold_partial_for: HumanDuration,
}

impl Default for Finish {
    fn default() -> Self {
        Self {
            quiet_period: HumanDuration::from_secs(60),
            max_wait: HumanDuration::from_secs(15 * 60),
            marker: None,
            hold_partial_for: HumanDuration::from_secs(30 * 60),
        }
    }
}

impl SiteSpec {
    /// Checks what concerns several fields.
    ///
    /// # Errors
    /// All violations.
    pub fn check(&self) -> Result<(), Vec<Misfit>> {
        let finish = &self.finish;
        let is_name = |marker: &str| {
            !marker.is_empty() && !marker.contains('/') && !matches!(marker, "." | "..") && marker.len() <= 255
        };
        let too_short = || {
            let sentence = format!("{} is shorter than quiet_period, {}", finish.max_wait, finish.quiet_period);
            Misfit::new("/finish/max_wait", sentence)
        };
        let no_name =
            || Misfit::new("/finish/marker", "a marker is the name of a file, such as .deploy, without a slash");
        all_fit([
            (finish.max_wait < finish.quiet_period).then(too_short),
            finish.marker.as_deref().is_some_and(|marker| !is_name(marker)).then(no_name),
            (!(2..=100).contains(&self.keep_revisions))
                .then(|| Misfit::new("/keep_revisions", "keep 2 to 100 revisions")),
        ])
    }

    /// Whether both sites would roll out the same service: two sites may, if they mount at different paths.
    #[must_use]
    pub fn shares_service_with(&self, other: &Self) -> bool {
        self.cluster == other.cluster && self.service == other.service
    }
}
