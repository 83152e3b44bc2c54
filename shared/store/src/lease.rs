//! One writer at a time for an item that a function works on, and the wake-up that it has armed for itself.
//!
//! The lease runs out by itself, so that a crash holds nobody up for long. The armed wake-up is noted beside it: of
//! many deliveries for one item only one chain of delayed messages goes on.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::table::{Guard, Key, StoreError, Table};

/// A delayed message on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What is waited for; a new reason starts the delays anew.
    #[serde(default)]
    pub step: String,
    /// How often it was waited for.
    #[serde(default)]
    pub tries: u32,
}

impl Armed {
    /// Whether a message is still on its way at `now`, as far as queues are punctual.
    #[must_use]
    pub fn is_pending(&self, now: Timestamp, grace: SignedDuration) -> bool {
        self.at.is_some_and(|at| at + grace > now)
    }
}

/// The right to work on an item.
#[derive(Clone, Debug)]
pub struct Lease {
    key: Key,
    owner: String,
    /// The wake-up that was armed by whoever worked on it last.
    pub armed: Armed,
}

#[derive(Deserialize)]
struct Kept {
    #[serde(default)]
    armed: Armed,
}

impl Table {
    /// Takes the right to work on the item at `key` until `now` + `lasts`. `None`: another has it, or there is no such
    /// item.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn take_lease(
        &self,
        key: &Key,
        owner: &str,
        now: Timestamp,
        lasts: SignedDuration,
    ) -> Result<Option<Lease>, StoreError> {
        let free = "attribute_exists(pk) AND (attribute_not_exists(lease_until) OR lease_until < :now)";
        let condition = Guard::that(free)
            .value(":now", now.as_second())?
            .value(":until", (now + lasts).as_second())?
            .value(":owner", owner)?;
        match self.update(key, "SET lease_owner = :owner, lease_until = :until", condition).await {
            Ok(()) => {}
            Err(StoreError::Conflict) => return Ok(None),
            Err(error) => return Err(error),
        }
        let kept = self.read::<Kept>(key).await?.and_then(Result::ok);
        let armed = kept.map(|kept| kept.armed).unwrap_or_default();
        Ok(Some(Lease { key: key.clone(), owner: owner.to_owned(), armed }))
    }

    /// Gives the right back and notes the wake-up that is armed now. A lease that ran out, or whose item is gone, is
    /// fine.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn release_lease(&self, lease: &Lease, armed: &Armed) -> Result<(), StoreError> {
        let condition = Guard::that("lease_owner = :owner").value(":owner", &lease.owner)?.value(":armed", armed)?;
        match self.update(&lease.key, "SET armed = :armed REMOVE lease_owner, lease_until", condition).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }
}
