//! The messages with which functions wake each other. They carry only a name: the receiver reads the current state.

use serde::{Deserialize, Deserializer, Serialize};

use crate::names::{ServerName, SiteName};

/// Wakes `reconcile` for one server and its users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerWake {
    /// The server, under a name that any version accepted.
    #[serde(deserialize_with = "server")]
    pub server: ServerName,
    /// Only if nobody has looked after the server since the delivery of this name found its lease taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_marked_by: Option<String>,
}

impl From<ServerName> for ServerWake {
    fn from(server: ServerName) -> Self {
        Self { server, if_marked_by: None }
    }
}

/// Wakes `rollout` for one site: its window may be over, its rollout may have come further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteTick {
    /// The site, under a name that any version accepted.
    #[serde(deserialize_with = "site")]
    pub site: SiteName,
}

fn server<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServerName, D::Error> {
    String::deserialize(deserializer).map(ServerName::from_stored)
}

fn site<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SiteName, D::Error> {
    String::deserialize(deserializer).map(SiteName::from_stored)
}
