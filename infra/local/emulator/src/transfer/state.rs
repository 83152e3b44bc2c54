//! What Transfer Family remembers: servers with their endpoint, host keys, users and tags. All of it is saved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{host_keys::HostKey, keys::UserKey};
use crate::{context::Context, error::AwsError};

/// Everything that a restart must find again.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) servers: BTreeMap<String, Server>,
    /// Endpoints of deleted servers that AWS has not let go of yet.
    pub(super) leaving_endpoints: Vec<String>,
}

/// A server's state, by AWS's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Phase {
    Offline,
    Online,
    Starting,
    Stopping,
    StartFailed,
    StopFailed,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Offline => "OFFLINE",
            Self::Online => "ONLINE",
            Self::Starting => "STARTING",
            Self::Stopping => "STOPPING",
            Self::StartFailed => "START_FAILED",
            Self::StopFailed => "STOP_FAILED",
        }
    }
}

/// One server.
#[derive(Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) id: String,
    pub(super) phase: Phase,
    /// Counts the transitions, so that the end of an overtaken one changes nothing.
    pub(super) transition: u64,
    /// The transition under way ends in START_FAILED or STOP_FAILED.
    #[serde(default)]
    pub(super) fails: bool,
    pub(super) online_since: Option<Timestamp>,
    /// Members that are stored and shown as they were given.
    pub(super) settings: Map<String, Value>,
    pub(super) endpoint: Option<VpcEndpoint>,
    /// Sorted by age: of each algorithm the first is used.
    pub(super) host_keys: Vec<HostKey>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) tags: Tags,
}

/// Where a VPC-hosted server is reached.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct VpcEndpoint {
    pub(super) id: String,
    pub(super) vpc_id: String,
    pub(super) subnet_ids: Vec<String>,
    pub(super) address_allocation_ids: Vec<String>,
    /// When its subnets last changed.
    #[serde(default)]
    pub(super) changed: Option<Timestamp>,
}

/// One user of a server.
#[derive(Serialize, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    /// Members that are stored and shown as they were given.
    pub(super) settings: Map<String, Value>,
    pub(super) keys: Vec<UserKey>,
    pub(super) tags: Tags,
}

/// Tags by key.
pub(super) type Tags = BTreeMap<String, String>;

impl State {
    pub(super) fn server(&self, id: &str) -> Result<&Server, AwsError> {
        self.servers.get(id).ok_or_else(|| unknown("Server", id))
    }

    pub(super) fn server_mut(&mut self, id: &str) -> Result<&mut Server, AwsError> {
        self.servers.get_mut(id).ok_or_else(|| unknown("Server", id))
    }
}

impl Server {
    pub(super) fn arn(&self, context: &Context) -> String {
        context.arn("transfer", &format!("server/{}", self.id))
    }

    pub(super) fn user(&self, name: &str) -> Result<&User, AwsError> {
        self.users.get(name).ok_or_else(|| unknown("User", name))
    }

    pub(super) fn user_mut(&mut self, name: &str) -> Result<&mut User, AwsError> {
        self.users.get_mut(name).ok_or_else(|| unknown("User", name))
    }

    pub(super) fn host_key(&self, id: &str) -> Result<&HostKey, AwsError> {
        self.host_keys.iter().find(|key| key.id == id).ok_or_else(|| unknown("HostKey", id))
    }

    pub(super) fn host_key_mut(&mut self, id: &str) -> Result<&mut HostKey, AwsError> {
        self.host_keys.iter_mut().find(|key| key.id == id).ok_or_else(|| unknown("HostKey", id))
    }

    pub(super) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// `DescribedServer`. Security groups are not in it: EC2 tells them.
    pub(super) fn describe(&self, context: &Context) -> Value {
        let mut shown = self.settings.clone();
        shown.retain(|_, value| value != "");
        shown.insert("Arn".to_owned(), self.arn(context).into());
        shown.insert("ServerId".to_owned(), self.id.clone().into());
        shown.insert("State".to_owned(), self.phase.name().into());
        shown.insert("UserCount".to_owned(), self.users.len().into());
        shown.insert("Tags".to_owned(), show_tags(&self.tags));
        if let Some(key) = self.host_keys.first() {
            shown.insert("HostKeyFingerprint".to_owned(), key.fingerprint.clone().into());
        }
        if let Some(endpoint) = &self.endpoint {
            let details = json!({
                "AddressAllocationIds": endpoint.address_allocation_ids,
                "SubnetIds": endpoint.subnet_ids,
                "VpcEndpointId": endpoint.id,
                "VpcId": endpoint.vpc_id,
            });
            shown.insert("EndpointDetails".to_owned(), details);
        }
        Value::Object(shown)
    }

    /// `ListedServer`.
    pub(super) fn list(&self, context: &Context) -> Value {
        let mut shown = Map::new();
        for member in ["Domain", "EndpointType", "IdentityProviderType", "LoggingRole"] {
            if !self.setting(member).is_empty() {
                shown.insert(member.to_owned(), self.setting(member).into());
            }
        }
        shown.insert("Arn".to_owned(), self.arn(context).into());
        shown.insert("ServerId".to_owned(), self.id.clone().into());
        shown.insert("State".to_owned(), self.phase.name().into());
        shown.insert("UserCount".to_owned(), self.users.len().into());
        Value::Object(shown)
    }
}

/// Tags as AWS lists them.
pub(super) fn show_tags(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

/// The tags of an input member that was checked already.
pub(super) fn read_tags(input: &Map<String, Value>) -> Tags {
    let text = |tag: &Value, member: &str| tag[member].as_str().unwrap_or_default().to_owned();
    let tags = input.get("Tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    tags.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
}

/// The string member `name`, which its shape requires; empty when it is absent.
pub(super) fn text<'a>(input: &'a Map<String, Value>, name: &str) -> &'a str {
    input.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// AWS's answer for a resource that is not there.
pub(super) fn unknown(kind: &str, id: &str) -> AwsError {
    let word = match kind {
        "Server" => "server",
        "User" => "user",
        "HostKey" => "host key",
        _ => "SSH public key",
    };
    AwsError::client("ResourceNotFoundException", format!("Unknown {word}"))
        .with("Resource", id)
        .with("ResourceType", kind)
}

/// AWS's answer for a resource that is there already.
pub(super) fn exists(kind: &str, id: &str, message: &str) -> AwsError {
    AwsError::client("ResourceExistsException", message).with("Resource", id).with("ResourceType", kind)
}

/// AWS's answer to a request that makes no sense in the present state.
pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::client("InvalidRequestException", message)
}
