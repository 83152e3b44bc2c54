//! A rollout: one task-definition revision brought to a service, with what caused it and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{names::SiteName, summary::ChangeSummary};

/// A rollout, as the table keeps it and the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// A UUID of version 7: later rollouts have greater ids.
    pub id: String,
    /// The site that is rolled out.
    pub site: SiteName,
    /// How far it has come.
    pub state: State,
    /// Why it is in this state, in a sentence.
    pub reason: String,
    /// What it was started for.
    pub cause: Cause,
    /// The service's revisions.
    #[serde(default)]
    pub task_definition: Revisions,
    /// The ECS deployment, once there is one.
    #[serde(default)]
    pub deployment_id: Option<String>,
    /// When the window was claimed.
    pub started_at: Timestamp,
    /// When it came to its verdict.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
}

/// The task-definition ARNs of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revisions {
    /// What the service ran before.
    pub before: Option<String>,
    /// The rollout's own.
    pub after: Option<String>,
}

/// How far a rollout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The revision to start from is not chosen yet: ECS did not name it, or someone deployed another meanwhile.
    Claimed,
    /// A revision is being registered.
    Registering,
    /// The revision is there; the service has not been updated.
    Registered,
    /// ECS is replacing the tasks.
    Deploying,
    /// The service runs the revision.
    Succeeded,
    /// No success, for `reason`: refused, stopped by ECS, or without an end after an hour.
    Failed,
    /// ECS's circuit breaker went back to the revision before.
    RolledBack,
    /// Another deployment took the service over.
    Superseded,
}

impl State {
    /// Whether the rollout is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::RolledBack | Self::Superseded)
    }
}

/// The changes that a rollout was started for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Why the window was over.
    pub reason: String,
    /// The changes.
    #[serde(flatten)]
    pub summary: ChangeSummary,
    /// The site's changes are counted: the first one of this rollout.
    pub from_seq: u64,
    /// The last one of this rollout.
    pub to_seq: u64,
}
