//! Windows in the table: partition `WINDOWS`, one item a site. Whoever changes one names the version that was read, so
//! that of two writers one starts anew. The item also holds the site's lock: the rollout in flight.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{memory::Memory, names::SiteName, window::Window};

use crate::table::{Guard, Key, StoreError, Table};

/// The partition of all windows.
pub const PARTITION: &str = "WINDOWS";

/// A site's window as the table holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// The changes since the last rollout.
    #[serde(default)]
    pub window: Window,
    /// The events that were heard of.
    #[serde(default)]
    pub memory: Memory,
    /// When the armed tick is due. In the past: it is on its way or lost.
    #[serde(default)]
    pub armed_until: Option<Timestamp>,
    /// The rollout in flight. No other one starts before it is over.
    #[serde(default)]
    pub rollout: Option<String>,
    /// Counts the writes; 0: there is no item yet.
    #[serde(default)]
    pub version: u64,
}

/// Where a site's window lies.
#[must_use]
pub fn key(site: &SiteName) -> Key {
    Key::new(PARTITION, site.as_str())
}

impl WindowRecord {
    /// The record as the next version, and the condition that nobody wrote one since it was read.
    pub(crate) fn next(&self) -> Result<(Self, Guard), StoreError> {
        let condition = match self.version {
            0 => Guard::absent(),
            seen => Guard::that("version = :seen").value(":seen", seen)?,
        };
        Ok((Self { version: self.version + 1, ..self.clone() }, condition))
    }
}

impl Table {
    /// Reads a site's window: an empty one where nothing has changed yet.
    ///
    /// # Errors
    /// When DynamoDB fails or the item has another form.
    pub async fn window(&self, site: &SiteName) -> Result<WindowRecord, StoreError> {
        Ok(self.get(&key(site)).await?.unwrap_or_default())
    }

    /// Writes a window that was read at `record.version`. Returns it as it now is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another was written since.
    pub async fn write_window(&self, site: &SiteName, record: &WindowRecord) -> Result<WindowRecord, StoreError> {
        let (next, condition) = record.next()?;
        self.put(&key(site), &next, condition).await?;
        Ok(next)
    }
}
