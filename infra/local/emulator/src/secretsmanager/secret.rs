//! One secret: its versions, which of them is current, and how it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{CURRENT, PREVIOUS, refused};
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

impl Secret {
    /// Stores a value as the current version, and returns the version's id; the same token and value again change
    /// nothing.
    pub(super) fn put(&mut self, input: &Value, member: &str, value: String, now: f64) -> Result<String, AwsError> {
        let token = input["ClientRequestToken"].as_str();
        let id = token.map_or_else(|| crate::ids::random_uuid().to_string(), str::to_owned);
        if let Some(known) = self.versions.iter().find(|version| version.id == id) {
            if known.member == member && known.value == value {
                return Ok(id);
            }
            let message = "You can't use ClientRequestToken to create a version whose value differs from the one that it stands for.";
            return Err(refused("ResourceExistsException", message));
        }
        self.push(&id, member, value, now);
        Ok(id)
    }

    /// Makes a value the first version.
    pub(super) fn begin(&mut self, member: &str, value: String, now: f64) {
        self.push(&crate::ids::random_uuid().to_string(), member, value, now);
    }

    fn push(&mut self, id: &str, member: &str, value: String, now: f64) {
        for version in &mut self.versions {
            let was_current = version.stages.iter().any(|stage| stage == CURRENT);
            version.stages = if was_current { vec![PREVIOUS.to_owned()] } else { Vec::new() };
        }
        self.versions.retain(|version| !version.stages.is_empty());
        let (stages, member) = (vec![CURRENT.to_owned()], member.to_owned());
        self.versions.push(Version { id: id.to_owned(), created: now, stages, member, value });
        self.changed = now;
    }

    pub(super) fn show(&self, versions_name: &str) -> Value {
        let versions: Map<String, Value> =
            self.versions.iter().map(|version| (version.id.clone(), json!(version.stages))).collect();
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
