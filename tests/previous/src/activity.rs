//! When a Transfer Family server was last heard of in an event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is noted of one server id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When its last event was.
    pub last_event: Timestamp,
}
