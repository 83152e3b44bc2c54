//! Windows in the table: partition `WINDOW#{site}`, item `current`, with the events that were seen beside it (see
//! [`seen`]). Whoever changes a window names the version that was read, so that of two writers one starts
//! anew. The item also holds the site's lock: the rollout in flight.
//!
//! Release 0.1 kept all windows in one partition, `WINDOWS`. What it left there is taken over by the first write. After
//! that the old place holds a short copy, renewed when the window opens or closes and when a rollout begins or ends, so
//! that after a rollback of Wharfinger an open window is still rolled out, and no second rollout begins.

pub mod seen;
#[cfg(test)]
mod tests;

use aws_sdk_dynamodb::types::TransactWriteItem;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{names::SiteName, seen_events::SeenEvents, site::SiteSpec, window::Window};

use self::seen::SeenSpan;
use crate::table::{Guard, Key, StoreError, Table};

/// The partition of all windows in release 0.1.
const OLD_PARTITION: &str = "WINDOWS";

/// A site's window as the table holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// The changes since the last rollout.
    #[serde(default)]
    pub window: Window,
    /// The latest events that were counted: the others lie in items of their own.
    #[serde(default)]
    pub seen: SeenEvents,
    /// Where the others lie.
    #[serde(default)]
    pub seen_span: SeenSpan,
    /// When the armed tick is due. In the past: it is on its way or lost.
    #[serde(default)]
    pub armed_until: Option<Timestamp>,
    /// The rollout in flight. No other one starts before it is over.
    #[serde(default)]
    pub rollout: Option<String>,
    /// The site as the rollout in flight was made from: a site that is changed meanwhile is for the next one.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub rollout_spec: Option<SiteSpec>,
    /// Counts the writes; 0: there is no item yet.
    #[serde(default)]
    pub version: u64,
    /// What lies at the old place.
    #[serde(skip)]
    pub old: OldPlace,
}

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
        /// The rollout in flight that it shows.
        rollout: Option<String>,
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
#[derive(Serialize, Deserialize)]
struct OldItem {
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

/// The short copy as it is written: without `memory`, whose form has changed.
#[derive(Serialize)]
struct Copy<'a> {
    window: Window,
    rollout: &'a Option<String>,
    version: u64,
    copy: bool,
}

/// Where a site's window lies.
#[must_use]
pub fn key(site: &SiteName) -> Key {
    Key::new(format!("WINDOW#{site}"), "current")
}

/// Where release 0.1 kept it.
pub(crate) fn old_key(site: &SiteName) -> Key {
    Key::new(OLD_PARTITION, site.as_str())
}

fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SiteSpec>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
}

impl OldPlace {
    pub(crate) fn guard(&self) -> Result<Guard, StoreError> {
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
}

impl WindowRecord {
    /// The record as the next version, and the condition that nobody wrote one since it was read.
    fn next(&self) -> Result<(Self, Guard), StoreError> {
        let condition = match self.version {
            0 => Guard::absent(),
            seen => Guard::that("version = :seen").value(":seen", seen)?,
        };
        Ok((Self { version: self.version + 1, ..self.clone() }, condition))
    }

    /// Takes over what release 0.1 wrote: all of it before the first write at the new place, and after a rollback of
    /// Wharfinger what came in meanwhile.
    fn take_over(mut self, old: Option<OldItem>) -> Self {
        let Some(old) = old else { return self };
        let (version, open) = (old.version, old.window.is_open());
        if old.copy {
            self.old = OldPlace::Copy { version, open, rollout: old.rollout };
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

    fn copy(&self) -> Copy<'_> {
        let Window { seq, claimed_seq, first_change, last_change, .. } = self.window;
        let window = Window { seq, claimed_seq, first_change, last_change, ..Window::default() };
        Copy { window, rollout: &self.rollout, version: self.old.version() + 1, copy: true }
    }

    fn has_true_copy(&self) -> bool {
        match &self.old {
            OldPlace::Absent => !self.window.is_open() && self.rollout.is_none(),
            OldPlace::Copy { open, rollout, .. } => *open == self.window.is_open() && *rollout == self.rollout,
            OldPlace::Earlier { .. } => false,
        }
    }

    fn copied(mut self) -> Self {
        let (open, rollout) = (self.window.is_open(), self.rollout.clone());
        self.old = OldPlace::Copy { version: self.old.version() + 1, open, rollout };
        self
    }
}

impl Table {
    /// Reads a site's window: an empty one where nothing has changed yet.
    ///
    /// # Errors
    /// When DynamoDB fails or the item has another form.
    pub async fn window(&self, site: &SiteName) -> Result<WindowRecord, StoreError> {
        // The old place first: what is taken over between the two reads is then seen twice, and not nowhere.
        let old = self.get(&old_key(site)).await?;
        let record: WindowRecord = self.get(&key(site)).await?.unwrap_or_default();
        Ok(record.take_over(old))
    }

