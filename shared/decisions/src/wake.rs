//! The messages by which functions wake each other. They carry a name and nothing else: whoever is woken reads the
//! present.

use serde::{Deserialize, Serialize};

use crate::names::{ServerName, SiteName};

/// Wakes `reconcile` for one server and its users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerWake {
    /// Which.
    pub server: ServerName,
}

/// Wakes `rollout` for one site: its window may be over, its rollout may have come further.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteTick {
    /// Which.
    pub site: SiteName,
}
