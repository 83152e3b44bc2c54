//! The events that a site's window has counted. The latest lie in the window's own item, so that counting a change and
//! remembering its event is one write; when there is no more room they move into an item of their own in the same
//! partition, and those of a burst are written there at once, in one transaction with the window. So a put of a window
//! stays small whatever came before.
//!
//! An event is known for [`HORIZON`], and as long as it is among the latest [`MOST_SEEN`] at least.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{names::SiteName, seen_events::SeenEvents, sftp_event::Change, window::MOST_SKEW};

use super::WindowRecord;
use crate::table::{Key, StoreError, Table, table_error};

/// How many events lie in the window's own item: 352 bytes.
pub(crate) const MOST_INLINE: usize = 16;

/// How many of the latest events are known at least.
pub const MOST_SEEN: u32 = 1_000;

/// How long an event is known: SQS keeps a message for 14 days at most, so none comes again later, dead letters
/// included. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html>
pub const HORIZON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Which items are read: those written from version `from` of the window on. They come in two generations, so that the
/// older one can be left out once the younger one has [`MOST_SEEN`] events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenSpan {
    from: u64,
    younger_from: u64,
    younger: u32,
    /// When the latest event in any of the items was made, in milliseconds; `None` where an earlier version did not
    /// note it.
    #[serde(default)]
    latest: Option<u64>,
}

impl SeenSpan {
    /// An item of `events` is written with the window's `version`.
    pub(crate) fn add(&mut self, version: u64, events: &SeenEvents) {
        if self.from == 0 {
            self.from = version;
            self.latest = events.latest();
        }
        self.latest = self.latest.map(|latest| latest.max(events.latest().unwrap_or_default()));
        if self.younger >= MOST_SEEN {
            (self.from, self.younger_from, self.younger) = (self.younger_from, version, 0);
        }
        if self.younger_from == 0 {
            self.younger_from = version;
        }
        self.younger = self.younger.saturating_add(u32::try_from(events.len()).unwrap_or(u32::MAX));
    }

    /// Whether none of the items can matter to `changes`: each was made well after every event in them, so it is none
    /// of these, and none of these came after it. [`MOST_SKEW`] is also by how much an event's time may differ between two
    /// deliveries, as one from a clock ahead of ours counts as of the moment when it comes; an event without a time of its
    /// own is told by [`Change::dated`].
    fn is_before(&self, changes: &[Change]) -> bool {
        let after = |change: &Change, latest: u64| {
            if !change.dated {
                return false;
            }
            let at = change.at.saturating_sub(MOST_SKEW).unwrap_or(Timestamp::MIN).as_millisecond();
            u64::try_from(at).is_ok_and(|at| at > latest)
        };
        self.from == 0 || self.latest.is_some_and(|latest| changes.iter().all(|change| after(change, latest)))
    }
}

/// An item of events.
#[derive(Serialize, Deserialize)]
pub(crate) struct SeenItem {
    events: SeenEvents,
    /// When DynamoDB may remove it, in seconds.
    expires_at: i64,
}

pub(crate) fn item(events: &SeenEvents, now: Timestamp) -> SeenItem {
    SeenItem { events: events.clone(), expires_at: now.as_second() + HORIZON.as_secs() }
}

/// Where the events lie that moved, for the reason `kind`, with the window's `version`.
pub(crate) fn key(site: &SiteName, version: u64, kind: &str) -> Key {
    Key::new(super::key(site).pk, format!("seen#{version:020}#{kind}"))
}

impl Table {
    /// The events that the window `record` has counted, as far as they are known at `now` and can matter to `changes`.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn seen_events(
        &self,
        site: &SiteName,
        record: &WindowRecord,
        changes: &[Change],
        now: Timestamp,
    ) -> Result<SeenEvents, StoreError> {
        let mut seen = record.seen.clone();
        let (mut start, from) = (None, record.seen_span.from);
        // A lone upload spares itself the latest thousand events.
        if record.seen_span.is_before(changes) {
            return Ok(seen);
        }
        loop {
            let text = |text: String| AttributeValue::S(text);
            let answer = self
                .client()
                .query()
                .table_name(self.name())
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", text(super::key(site).pk))
                .expression_attribute_values(":from", text(key(site, from, "").sk))
                .expression_attribute_values(":to", text("seen#~".to_owned()))
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| table_error("list seen events", error))?;
            for item in answer.items.unwrap_or_default() {
                // What can't be read costs a rollout too many at most.
                let Ok(item) = serde_dynamo::from_item::<_, SeenItem>(item) else { continue };
                if item.expires_at > now.as_second() {
                    seen.extend(&item.events);
                }
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_decisions::{sftp_event::Effect, window::Window};

    use super::*;

    /// `count` events, a second after each other.
    fn seen(count: u32) -> SeenEvents {
        let change = |event: u32| Change {
            event: event.into(),
            at: Timestamp::from_second(event.into()).unwrap(),
            dated: true,
            file: "a".into(),
            effect: Effect::Whole,
            bytes: 0,
            user: None,
            marker: false,
        };
        let changes: Vec<Change> = (0..count).map(change).collect();
        Window::default().absorb(&SeenEvents::default(), &changes, Timestamp::UNIX_EPOCH).events
    }

    #[test]
    fn the_span_reaches_back_over_the_latest_thousand_at_least_and_ends() {
        let mut span = SeenSpan::default();
        let mut written: Vec<(u64, u32)> = Vec::new();
        for version in 1..=10_000_u64 {
            let events = u32::try_from(version % 40 + 1).unwrap();
            span.add(version, &seen(events));
            written.push((version, events));
            let reached: u32 =
                written.iter().filter(|(version, _)| *version >= span.from).map(|(_, events)| events).sum();
            let all: u32 = written.iter().map(|(_, events)| events).sum();
            assert!(reached >= MOST_SEEN.min(all) && reached < 2 * MOST_SEEN + 80, "{reached} of {all}");
        }
    }
}
