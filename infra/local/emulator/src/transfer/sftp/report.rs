//! The events that Transfer Family sends to EventBridge: what each operation of a session did, or failed to do.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::context::Context;

/// Sends the events of one session.
#[derive(Clone, Debug)]
pub(super) struct Reporter {
    pub(super) context: Context,
    pub(super) server_id: String,
    pub(super) user_name: String,
    pub(super) session_id: String,
    pub(super) client_ip: String,
}

/// What came of an operation.
pub(super) enum Outcome {
    Completed,
    /// AWS's failure code, and a sentence.
    Failed(&'static str, String),
}

impl Reporter {
    /// The present time.
    pub(super) fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// Sends `SFTP Server <kind> Completed` or `… Failed`, with `members` beside what every event has.
    pub(super) fn send(&self, kind: &str, outcome: Outcome, started: Timestamp, members: &[(&str, Value)]) {
        let mut detail = Map::new();
        let mut set = |name: &str, value: Value| detail.insert(name.to_owned(), value);
        let word = match outcome {
            Outcome::Completed => {
                set("status-code", "COMPLETED".into());
                "Completed"
            }
            Outcome::Failed(code, message) => {
                set("status-code", "FAILED".into());
                set("failure-code", code.into());
                set("failure-message", message.into());
                "Failed"
            }
        };
        set("protocol", "SFTP".into());
        set("client-ip", self.client_ip.clone().into());
        set("server-id", self.server_id.clone().into());
        set("username", self.user_name.clone().into());
        set("session-id", self.session_id.clone().into());
        set("start-timestamp", format!("{started:.9}").into());
        set("end-timestamp", format!("{:.9}", self.now()).into());
        for (name, value) in members {
            set(name, value.clone());
        }
        let arn = self.context.arn("transfer", &format!("server/{}", self.server_id));
        let detail_type = format!("SFTP Server {kind} {word}");
        self.context.bus.put("aws.transfer", &detail_type, &[arn], Value::Object(detail));
    }
}
