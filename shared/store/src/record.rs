//! What servers, users and sites have in common: what is wanted, with a version, and what is known.
//!
//! Writers of the intent (people over the API, the idle sweep) must name the version they saw; the status has one
//! writer and is not part of the version. A deleted thing stays as a record until its AWS side is gone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::table::{Guard, Key, StoreError, Table};

/// A thing as the table holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<I, S> {
    /// What is wanted.
    pub intent: I,
    /// What is known.
    pub status: S,
    /// Counts the changes of the intent, from 1. It is the ETag.
    pub version: u64,
    /// It is on its way out.
    #[serde(default)]
    pub deleting: bool,
    /// When it was first wanted.
    pub created_at: Timestamp,
    /// When the intent was last changed.
    pub updated_at: Timestamp,
}

impl Table {
    /// Keeps a new thing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is there already.
    pub async fn create<I, S>(&self, key: &Key, intent: I, now: Timestamp) -> Result<Record<I, S>, StoreError>
    where
        I: Serialize,
        S: Serialize + Default,
    {
        let record =
            Record { intent, status: S::default(), version: 1, deleting: false, created_at: now, updated_at: now };
        self.put(key, &record, Guard::absent()).await?;
        Ok(record)
    }

    /// Replaces the intent of a thing that was seen at version `seen` and is not on its way out. Returns the new
    /// version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn replace_intent<I: Serialize>(
        &self,
        key: &Key,
        intent: &I,
        seen: u64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let condition = Guard::that("version = :seen AND deleting = :no")
            .value(":seen", seen)?
            .value(":no", false)?
            .value(":intent", intent)?
            .value(":version", seen + 1)?
            .value(":now", now)?;
        self.update(key, "SET intent = :intent, version = :version, updated_at = :now", condition).await?;
        Ok(seen + 1)
    }

    /// Marks a thing that was seen at version `seen` as on its way out.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn mark_deleting(&self, key: &Key, seen: u64, now: Timestamp) -> Result<(), StoreError> {
        let condition = Guard::that("version = :seen")
            .value(":seen", seen)?
            .value(":yes", true)?
            .value(":version", seen + 1)?
            .value(":now", now)?;
        self.update(key, "SET deleting = :yes, version = :version, updated_at = :now", condition).await
    }

    /// Writes what is known of a thing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is gone.
    pub async fn write_status<S: Serialize>(&self, key: &Key, status: &S) -> Result<(), StoreError> {
        let condition = Guard::present().name("#status", "status").value(":status", status)?;
        self.update(key, "SET #status = :status", condition).await
    }

    /// Forgets a thing that was seen at version `seen`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn forget(&self, key: &Key, seen: u64) -> Result<(), StoreError> {
        self.delete(key, Guard::that("version = :seen").value(":seen", seen)?).await
    }

    /// Reads a thing.
    ///
    /// # Errors
    /// When DynamoDB fails or the item has another form.
    pub async fn record<I: DeserializeOwned, S: DeserializeOwned>(
        &self,
        key: &Key,
    ) -> Result<Option<Record<I, S>>, StoreError> {
        self.get(key).await
    }
}
