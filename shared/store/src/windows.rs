//! Windows in the table: partition `WINDOW#{site}`, item `current`, with the events that were seen beside it (see
//! [`seen`]). Whoever changes a window names the version that was read, so that of two writers one starts
//! anew. The item also holds the site's lock: the rollout in flight.
//!
//! Where release 0.1 looks for a window lies a short copy (see [`old_place`]).

pub mod old_place;
pub mod seen;
#[cfg(test)]
mod tests;

use aws_sdk_dynamodb::types::TransactWriteItem;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{names::SiteName, seen_events::SeenEvents, site::SiteSpec, window::Window};

use self::{
    old_place::{OldPlace, old_key},
    seen::SeenSpan,
};
use crate::table::{Guard, Key, StoreError, Table};

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

/// Where a site's window lies.
#[must_use]
pub fn key(site: &SiteName) -> Key {
    Key::new(format!("WINDOW#{site}"), "current")
}

fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SiteSpec>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()))
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
            _ if record.window.is_open() && !record.old.is_open_copy() => self.copy_opening(site, record).await,
            _ => Ok(record),
        }
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
        let opens = u64::try_from(events.len()).is_ok_and(|new| new > 0 && new == record.window.changes());
        let mut others = Vec::new();
        if events.len() > seen::MOST_INLINE {
            others.extend(self.seen_item(site, &mut next, "burst", events, now)?);
        } else if next.seen.len() + events.len() > seen::MOST_INLINE {
            // They are counted already, so this item can be written before the window that no longer names them.
            let earlier = std::mem::take(&mut next.seen);
            next.seen_span.add(next.version, &earlier);
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
        // After the window: until the copy is written, whoever brought the changes has not acknowledged them.
        if opens { self.copy_opening(site, next).await } else { Ok(next) }
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
        next.seen_span.add(next.version, events);
        let key = seen::key(site, next.version, kind);
        self.put_in_transaction(&key, &seen::item(events, now), Guard::none()).map(Some)
    }

    /// The window's write in a transaction.
    pub(crate) fn window_in_transaction(
        &self,
        site: &SiteName,
        record: &WindowRecord,
    ) -> Result<TransactWriteItem, StoreError> {
        let (next, condition) = record.next()?;
        self.put_in_transaction(&key(site), &next, condition)
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
}
