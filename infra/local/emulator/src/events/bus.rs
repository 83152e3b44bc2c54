//! The default event bus: services put events, the rules take them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    ids::{ACCOUNT, REGION},
};

/// The sending side of the bus. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventBus {
    sender: mpsc::UnboundedSender<Value>,
    clock: Clock,
    recent: Arc<Mutex<VecDeque<Value>>>,
}

/// So many events are remembered.
const REMEMBERED: usize = 1000;

impl EventBus {
    /// A bus, and the stream of the events that are put on it, in EventBridge's envelope.
    #[must_use]
    pub fn new(clock: Clock) -> (Self, mpsc::UnboundedReceiver<Value>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, clock, recent: Arc::default() }, receiver)
    }

    /// Puts one event on the bus, as an AWS service would.
    pub fn put(&self, source: &str, detail_type: &str, resources: &[String], detail: Value) {
        let time = Timestamp::from_second(self.clock.now().as_second()).unwrap_or_default();
        let event = json!({
            "version": "0",
            "id": crate::ids::random_uuid().to_string(),
            "detail-type": detail_type,
            "source": source,
            "account": ACCOUNT,
            "time": time.to_string(),
            "region": REGION,
            "resources": resources,
            "detail": detail,
        });
        self.remember(event.clone());
        // A region that is shutting down has no rules left to take the event.
        let _ = self.sender.send(event);
    }

    /// The last events, the oldest first, so that a test can hold them against rules.
    #[must_use]
    pub fn recent(&self) -> Vec<Value> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn remember(&self, event: Value) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(event);
    }
}
