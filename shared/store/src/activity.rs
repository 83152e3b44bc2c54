//! When Transfer Family last sent an event about a server: partition `ACTIVITY`, one item per server id.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::table::{Guard, Key, StoreError, Table};

/// How long an item is kept: far longer than any idle policy looks back.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Activity {
    last_event: Timestamp,
}

fn key(server_id: &str) -> Key {
    Key::new("ACTIVITY", server_id)
}

impl Table {
    /// Records an event of `server_id` at `at`. Does nothing if a later one is known.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn note_activity(&self, server_id: &str, at: Timestamp) -> Result<(), StoreError> {
        // Whole seconds have one width, so that DynamoDB's order of strings is the order of time.
        let at = Timestamp::from_second(at.as_second()).expect("a timestamp without its fraction is in range");
        let newer = Guard::that("attribute_not_exists(pk) OR last_event < :at")
            .value(":at", at)?
            .value(":expires", at.as_second() + KEPT_FOR.as_secs())?;
        match self.update(&key(server_id), "SET last_event = :at, expires_at = :expires", newer).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }

    /// When the last event of `server_id` was.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn last_activity(&self, server_id: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.get::<Activity>(&key(server_id)).await?.map(|activity| activity.last_event))
    }
}
