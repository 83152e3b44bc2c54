//! Leases: one worker at a time per item, and the wake-up that it has armed for itself.
//!
//! A lease expires, so that a crash does not block the item for long. The armed wake-up is stored beside it, so that
//! many deliveries for one item keep only one chain of delayed messages. A delivery that finds the lease taken leaves a
//! mark and ends; the holder sees the mark before releasing the lease, and works again. A holder that crashes sees
//! nothing: whoever leaves the first mark comes back when the lease is over, and goes on if its mark is still there.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
pub use wharfinger_decisions::wakeup::Armed;

use crate::{
    stored::leniently,
    table::{Guard, Key, StoreError, Table},
};

/// The right to work on an item.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The item's key.
    pub key: Key,
    /// Who has it: another delivery has another name.
    pub owner: String,
    /// The wake-up that the last holder armed.
    pub armed: Armed,
}

#[derive(Deserialize)]
struct Kept {
    /// Of whatever shape another version writes it: it hides nothing else.
    #[serde(default, deserialize_with = "armed")]
    armed: Armed,
    #[serde(default)]
    lease_owner: Option<String>,
    #[serde(default)]
    lease_until: Option<i64>,
    #[serde(default)]
    lease_wanted: Option<Value>,
}

fn armed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Armed, D::Error> {
    Ok(leniently(Some(&Value::deserialize(deserializer)?)))
}

impl Kept {
    fn mark(&self) -> Option<Mark> {
        let by = self.lease_wanted.as_ref()?.as_str()?.to_owned();
        Some(Mark { by, until: Timestamp::from_second(self.lease_until?).ok()? })
    }
}

/// The result of asking for a lease.
#[derive(Clone, Debug)]
pub enum Claim {
    /// The lease was granted.
    Taken(Lease),
    /// Another worker has the lease, and will work again before releasing it. `None`: a release that leaves marks without
    /// a name has marked it.
    Noted(Option<Mark>),
    /// The item does not exist.
    Gone,
}

/// What says that somebody found the lease taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who was the first to.
    pub by: String,
    /// When the lease is over.
    pub until: Timestamp,
}

/// The result of releasing a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// It is released, has expired, or its item no longer exists.
    Free,
    /// Another delivery came meanwhile. The lease is still held: work again.
    Wanted,
}

impl Table {
    /// Takes the lease on the item at `key` until `now` + `lasts`, or leaves a mark for its holder. No delivery is
    /// lost: a mark is made only while the lease is held, and a lease is released only without a mark.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn lease(
        &self,
        key: &Key,
        owner: &str,
        now: Timestamp,
        lasts: SignedDuration,
    ) -> Result<Claim, StoreError> {
        loop {
            if let Some(lease) = self.take_lease(key, owner, now, lasts).await? {
                return Ok(Claim::Taken(lease));
            }
            if let Some(noted) = self.mark_wanted(key, owner, now).await? {
                return Ok(noted);
            }
            // Between the two writes the lease was given back, or the item went.
            if self.read::<Kept>(key).await?.is_none() {
                return Ok(Claim::Gone);
            }
        }
    }

    async fn take_lease(
        &self,
        key: &Key,
        owner: &str,
        now: Timestamp,
        lasts: SignedDuration,
    ) -> Result<Option<Lease>, StoreError> {
        // Its own lease: the SDK asked again after a lost answer.
        let free = "attribute_exists(pk) AND (attribute_not_exists(lease_until) OR lease_until < :now OR lease_owner = :owner)";
        let guard = Guard::that(free)
            .value(":now", now.as_second())?
            .value(":until", (now + lasts).as_second())?
            .value(":owner", owner)?;
        let change = "SET lease_owner = :owner, lease_until = :until REMOVE lease_wanted";
        let armed = match self.update_and_read::<Kept>(key, change, guard).await {
            Ok(kept) => kept.map(|kept| kept.armed).unwrap_or_default(),
            Err(StoreError::Conflict) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Lease { key: key.clone(), owner: owner.to_owned(), armed }))
    }

    /// Leaves the mark of `owner` if the lease is held, unless there is one.
    async fn mark_wanted(&self, key: &Key, owner: &str, now: Timestamp) -> Result<Option<Claim>, StoreError> {
        let held = Guard::that("lease_until >= :now").value(":now", now.as_second())?.value(":owner", owner)?;
        let change = "SET lease_wanted = if_not_exists(lease_wanted, :owner)";
        match self.update_and_read::<Kept>(key, change, held).await {
            Ok(kept) => Ok(Some(Claim::Noted(kept.ok().as_ref().and_then(Kept::mark)))),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether nobody has looked since `owner` left its mark on the item at `key`.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn is_marked_by(&self, key: &Key, owner: &str) -> Result<bool, StoreError> {
        let kept = self.read::<Kept>(key).await?.and_then(Result::ok);
        Ok(kept.and_then(|kept| kept.mark()).is_some_and(|mark| mark.by == owner))
    }

    /// Releases the lease and stores the wake-up that is armed now. If another delivery left a mark, removes the mark
    /// and keeps the lease.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn release_lease(&self, lease: &Lease, armed: &Armed) -> Result<Release, StoreError> {
        let quiet = "lease_owner = :owner AND attribute_not_exists(lease_wanted)";
        let guard = Guard::that(quiet).value(":owner", &lease.owner)?.value(":armed", armed)?;
        match self.update(&lease.key, "SET armed = :armed REMOVE lease_owner, lease_until", guard).await {
            Ok(()) => return Ok(Release::Free),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
        let wanted = Guard::that("lease_owner = :owner AND attribute_exists(lease_wanted)");
        let wanted = wanted.value(":owner", &lease.owner)?.value(":armed", armed)?;
        match self.update(&lease.key, "SET armed = :armed REMOVE lease_wanted", wanted).await {
            Ok(()) => Ok(Release::Wanted),
            Err(StoreError::Conflict) => self.released(lease).await,
            Err(error) => Err(error),
        }
    }

    /// Finds out what happened to `lease` when neither write was possible, because the SDK repeated one after a lost
    /// answer: only the one that removes the mark keeps the owner.
    async fn released(&self, lease: &Lease) -> Result<Release, StoreError> {
        Ok(if self.holds(lease).await? { Release::Wanted } else { Release::Free })
    }

    /// Whether `lease` is still held: it may have expired, and another worker have taken it.
    async fn holds(&self, lease: &Lease) -> Result<bool, StoreError> {
        let kept = self.read::<Kept>(&lease.key).await?.and_then(Result::ok);
        Ok(kept.and_then(|kept| kept.lease_owner).is_some_and(|owner| owner == lease.owner))
    }
}
