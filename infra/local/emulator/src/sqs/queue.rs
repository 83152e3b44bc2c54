//! One standard queue: its messages, who sees them when, and which have been received too often. Time comes in as
//! milliseconds since 1970.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sqs::declaration::Redrive;

/// A queue and its messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// How long a received message stays hidden, in seconds.
    pub visibility_seconds: u64,
    /// How long a new message stays hidden, in seconds.
    pub delay_seconds: u64,
    /// How long a message is kept, in seconds.
    pub retention_seconds: u64,
    /// How long a receive waits by default, in seconds.
    pub wait_seconds: u64,
    /// The largest message, in bytes.
    pub maximum_bytes: usize,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    next_number: u64,
    messages: BTreeMap<u64, Message>,
}

/// A message in a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Its id, the same for all its life.
    pub id: String,
    /// Its text.
    pub body: String,
    /// Its attributes, in AWS's form.
    pub attributes: Map<String, Value>,
    /// When it was sent.
    pub sent_ms: i64,
    /// When it was received first.
    pub first_received_ms: Option<i64>,
    /// How often it was received.
    pub receive_count: u32,
    /// The ARN of the queue whose dead letter it is.
    pub dead_letter_of: Option<String>,
    /// The handle of its latest receive; None once it was only sent.
    pub receipt_handle: Option<String>,
    visible_ms: i64,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ready to be received.
    pub visible: usize,
    /// Received, not deleted, still hidden.
    pub in_flight: usize,
    /// Sent with a delay that isn't over.
    pub delayed: usize,
}

/// What one receive takes.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// At most so many messages.
    pub most: usize,
    /// At most so many bytes of bodies in JSON, but always one message.
    pub most_bytes: usize,
    /// For how long they are hidden, in seconds.
    pub visibility_seconds: u64,
    /// Messages that were received so often are given up instead.
    pub receive_limit: u32,
}

/// What came of naming a message by its receipt handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was done.
    Done,
    /// The message is gone, or was received anew since.
    Stale,
    /// That is no receipt handle.
    Invalid,
}

impl Queue {
    /// An empty queue with AWS's defaults.
    #[must_use]
    pub fn new(now_ms: i64) -> Self {
        Self {
            visibility_seconds: 30,
            delay_seconds: 0,
            retention_seconds: 345_600,
            wait_seconds: 0,
            maximum_bytes: 1_048_576,
            redrive: None,
            created_ms: now_ms,
            next_number: 0,
            messages: BTreeMap::new(),
        }
    }

    /// Adds a message that becomes visible after `delay_seconds`; its id.
    pub fn push(&mut self, body: String, attributes: Map<String, Value>, delay_seconds: u64, now_ms: i64) -> String {
        let id = crate::ids::random_uuid().to_string();
        self.insert(Message {
            id: id.clone(),
            body,
            attributes,
            sent_ms: now_ms,
            first_received_ms: None,
            receive_count: 0,
            dead_letter_of: None,
            receipt_handle: None,
            visible_ms: now_ms + milliseconds(delay_seconds),
        });
        id
    }

    /// Adds a message that another queue gave up.
    pub fn push_dead_letter(&mut self, mut message: Message, source_arn: &str, now_ms: i64) {
        message.dead_letter_of = Some(source_arn.to_owned());
        message.receipt_handle = None;
        message.visible_ms = now_ms;
        self.insert(message);
    }

    fn insert(&mut self, message: Message) {
        self.messages.insert(self.next_number, message);
        self.next_number += 1;
    }

    /// Receives visible messages. Those that were received too often come second: they are out of this queue.
    pub fn take(&mut self, take: Take, now_ms: i64) -> (Vec<Message>, Vec<Message>) {
        let oldest_ms = now_ms - milliseconds(self.retention_seconds);
        self.messages.retain(|_, message| message.sent_ms >= oldest_ms);
        let (mut taken, mut dead, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (number, message) in self.messages.iter_mut().filter(|(_, message)| message.visible_ms <= now_ms) {
            if message.receive_count >= take.receive_limit {
                dead.push(*number);
                continue;
            }
            bytes += message.bytes_in_json();
            if taken.len() == take.most || (bytes > take.most_bytes && !taken.is_empty()) {
                break;
            }
            message.receive_count += 1;
            message.first_received_ms.get_or_insert(now_ms);
            message.receipt_handle = Some(format!("{number}-{}", crate::ids::random_uuid().simple()));
            message.visible_ms = now_ms + milliseconds(take.visibility_seconds);
            taken.push(message.clone());
        }
        let dead = dead.iter().filter_map(|number| self.messages.remove(number)).collect();
        (taken, dead)
    }

    /// When the next hidden message becomes visible.
    #[must_use]
    pub fn next_visible_ms(&self) -> Option<i64> {
        self.messages.values().map(|message| message.visible_ms).min()
    }

    /// Deletes the message of that receive. A stale handle deletes nothing, and AWS calls that a success.
    pub fn delete(&mut self, handle: &str) -> Handled {
        match self.find(handle) {
            Ok(number) => {
                self.messages.remove(&number);
                Handled::Done
            }
            Err(problem) => problem,
        }
    }

    /// Hides the message of that receive for `seconds` from now, also when it is visible again already.
    pub fn change_visibility(&mut self, handle: &str, seconds: u64, now_ms: i64) -> Handled {
        match self.find(handle) {
            Ok(number) => match self.messages.get_mut(&number) {
                Some(message) => {
                    message.visible_ms = now_ms + milliseconds(seconds);
                    Handled::Done
                }
                None => Handled::Stale,
            },
            Err(problem) => problem,
        }
    }

    fn find(&self, handle: &str) -> Result<u64, Handled> {
        let number = handle.split_once('-').and_then(|(number, _)| number.parse().ok()).ok_or(Handled::Invalid)?;
        let message = self.messages.get(&number).ok_or(Handled::Stale)?;
        if message.receipt_handle.as_deref() == Some(handle) { Ok(number) } else { Err(Handled::Stale) }
    }

    /// Drops all messages.
    pub fn purge(&mut self) {
        self.messages.clear();
    }

    /// The bodies of all messages, in the order they came.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.messages.values().map(|message| message.body.clone()).collect()
    }

    /// How many messages there are.
    #[must_use]
    pub fn counts(&self, now_ms: i64) -> Counts {
        let mut counts = Counts::default();
        for message in self.messages.values() {
            if message.visible_ms <= now_ms {
                counts.visible += 1;
            } else if message.receipt_handle.is_some() {
                counts.in_flight += 1;
            } else {
                counts.delayed += 1;
            }
        }
        counts
    }
}

impl Message {
    /// The size of the body once it is written as JSON.
    #[must_use]
    pub fn bytes_in_json(&self) -> usize {
        serde_json::to_string(&self.body).map_or(self.body.len(), |text| text.len())
    }
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)
}
