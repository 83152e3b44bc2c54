//! One secret: its versions, which of them is current, and how it is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{CURRENT, DAY, PREVIOUS, refused};
use crate::error::AwsError;

/// One secret. It has no `Debug`: a secret never prints.
#[derive(Serialize, Deserialize)]
pub(super) struct Secret {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// The service that made it for itself.
    #[serde(default)]
    pub(super) owner: Option<String>,
    pub(super) created: f64,
    pub(super) changed: f64,
    /// When it is deleted for good, once that is asked for.
    pub(super) deletion: Option<Deletion>,
    pub(super) tags: BTreeMap<String, String>,
    /// Oldest first.
    pub(super) versions: Vec<Version>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Deletion {
    pub(super) asked: f64,
    pub(super) due: f64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) created: f64,
    pub(super) stages: Vec<String>,
    /// `SecretString` or `SecretBinary`, and its value.
    pub(super) member: String,
    pub(super) value: String,
}

impl Version {
    pub(super) fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|known| known == stage)
    }
}

/// Unlabeled versions that are older than a day go when a secret has more versions than this.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
const MOST_VERSIONS: usize = 100;

/// Staging labels of all versions of a secret together.
const MOST_LABELS: usize = 20;

impl Secret {
    /// Stores a new version, the current one if it has no labels, and returns its id. The same id and value again change
    /// nothing, not even labels.
    pub(super) fn put(&mut self, new: Version) -> Result<String, AwsError> {
        let id = new.id.clone();
        let Some(known) = self.versions.iter().find(|version| version.id == id) else {
            return self.push(new).map(|()| id);
        };
        if known.member == new.member && known.value == new.value {
            return Ok(id);
        }
        let message = format!(
            "You can't use ClientRequestToken {id} because that value is already in use for a version of secret {}.",
            self.arn
        );
        Err(refused("ResourceExistsException", &message))
    }

    /// Makes a value the first version.
    pub(super) fn begin(&mut self, member: &str, value: String) {
        let (id, stages) = (crate::ids::random_uuid().to_string(), vec![CURRENT.to_owned()]);
        self.versions.push(Version { id, created: self.created, stages, member: member.to_owned(), value });
    }

    /// Adds a version, to which its labels move. The first one is the current one whatever its labels.
    fn push(&mut self, mut new: Version) -> Result<(), AwsError> {
        if (new.stages.is_empty() || self.versions.is_empty()) && !new.has(CURRENT) {
            new.stages.push(CURRENT.to_owned());
        }
        let labels: BTreeSet<&String> =
            self.versions.iter().chain([&new]).flat_map(|version| &version.stages).collect();
        if labels.len() > MOST_LABELS {
            let message = "The request failed because it would exceed one of the Secrets Manager quotas.";
            return Err(refused("LimitExceededException", message));
        }
        let replaced = self.versions.iter().position(|version| new.has(CURRENT) && version.has(CURRENT));
        for version in &mut self.versions {
            version.stages.retain(|stage| !(new.has(stage) || replaced.is_some() && stage == PREVIOUS));
        }
        if let Some(place) = replaced
            && !new.has(PREVIOUS)
        {
            self.versions[place].stages.push(PREVIOUS.to_owned());
        }
        self.changed = new.created;
        self.versions.push(new);
        self.remove_deprecated();
        Ok(())
    }

    /// Removes the oldest versions that no label holds, as far as there are too many.
    fn remove_deprecated(&mut self) {
        let mut surplus = self.versions.len().saturating_sub(MOST_VERSIONS);
        let now = self.changed;
        self.versions.retain(|version| {
            let goes = surplus > 0 && version.stages.is_empty() && now - version.created > DAY;
            surplus -= usize::from(goes);
            !goes
        });
    }

    pub(super) fn show(&self, versions_name: &str) -> Value {
        let labeled = self.versions.iter().filter(|version| !version.stages.is_empty());
        let versions: Map<String, Value> = labeled.map(|version| (version.id.clone(), json!(version.stages))).collect();
        let tags: Vec<Value> = self.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let mut shown = json!({
            "ARN": self.arn,
            "Name": self.name,
            "CreatedDate": self.created,
            "LastChangedDate": self.changed,
            "Tags": tags,
        });
        shown[versions_name] = versions.into();
        if let Some(description) = &self.description {
            shown["Description"] = description.clone().into();
        }
        if let Some(owner) = &self.owner {
            shown["OwningService"] = owner.clone().into();
        }
        if let Some(deletion) = self.deletion {
            shown["DeletedDate"] = deletion.asked.into();
        }
        shown
    }

    /// By name, by ARN, or by an ARN without its random suffix.
    pub(super) fn is(&self, id: &str) -> bool {
        let partial = self.arn.rsplit_once('-').map_or("", |(partial, _)| partial);
        self.name == id || self.arn == id || partial == id
    }
}
