//! A rollout: one task-definition revision brought to a service, with what caused it and what became of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{diff::Difference, names::SiteName, summary::ChangeSummary};

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
    /// What it failed of, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The version of the site that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_version: Option<u64>,
    /// The rollout that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The person who broke it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_off_by: Option<String>,
    /// What its revision changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Difference>,
}

/// What a rollout failed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The service is not there, or can't be rolled out.
    Service,
    /// The site does not fit the task definition.
    Definition,
    /// AWS refused a call.
    Refused,
    /// ECS ended the deployment: the new tasks did not come to run, or an alarm went off.
    Tasks,
    /// ECS came to no end in time.
    NoEnd,
    /// What another version knows.
    #[serde(other)]
    Other,
}

/// What a rollout is started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Changes to the site's files.
    #[default]
    Uploads,
    /// A change of the site's spec.
    Spec,
    /// A deployment by others without the site's mounts.
    Drift,
    /// What an earlier rollout failed of is mended.
    Mended,
    /// A person's order.
    Order,
    /// What another version knows.
    #[serde(other)]
    Other,
}

/// A rollout that is due whatever the site's window says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What for.
    pub trigger: Trigger,
    /// Why, in a sentence.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

impl Trigger {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_uploads(&self) -> bool {
        *self == Self::Uploads
    }
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
    /// No success, for `reason`: refused, stopped by ECS, or without an end in time.
    Failed,
    /// ECS went back to an earlier revision, by its circuit breaker or an alarm; or a person broke the rollout off.
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

/// What a rollout was started for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What for.
    #[serde(default, skip_serializing_if = "Trigger::is_uploads")]
    pub trigger: Trigger,
    /// Why it was started then.
    pub reason: String,
    /// The changes.
    #[serde(flatten)]
    pub summary: ChangeSummary,
    /// The site's changes are counted: the first one of this rollout.
    pub from_seq: u64,
    /// The last one of this rollout.
    pub to_seq: u64,
}
