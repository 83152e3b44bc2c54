//! The structured log of a server's sessions, as JSON lines in a log group. Cipher and key exchange are not in it.
//!
//! - <https://docs.aws.amazon.com/transfer/latest/userguide/cw-structure-logs.html>
//! - <https://docs.aws.amazon.com/transfer/latest/userguide/cw-example-logs.html>

use serde_json::{Map, Value};

use crate::{context::Context, logs::LogGroups};

/// The log of one session. A server that names no log group has a log that keeps nothing.
#[derive(Clone, Debug)]
pub(crate) struct ActivityLog {
    context: Context,
    destination: Option<(LogGroups, String)>,
    server_id: String,
    session_id: String,
}

impl ActivityLog {
    pub(super) fn new(
        context: Context,
        destination: Option<(LogGroups, String)>,
        server_id: &str,
        session_id: &str,
    ) -> Self {
        Self { context, destination, server_id: server_id.to_owned(), session_id: session_id.to_owned() }
    }

    /// Writes one line: `activity` is its `activity-type`.
    pub(super) fn write(&self, activity: &str, members: &[(&str, Value)]) {
        let Some((groups, group)) = &self.destination else { return };
        let mut line = Map::new();
        let mut set = |name: &str, value: Value| line.insert(name.to_owned(), value);
        set("activity-type", activity.into());
        set("resource-arn", self.context.arn("transfer", &format!("server/{}", self.server_id)).into());
        set("session-id", self.session_id.clone().into());
        for (name, value) in members {
            set(name, value.clone());
        }
        let at_ms = self.context.clock.now().as_millisecond();
        let lag_ms = i64::try_from(self.context.pace.log_lag.as_millis()).unwrap_or(i64::MAX);
        groups.put(group, &self.server_id, (at_ms, at_ms.saturating_add(lag_ms)), Value::Object(line).to_string());
    }
}
