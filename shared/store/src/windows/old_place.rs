//! The place where release 0.1 kept a site's window: partition `WINDOWS`, all sites in one.
//!
//! What release 0.1 left there is taken over by the first write at the new place. After that the old place holds a short copy,
//! so that after a rollback of Wharfinger an open window is still rolled out. It is written whenever a window opens, and
//! closed by the sweep some time after the window; so a copy may be open beside a window that is not, which costs a
//! rollout too many after a rollback, and never closed beside one that is open.
//!
//! The two writers do not miss each other: an opening always writes the copy, after the window, and the sweep reads the
//! copies before the windows and closes only the version that it saw.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{names::SiteName, seen_events::SeenEvents, window::Window};

use super::{WindowRecord, key};
use crate::{
    item::Read,
    table::{Guard, Key, StoreError, Table},
};

/// The partition of all windows in release 0.1.
const PARTITION: &str = "WINDOWS";

/// How often the copy is written again because the sweep or another writer was first.
const MOST_TRIES: u32 = 5;

/// What lies where release 0.1 kept the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OldPlace {
    /// Nothing.
    #[default]
    Absent,
    /// The short copy.
    Copy {
        /// Its version.
        version: u64,
        /// The window that it shows is open.
        open: bool,
    },
    /// A window that release 0.1 wrote. It is part of the record already; the events that it knew are not.
    Earlier {
        /// Its version.
        version: u64,
        /// The events that it knew.
        seen: SeenEvents,
    },
}

/// An item at the old place, of release 0.1 or the short copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OldItem {
    #[serde(default)]
    window: Window,
    #[serde(default)]
    memory: SeenEvents,
    #[serde(default)]
    armed_until: Option<Timestamp>,
    #[serde(default)]
    rollout: Option<String>,
    #[serde(default)]
    version: u64,
    /// Release 0.1 does not know this attribute, and drops it when it writes.
    #[serde(default)]
    copy: bool,
}

/// The short copy as it is written: without `memory`, whose form has changed, and without the rollout in flight.
#[derive(Serialize)]
pub(super) struct Copy {
    window: Window,
    version: u64,
    copy: bool,
}

/// What lies at the old place of every site, as it was at one time.
#[derive(Clone, Debug, Default)]
pub struct OldPlaces(BTreeMap<String, Read<OldItem>>);

/// Where release 0.1 kept the window.
pub(crate) fn old_key(site: &SiteName) -> Key {
    Key::new(PARTITION, site.as_str())
}

impl OldPlace {
    pub(super) fn guard(&self) -> Result<Guard, StoreError> {
        match self {
            Self::Absent => Ok(Guard::absent()),
            Self::Copy { version, .. } | Self::Earlier { version, .. } => {
                Guard::that("version = :seen").value(":seen", version)
            }
        }
    }

    fn version(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Copy { version, .. } | Self::Earlier { version, .. } => *version,
        }
    }

    /// Whether the short copy is there and shows an open window.
    #[must_use]
    pub fn is_open_copy(&self) -> bool {
        matches!(self, Self::Copy { open: true, .. })
    }
}

impl WindowRecord {
    /// Takes over what release 0.1 wrote: all of it before the first write at the new place, and after a rollback of
    /// Wharfinger what came in meanwhile.
    pub(super) fn take_over(mut self, old: Option<OldItem>) -> Self {
        let Some(old) = old else { return self };
        let (version, open) = (old.version, old.window.is_open());
        if old.copy {
            self.old = OldPlace::Copy { version, open };
            return self;
        }
        if self.version == 0 {
            self.window = old.window;
        } else if open {
            self.window.merge(&old.window);
        }
        self.armed_until = old.armed_until;
        if old.rollout.is_some() && self.rollout != old.rollout {
            (self.rollout, self.rollout_spec) = (old.rollout, None);
        }
        self.old = OldPlace::Earlier { version, seen: old.memory };
        self
    }

    pub(super) fn copy(&self) -> Copy {
        let Window { seq, claimed_seq, first_change, last_change, .. } = self.window;
        let window = Window { seq, claimed_seq, first_change, last_change, ..Window::default() };
        Copy { window, version: self.old.version() + 1, copy: true }
    }

    pub(super) fn copied(mut self) -> Self {
        self.old = OldPlace::Copy { version: self.old.version() + 1, open: self.window.is_open() };
        self
    }

    /// Whether the copy is open beside a window that nothing waits in and no rollout holds.
    #[must_use]
    pub fn has_stale_copy(&self) -> bool {
        self.old.is_open_copy() && !self.window.is_open() && self.rollout.is_none()
    }
}

impl Table {
    /// Reads what lies at the old place of every site, where what was written in the last second or so may be missing:
    /// a copy is closed only as it was seen.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn old_places(&self) -> Result<OldPlaces, StoreError> {
        Ok(OldPlaces(self.all_may_lag(PARTITION).await?.into_iter().collect()))
    }

    /// Reads a site's window, where `places` was read before.
    ///
    /// # Errors
    /// When DynamoDB fails or one of the items has another form.
    pub async fn window_beside(&self, places: &OldPlaces, site: &SiteName) -> Result<WindowRecord, StoreError> {
        let old = places.0.get(site.as_str()).cloned().transpose().map_err(StoreError::Unreadable)?;
        let record: WindowRecord = self.get(&key(site)).await?.unwrap_or_default();
        Ok(record.take_over(old))
    }

    /// Closes the copy beside a window that has a stale one, unless it was written since it was read. A rollout that it
    /// names goes too: to release 0.1, which would read it after a rollback, it would hold the window for ever.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn close_copy(&self, site: &SiteName, record: &WindowRecord) -> Result<(), StoreError> {
        let Copy { window, version, .. } = record.copy();
        let values = record.old.guard()?.name("#window", "window").value(":window", window)?;
        let values = values.name("#rollout", "rollout").value(":next", version)?;
        let change = "SET #window = :window, version = :next REMOVE #rollout";
        match self.update(&old_key(site), change, values).await {
            Err(StoreError::Conflict) => Ok(()),
            closed => closed,
        }
    }

    /// Writes the copy of a window that is open. Where another writer is first, it is written again: that one may have
    /// closed it. What release 0.1 wrote is left alone, and taken over by the next reader.
    pub(super) async fn copy_opening(
        &self,
        site: &SiteName,
        mut record: WindowRecord,
    ) -> Result<WindowRecord, StoreError> {
        for _ in 0..MOST_TRIES {
            match self.put(&old_key(site), &record.copy(), record.old.guard()?).await {
                Ok(()) => return Ok(record.copied()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
            record.old = match self.get::<OldItem>(&old_key(site)).await? {
                None => OldPlace::Absent,
                Some(old) if old.copy => OldPlace::Copy { version: old.version, open: old.window.is_open() },
                Some(_) => return Ok(record),
            };
        }
        Err(StoreError::Conflict)
    }
}
