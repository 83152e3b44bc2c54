//! A summary of changes: what a window waits with, and what a rollout was for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The changes of a window or a rollout, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSummary {
    /// How many there are.
    pub changes: u64,
    /// The files changed last, at most 20; fewer where their names are long.
    pub files: Vec<String>,
    /// The users who changed them, at most 10.
    pub users: Vec<String>,
    /// How much was uploaded.
    pub bytes: u64,
    /// When the first change was made.
    pub first_change: Option<Timestamp>,
    /// When the last change was made.
    pub last_change: Option<Timestamp>,
}
