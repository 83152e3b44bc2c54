//! What is wanted of a site, in the table.

use serde::Deserialize;
use serde_json::Value;
use wharfinger_decisions::{
    directory::{Directory, MountPath},
    duration::HumanDuration,
    ids::{AccessPointId, EcsName, FileSystemId},
    site::{Finish, SiteSpec},
};

use super::{Intent, part, read};

#[derive(Deserialize)]
struct StoredSpec {
    file_system_id: String,
    directory: String,
    #[serde(default)]
    access_point_id: Option<String>,
    cluster: String,
    service: String,
    container: String,
    mount_path: String,
    #[serde(default)]
    finish: StoredFinish,
    #[serde(default)]
    keep_revisions: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredFinish {
    quiet_period: Option<String>,
    max_wait: Option<String>,
    marker: Option<String>,
    hold_partial_for: Option<String>,
}

/// What a site without a number of its own keeps.
const KEEP_REVISIONS: u32 = 10;

impl Intent for SiteSpec {
    fn from_stored(value: &Value) -> Result<Self, String> {
        let stored: StoredSpec = read(value)?;
        Ok(Self {
            file_system_id: FileSystemId::from_stored(stored.file_system_id),
            directory: Directory::from_stored(stored.directory),
            access_point_id: stored.access_point_id.map(AccessPointId::from_stored),
            cluster: EcsName::from_stored(stored.cluster),
            service: EcsName::from_stored(stored.service),
            container: EcsName::from_stored(stored.container),
            mount_path: MountPath::from_stored(stored.mount_path),
            finish: stored.finish.try_into()?,
            keep_revisions: stored.keep_revisions.unwrap_or(KEEP_REVISIONS),
        })
    }

    fn remains(value: &Value) -> Self {
        let text = |pointer| part::<String>(value, pointer);
        Self {
            file_system_id: FileSystemId::from_stored(text("/file_system_id")),
            directory: Directory::from_stored(text("/directory")),
            access_point_id: None,
            cluster: EcsName::from_stored(text("/cluster")),
            service: EcsName::from_stored(text("/service")),
            container: EcsName::from_stored(text("/container")),
            mount_path: MountPath::from_stored(text("/mount_path")),
            finish: Finish::default(),
            keep_revisions: KEEP_REVISIONS,
        }
    }
}

impl TryFrom<StoredFinish> for Finish {
    type Error = String;

    fn try_from(stored: StoredFinish) -> Result<Self, String> {
        let usual = Self::default();
        let duration = |text: Option<String>, usual| match text {
            None => Ok(usual),
            Some(text) => HumanDuration::from_stored(&text).ok_or_else(|| format!("{text:?} is no duration")),
        };
        Ok(Self {
            quiet_period: duration(stored.quiet_period, usual.quiet_period)?,
            max_wait: duration(stored.max_wait, usual.max_wait)?,
            marker: stored.marker,
            hold_partial_for: duration(stored.hold_partial_for, usual.hold_partial_for)?,
        })
    }
}
