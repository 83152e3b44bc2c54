//! The turns on services in the table: partition `TURNS#{cluster}/{service}`, item `current`. Whoever changes them names
//! the version that was read. A rollout with a verdict has no turn any more, whatever is written here: an earlier version
//! of Wharfinger gives none back.

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{
    site::SiteSpec,
    turns::{Holder, Turns},
};

use crate::table::{Guard, Key, StoreError, Table};

/// The turns on a service as the table holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnsRecord {
    /// The turns.
    #[serde(flatten)]
    pub turns: Turns,
    /// Counts the writes; 0: there is no item yet.
    pub version: u64,
    #[serde(skip)]
    service: String,
}

fn key(service: &str) -> Key {
    Key::new(format!("TURNS#{service}"), "current")
}

impl TurnsRecord {
    fn next(&self) -> Result<(Self, Guard), StoreError> {
        let unchanged = match self.version {
            0 => Guard::absent(),
            seen => Guard::that("version = :seen").value(":seen", seen)?,
        };
        Ok((Self { version: self.version + 1, ..self.clone() }, unchanged))
    }

    /// The record with other turns.
    #[must_use]
    pub fn with(&self, turns: Turns) -> Self {
        Self { turns, ..self.clone() }
    }
}

impl Table {
    /// Reads the turns on the service of `spec`.
    ///
    /// # Errors
    /// When DynamoDB fails or the item has another form.
    pub async fn turns(&self, spec: &SiteSpec) -> Result<TurnsRecord, StoreError> {
        let service = format!("{}/{}", spec.cluster, spec.service);
        let found: Option<TurnsRecord> = self.get(&key(&service)).await?;
        let nobody = || TurnsRecord { turns: Turns::default(), version: 0, service: String::new() };
        Ok(TurnsRecord { service, ..found.unwrap_or_else(nobody) })
    }

    /// Writes turns that were read at `record.version`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when others were written since.
    pub async fn write_turns(&self, record: &TurnsRecord) -> Result<(), StoreError> {
        let (next, unchanged) = record.next()?;
        self.put(&key(&record.service), &next, unchanged).await
    }

    /// Gives back the turn of the rollout `id`, if it has it, on the service of `spec`. Returns the turns as they then
    /// are.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when others were written meanwhile.
    pub async fn release_turn(&self, spec: &SiteSpec, id: &str) -> Result<Turns, StoreError> {
        let record = self.turns(spec).await?;
        let released = record.with(record.turns.released(id));
        if released != record {
            self.write_turns(&released).await?;
        }
        Ok(released.turns)
    }

    /// Whether the rollout that holds a turn is not over. One that can't be read is none that this version could wait for.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn is_in_flight(&self, holder: &Holder) -> Result<bool, StoreError> {
        match self.rollout_record(&holder.site, &holder.rollout).await {
            Ok(record) => Ok(record.is_some_and(|record| !record.rollout.state.is_final())),
            Err(StoreError::Unreadable(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn turns_in_transaction(&self, record: &TurnsRecord) -> Result<TransactWriteItem, StoreError> {
        let (next, unchanged) = record.next()?;
        self.put_in_transaction(&key(&record.service), &next, unchanged)
    }
}
