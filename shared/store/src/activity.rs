//! When Transfer Family last sent an event about a server: partition `ACTIVITY`, one item per server id.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::table::{Guard, Key, StoreError, Table};

/// How long an item is kept: far longer than any idle policy looks back.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Activity {
    last_event: Timestamp,
    #[serde(default)]
    unplaced: Option<Unplaced>,
}

/// A path that could not be placed on a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unplaced {
    /// The path, as the event gave it.
    pub path: String,
    /// Who uploaded it.
    pub user: String,
    /// When it was heard of.
    pub at: Timestamp,
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

    /// Notes the latest path of `server_id` that could not be placed.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn note_unplaced(&self, server_id: &str, unplaced: &Unplaced) -> Result<(), StoreError> {
        let at = Timestamp::from_second(unplaced.at.as_second()).expect("a timestamp without its fraction is in range");
        let values = Guard::none().value(":unplaced", unplaced)?.value(":at", at)?;
        let values = values.value(":expires", at.as_second() + KEPT_FOR.as_secs())?;
        let change = "SET unplaced = :unplaced, last_event = if_not_exists(last_event, :at), expires_at = :expires";
        self.update(&key(server_id), change, values).await
    }

    /// The latest path of `server_id` that could not be placed, of the last 30 days.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn unplaced(&self, server_id: &str) -> Result<Option<Unplaced>, StoreError> {
        Ok(self.get::<Activity>(&key(server_id)).await?.and_then(|activity| activity.unplaced))
    }
}
