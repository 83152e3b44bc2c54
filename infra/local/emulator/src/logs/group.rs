//! Log groups, and the events in them. Services put events; the operations read them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids::{ACCOUNT, REGION};

/// So many events of a group are kept; AWS keeps all until their retention is over.
const KEPT: usize = 10_000;

const DAY_MS: i64 = 86_400_000;

/// The log groups of a region. Cheap to clone; clones share the groups.
#[derive(Clone, Debug, Default)]
pub struct LogGroups(Arc<Mutex<BTreeMap<String, Group>>>);

/// One log group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Group {
    name: String,
    created_ms: i64,
    /// None keeps events for ever.
    retention_days: Option<u32>,
    /// Oldest first.
    events: VecDeque<Event>,
    /// How many events were put into it.
    count: u64,
}

/// One event of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Event {
    /// Counts up within the group.
    pub(super) id: u64,
    pub(super) stream: String,
    pub(super) at_ms: i64,
    pub(super) ingested_ms: i64,
    pub(super) message: String,
}

impl LogGroups {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a group, or sets the retention of one that is there.
    pub fn declare(&self, name: &str, retention_days: Option<u32>, now_ms: i64) {
        let mut groups = self.lock();
        let group = groups.entry(name.to_owned()).or_insert_with(|| Group {
            name: name.to_owned(),
            created_ms: now_ms,
            retention_days,
            events: VecDeque::new(),
            count: 0,
        });
        group.retention_days = retention_days;
    }

    /// The name of the group that `arn` means, with or without `:*` at its end; none if there is no such group.
    #[must_use]
    pub fn find(&self, arn: &str) -> Option<String> {
        let name = name_of(arn)?;
        self.lock().contains_key(name).then(|| name.to_owned())
    }

    /// Puts an event that happened at `at_ms` into a group, for readers from `ingested_ms` on. A group that is gone
    /// takes none.
    pub fn put(&self, group: &str, stream: &str, (at_ms, ingested_ms): (i64, i64), message: String) {
        if let Some(group) = self.lock().get_mut(group) {
            group.put(stream, (at_ms, ingested_ms), message);
        }
    }
}

impl Group {
    fn put(&mut self, stream: &str, (at_ms, ingested_ms): (i64, i64), message: String) {
        self.count += 1;
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(Event { id: self.count, stream: stream.to_owned(), at_ms, ingested_ms, message });
    }

    /// The events that can be read now, oldest first.
    pub(super) fn visible(&self, now_ms: i64) -> impl Iterator<Item = &Event> {
        let oldest = self.retention_days.map_or(i64::MIN, |days| now_ms - i64::from(days) * DAY_MS);
        self.events.iter().filter(move |event| event.ingested_ms <= now_ms && event.at_ms >= oldest)
    }

    /// `LogGroup`.
    pub(super) fn show(&self) -> Value {
        let arn = arn(&self.name);
        let bytes: usize = self.events.iter().map(|event| event.message.len()).sum();
        let mut shown = json!({
            "logGroupName": self.name, "creationTime": self.created_ms, "metricFilterCount": 0, "storedBytes": bytes,
            "arn": format!("{arn}:*"), "logGroupArn": arn, "logGroupClass": "STANDARD",
            "deletionProtectionEnabled": false,
        });
        if let Some(days) = self.retention_days {
            shown["retentionInDays"] = days.into();
        }
        shown
    }
}

impl Event {
    /// `FilteredLogEvent`.
    pub(super) fn show(&self) -> Value {
        json!({
            "eventId": format!("{:056}", self.id), "logStreamName": self.stream, "timestamp": self.at_ms,
            "ingestionTime": self.ingested_ms, "message": self.message,
        })
    }
}

/// The ARN of a group, as tags and structured log destinations name it.
fn arn(name: &str) -> String {
    format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}")
}

/// The name in an ARN of this account and region.
pub(super) fn name_of(arn: &str) -> Option<&str> {
    let name = arn.strip_prefix(&format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:"))?;
    Some(name.strip_suffix(":*").unwrap_or(name))
}
