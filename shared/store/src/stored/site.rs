//! What is wanted of a site, in the table.

use serde::Deserialize;
use serde_json::Value;
use wharfinger_decisions::{
    directory::{Directory, MountPath},
    duration::HumanDuration,
    freeze::{Freeze, ZoneName},
    ids::{AccessPointId, EcsName, FileSystemId},
    pattern::Pattern,
    site::{Drift, Finish, Mount, SiteSpec},
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
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    mount_path: Option<String>,
    #[serde(default)]
    mounts: Vec<StoredMount>,
    #[serde(default)]
    finish: StoredFinish,
    #[serde(default)]
    keep_revisions: Option<u32>,
    #[serde(default)]
    approval: bool,
    #[serde(default)]
    drift: Option<Value>,
    #[serde(default)]
    verdict_after: Option<String>,
}

#[derive(Deserialize)]
struct StoredMount {
    container: String,
    path: String,
    #[serde(default)]
    read_only: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StoredFinish {
    quiet_period: Option<String>,
    max_wait: Option<String>,
    marker: Option<String>,
    hold_partial_for: Option<String>,
    min_interval: Option<String>,
    ignore: Vec<String>,
    freeze: Vec<String>,
    time_zone: Option<String>,
}

/// What a site without a number of its own keeps.
const KEEP_REVISIONS: u32 = 10;

impl Intent for SiteSpec {
    fn from_stored(value: &Value) -> Result<Self, String> {
        let stored: StoredSpec = read(value)?;
        if stored.mounts.is_empty() && (stored.container.is_none() || stored.mount_path.is_none()) {
            return Err("it does not say where the directory is mounted".to_owned());
        }
        Ok(Self {
            file_system_id: FileSystemId::from_stored(stored.file_system_id),
            directory: Directory::from_stored(stored.directory),
            access_point_id: stored.access_point_id.map(AccessPointId::from_stored),
            cluster: EcsName::from_stored(stored.cluster),
            service: EcsName::from_stored(stored.service),
            container: stored.container.map(EcsName::from_stored),
            mount_path: stored.mount_path.map(MountPath::from_stored),
            mounts: stored.mounts.into_iter().map(Mount::from).collect(),
            finish: stored.finish.try_into()?,
            keep_revisions: stored.keep_revisions.unwrap_or(KEEP_REVISIONS),
            // Another policy than this version knows is left to people.
            drift: stored.drift.map_or(Drift::Repair, |policy| read(&policy).unwrap_or(Drift::Report)),
            verdict_after: duration(stored.verdict_after)?,
            approval: stored.approval,
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
            container: Some(EcsName::from_stored(text("/container"))),
            mount_path: Some(MountPath::from_stored(text("/mount_path"))),
            mounts: Vec::new(),
            finish: Finish::default(),
            keep_revisions: KEEP_REVISIONS,
            drift: Drift::Report,
            verdict_after: None,
            approval: false,
        }
    }
}

impl From<StoredMount> for Mount {
    fn from(stored: StoredMount) -> Self {
        Self {
            container: EcsName::from_stored(stored.container),
            path: MountPath::from_stored(stored.path),
            read_only: stored.read_only,
        }
    }
}

fn duration(text: Option<String>) -> Result<Option<HumanDuration>, String> {
    let read = |text: String| HumanDuration::from_stored(&text).ok_or_else(|| format!("{text:?} is no duration"));
    text.map(read).transpose()
}

impl TryFrom<StoredFinish> for Finish {
    type Error = String;

    fn try_from(stored: StoredFinish) -> Result<Self, String> {
        let usual = Self::default();
        let or_usual = |text, usual| duration(text).map(|given| given.unwrap_or(usual));
        let freeze = |text: &String| Freeze::parse(text).map_err(|_| format!("{text:?} is no part of a week"));
        Ok(Self {
            quiet_period: or_usual(stored.quiet_period, usual.quiet_period)?,
            max_wait: or_usual(stored.max_wait, usual.max_wait)?,
            marker: stored.marker,
            hold_partial_for: or_usual(stored.hold_partial_for, usual.hold_partial_for)?,
            min_interval: duration(stored.min_interval)?,
            ignore: stored.ignore.into_iter().map(Pattern::from_stored).collect(),
            freeze: stored.freeze.iter().map(freeze).collect::<Result<_, _>>()?,
            time_zone: stored.time_zone.map(ZoneName::from_stored),
        })
    }
}
