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
use wharfinger_decisions::{
    drift::Comparison,
    gate::{self, Word},
    names::SiteName,
    rollout::Wanted,
    seen_events::SeenEvents,
    site::SiteSpec,
    window::{self, Decision, Window},
};

use self::{
    old_place::{OldPlace, old_key},
    seen::SeenSpan,
};
use crate::{
    stored::{intent_beside, leniently},
    table::{Guard, Key, StoreError, Table},
};

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
    #[serde(default, deserialize_with = "intent_beside", skip_serializing_if = "Option::is_none")]
    pub rollout_spec: Option<SiteSpec>,
    /// A rollout that is due whatever the window says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Wanted>,
    /// What a rollout that is due waits for, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// How what is wanted was last compared with what runs, once the site was rolled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Comparison>,
    /// What persons say of the site's rollouts.
    #[serde(default, deserialize_with = "readable_word", skip_serializing_if = "Word::is_empty")]
    pub word: Word,
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

fn readable_word<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
    Ok(leniently(Option::<serde_json::Value>::deserialize(deserializer)?.as_ref()))
}

impl WindowRecord {
    /// What to do with the window of the site `spec` at `now`, by its changes, by what is wanted, and by what persons say.
    #[must_use]
    pub fn decide(&self, spec: &SiteSpec, now: Timestamp) -> Decision {
        gate::decide(&self.window, &self.word, self.wanted.as_ref(), spec, now)
    }

    /// Whether a rollout is wanted or ordered, now or when the changes are finished.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.window.is_open() || self.wanted.is_some() || self.word.order.is_some()
    }

    /// Whether somebody may still upload what belongs to the window's changes. When they are finished and wait for a
    /// person, a freeze or some time alone, nobody needs a server.
    #[must_use]
    pub fn needs_server(&self, spec: &SiteSpec, now: Timestamp) -> bool {
        let finished = matches!(window::decide(&self.window, &spec.finish, now), Decision::Claim { .. });
        let kept = !matches!(self.decide(spec, now), Decision::Claim { .. });
        self.window.is_open() && !(finished && kept)
    }

    /// Whether there ever was a rollout: what was never rolled out is compared with nothing.
    #[must_use]
    pub fn was_rolled_out(&self) -> bool {
        self.compared.is_some() || self.window.claimed_seq > 0
    }

    /// Whether the site, which is at `version`, is to be compared with what runs.
    #[must_use]
    pub fn is_to_be_compared(&self, version: u64, now: Timestamp) -> bool {
        self.was_rolled_out() && self.compared.as_ref().is_none_or(|compared| compared.is_stale(version, now))
    }

    /// The comparison of a site that is rolled out anew at `version`.
    #[must_use]
    pub fn compared_anew(&self, version: u64, now: Timestamp) -> Comparison {
        let repairs = self.compared.as_ref().map(|compared| compared.repairs.clone()).unwrap_or_default();
        Comparison { at: now, spec_version: version, task_definition: None, condition: None, repairs }
    }

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
        let (next, condition) = record.next()?;
        // At least as many events as changes: among them are those that wait for no rollout.
        let opens =
            record.window.is_open() && u64::try_from(events.len()).is_ok_and(|new| new >= record.window.changes());
        let (next, of_events) = self.remember(site, next, events, now).await?;
        let (next, of_the_old_place) = self.move_from_old_place(site, record, next, now)?;
        let beside: Vec<TransactWriteItem> = of_events.into_iter().chain(of_the_old_place).collect();
        if beside.is_empty() {
            self.put(&key(site), &next, condition).await?;
        } else {
            let window = self.put_in_transaction(&key(site), &next, condition)?;
            self.transact("count changes", beside.into_iter().chain([window]).collect()).await?;
        }
        // After the window: until the copy is written, whoever brought the changes has not acknowledged them.
        if opens { self.copy_opening(site, next).await } else { Ok(next) }
    }

    /// The window `next` as it knows `events`, and the item that is to be written with it, where they are too many for its
    /// own.
    async fn remember(
        &self,
        site: &SiteName,
        mut next: WindowRecord,
        events: &SeenEvents,
        now: Timestamp,
    ) -> Result<(WindowRecord, Option<TransactWriteItem>), StoreError> {
        if events.len() > seen::MOST_INLINE {
            return self.with_seen_item(site, next, "burst", events, now);
        }
        if next.seen.len() + events.len() > seen::MOST_INLINE {
            // They are counted already, so this item can be written before the window that no longer names them.
            let earlier = std::mem::take(&mut next.seen);
            next.seen_span.add(next.version, &earlier);
            self.put(&seen::key(site, next.version, "earlier"), &seen::item(&earlier, now), Guard::none()).await?;
        }
        next.seen.extend(events);
        Ok((next, None))
    }

    /// The window `next` of `record`, and what is to be written with it: what release 0.1 left gives way to a copy.
    fn move_from_old_place(
        &self,
        site: &SiteName,
        record: &WindowRecord,
        next: WindowRecord,
        now: Timestamp,
    ) -> Result<(WindowRecord, Vec<TransactWriteItem>), StoreError> {
        let OldPlace::Earlier { seen, .. } = &record.old else { return Ok((next, Vec::new())) };
        let (next, of_events) = self.with_seen_item(site, next, "taken-over", seen, now)?;
        let copy = self.put_in_transaction(&old_key(site), &record.copy(), record.old.guard()?)?;
        Ok((next.copied(), of_events.into_iter().chain([copy]).collect()))
    }

    fn with_seen_item(
        &self,
        site: &SiteName,
        mut next: WindowRecord,
        kind: &str,
        events: &SeenEvents,
        now: Timestamp,
    ) -> Result<(WindowRecord, Option<TransactWriteItem>), StoreError> {
        if events.is_empty() {
            return Ok((next, None));
        }
        next.seen_span.add(next.version, events);
        let key = seen::key(site, next.version, kind);
        let item = self.put_in_transaction(&key, &seen::item(events, now), Guard::none())?;
        Ok((next, Some(item)))
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