    /// Reads a site's window to work on it: what release 0.1 left is taken over first.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another writer was at it.
    pub async fn window_to_change(&self, site: &SiteName, now: Timestamp) -> Result<WindowRecord, StoreError> {
        let record = self.window(site).await?;
        match record.old {
            OldPlace::Earlier { .. } => self.count(site, &record, &SeenEvents::default(), now).await,
            _ => self.renew_copy(site, record).await,
        }
    }

    /// Writes a window that was read at `record.version`. Returns it as it now is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another was written since.
    pub async fn write_window(&self, site: &SiteName, record: &WindowRecord) -> Result<WindowRecord, StoreError> {
        let (next, condition) = record.next()?;
        self.put(&key(site), &next, condition).await?;
        self.renew_copy(site, next).await
    }

    /// Writes a window that was read at `record.version` and has counted `events` since. Returns it as it now is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another was written since.
    pub async fn count(
        &self,
        site: &SiteName,
        record: &WindowRecord,
        events: &SeenEvents,
        now: Timestamp,
    ) -> Result<WindowRecord, StoreError> {
        let (mut next, condition) = record.next()?;
        let mut others = Vec::new();
        if events.len() > seen::MOST_INLINE {
            others.extend(self.seen_item(site, &mut next, "burst", events, now)?);
        } else if next.seen.len() + events.len() > seen::MOST_INLINE {
            // They are counted already, so this item can be written before the window that no longer names them.
            let earlier = std::mem::take(&mut next.seen);
            next.seen_span.add(next.version, earlier.len());
            self.put(&seen::key(site, next.version, "earlier"), &seen::item(&earlier, now), Guard::none()).await?;
            next.seen.extend(events);
        } else {
            next.seen.extend(events);
        }
        if let OldPlace::Earlier { seen, .. } = &record.old {
            others.extend(self.seen_item(site, &mut next, "taken-over", seen, now)?);
            others.push(self.put_in_transaction(&old_key(site), &record.copy(), record.old.guard()?)?);
            next = next.copied();
        }
        if others.is_empty() {
            self.put(&key(site), &next, condition).await?;
        } else {
            others.push(self.put_in_transaction(&key(site), &next, condition)?);
            self.transact("count changes", others).await?;
        }
        self.renew_copy(site, next).await
    }

    fn seen_item(
        &self,
        site: &SiteName,
        next: &mut WindowRecord,
        kind: &str,
        events: &SeenEvents,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, StoreError> {
        if events.is_empty() {
            return Ok(None);
        }
        next.seen_span.add(next.version, events.len());
        let key = seen::key(site, next.version, kind);
        self.put_in_transaction(&key, &seen::item(events, now), Guard::none()).map(Some)
    }

    /// The window's write in a transaction, and the window as it will be.
    pub(crate) fn window_in_transaction(
        &self,
        site: &SiteName,
        record: &WindowRecord,
    ) -> Result<(WindowRecord, TransactWriteItem), StoreError> {
        let (next, condition) = record.next()?;
        let put = self.put_in_transaction(&key(site), &next, condition)?;
        Ok((next, put))
    }

    /// Removes a window that was read without a rollout in flight, in a transaction.
    pub(crate) fn forget_window(
        &self,
        site: &SiteName,
        record: &WindowRecord,
    ) -> Result<[TransactWriteItem; 2], StoreError> {
        let idle = "attribute_not_exists(#rollout) OR attribute_type(#rollout, :null)";
        let idle = Guard::that(format!("attribute_not_exists(pk) OR (version = :seen AND ({idle}))"))
            .name("#rollout", "rollout")
            .value(":seen", record.version)?
            .value(":null", "NULL")?;
        let old = self.delete_in_transaction(&old_key(site), record.old.guard()?);
        Ok([self.delete_in_transaction(&key(site), idle), old])
    }

    /// Brings the short copy up to date, where it is not. It is written after the window: until then whoever was woken
    /// for the site has not acknowledged the message, and does it the next time.
    pub(crate) async fn renew_copy(&self, site: &SiteName, record: WindowRecord) -> Result<WindowRecord, StoreError> {
        if record.has_true_copy() {
            return Ok(record);
        }
        match self.put(&old_key(site), &record.copy(), record.old.guard()?).await {
            Ok(()) => Ok(record.copied()),
            // Another writer's copy is as good; what release 0.1 wrote is taken over by the next reader.
            Err(StoreError::Conflict) => Ok(record),
            Err(error) => Err(error),
        }
    }
}
