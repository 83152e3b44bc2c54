//! The turns on services in the table: partition `TURNS#{cluster}/{service}`, item `current`. Whoever changes them names
//! the version that was read. A rollout with a verdict has no turn any more, whatever is written here: an earlier version
//! of Wharfinger gives none back. What of them this version can't read is nobody's, and is written over: one item must not
//! stop all sites of a service.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::join;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharfinger_decisions::{
    site::SiteSpec,
    turns::{Holder, Turns},
};

use crate::{
    item::Unreadable,
    stored::part,
    table::{Guard, Key, StoreError, Table},
};

/// The turns on a service as the table holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnsRecord {
    /// The turns.
    #[serde(flatten)]
    pub turns: Turns,
    /// Counts the writes; 0: there is no item yet.
    pub version: u64,
    #[serde(skip)]
    service: String,
    /// The item as it was read, where this version can't read all of it.
    #[serde(skip)]
    unreadable: Option<Box<Unreadable>>,
}

fn key(service: &str) -> Key {
    Key::new(format!("TURNS#{service}"), "current")
}

impl TurnsRecord {
    fn next(&self) -> Result<(Self, Guard), StoreError> {
        let unchanged = match (&self.unreadable, self.version) {
            (Some(unreadable), _) => unreadable.unchanged(),
            (None, 0) => Guard::absent(),
            (None, seen) => Guard::that("version = :seen").value(":seen", seen)?,
        };
        Ok((Self { version: self.version.saturating_add(1), unreadable: None, ..self.clone() }, unchanged))
    }

    /// The record with other turns.
    #[must_use]
    pub fn with(&self, turns: Turns) -> Self {
        Self { turns, ..self.clone() }
    }

    /// What this version can read of `unreadable`.
    fn remains(unreadable: Box<Unreadable>) -> Self {
        let item = &unreadable.item;
        let waiting: Vec<Value> = part(item, "/waiting");
        let waiting = waiting.into_iter().filter_map(|waiting| serde_json::from_value(waiting).ok()).collect();
        let (turns, version) = (Turns { holder: part(item, "/holder"), waiting }, unreadable.version());
        Self { turns, version, service: String::new(), unreadable: Some(unreadable) }
    }
}

impl Table {
    /// Reads the turns on the service of `spec`, as far as this version can.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn turns(&self, spec: &SiteSpec) -> Result<TurnsRecord, StoreError> {
        let service = format!("{}/{}", spec.cluster, spec.service);
        let nobody =
            || Ok(TurnsRecord { turns: Turns::default(), version: 0, service: String::new(), unreadable: None });
        let found = self.read(&key(&service)).await?.unwrap_or_else(nobody);
        Ok(TurnsRecord { service, ..found.unwrap_or_else(TurnsRecord::remains) })
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

    /// Whether the rollout that holds a turn is not over, and its site's window names it: nobody follows another one. What
    /// can't be read is none that this version could wait for.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn is_in_flight(&self, holder: &Holder) -> Result<bool, StoreError> {
        let (rollout, window) = join!(self.rollout_record(&holder.site, &holder.rollout), self.window(&holder.site));
        let goes_on = readable(rollout)?.flatten().is_some_and(|record| !record.rollout.state.is_final());
        let is_followed = readable(window)?.is_some_and(|window| window.rollout.as_ref() == Some(&holder.rollout));
        Ok(goes_on && is_followed)
    }

    pub(crate) fn turns_in_transaction(&self, record: &TurnsRecord) -> Result<TransactWriteItem, StoreError> {
        let (next, unchanged) = record.next()?;
        self.put_in_transaction(&key(&record.service), &next, unchanged)
    }
}

/// What was read, or `None` where this version can't read it.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StoreError::Unreadable(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
