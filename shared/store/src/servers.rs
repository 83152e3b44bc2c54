//! Servers in the table: partition `SERVERS`, one item a server.

use serde::{Deserialize, Serialize};
use wharfinger_decisions::{
    idle::Decision,
    names::ServerName,
    server::{ServerIntent, ServerStatus},
};

use crate::{
    lease::Armed,
    record::Record,
    table::{Guard, Key, StoreError, Table},
};

/// The partition of all servers.
pub const PARTITION: &str = "SERVERS";

/// A server as the table holds it.
pub type ServerRecord = Record<ServerIntent, ServerStatus>;

/// A server's whole item: the record, and what functions note beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerItem {
    /// What is wanted and what is known.
    #[serde(flatten)]
    pub record: ServerRecord,
    /// The last decision of the idle sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The wake-up that `reconcile` has armed.
    #[serde(default)]
    pub armed: Armed,
}

/// Where a server lies.
#[must_use]
pub fn key(server: &ServerName) -> Key {
    Key::new(PARTITION, server.as_str())
}

impl Table {
    /// Notes the idle sweep's decision about `server`. One that is gone is fine.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn note_decision(&self, server: &ServerName, decision: &Decision) -> Result<(), StoreError> {
        let condition = Guard::present().value(":decision", decision)?;
        match self.update(&key(server), "SET decision = :decision", condition).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_reads_back_as_it_was_written() {
        let record = serde_json::json!({
            "intent": {
                "spec": {
                    "file_system_id": "fs-0a1b2c3d",
                    "network": {"vpc_id": "vpc-0a1b2c3d", "subnet_ids": ["subnet-0a1b2c3d"], "security_group_ids": ["sg-0a1b2c3d"]},
                    "idle": {"after": "30m", "action": "stop"},
                },
                "power": {"power": "online", "by": {"person": "alice"}, "reason": "asked", "at": "2026-01-01T00:00:00Z"},
            },
            "status": {"power": "online", "reason": "asked", "settled_version": 3},
            "version": 3, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        let record: ServerRecord = serde_json::from_value(record).unwrap();
        let armed = Armed { at: Some("2026-01-01T00:00:02Z".parse().unwrap()), step: "starting".into(), tries: 2 };
        let item = ServerItem { record, decision: None, armed };
        let attributes: crate::table::Attributes = serde_dynamo::to_item(&item).unwrap();
        assert_eq!(serde_dynamo::from_item::<_, ServerItem>(attributes).unwrap(), item);
    }

    #[test]
    fn an_item_without_notes_is_read() {
        let armed: Armed = serde_json::from_str("{}").unwrap();
        assert!(!armed.is_pending("2026-01-01T00:00:00Z".parse().unwrap(), jiff::SignedDuration::from_secs(30)));
    }
}
