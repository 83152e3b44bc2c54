//! Servers in the table: partition `SERVERS`, one item a server.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;
use wharfinger_decisions::{
    idle::Decision,
    names::ServerName,
    server::{ServerIntent, ServerSpec, ServerStatus, WantedPower},
};

use crate::{
    lease::Armed,
    record::Record,
    stored::{leniently, part},
    table::{Guard, Key, StoreError, Table},
    unique::Claim,
};

/// The partition of all servers.
pub const PARTITION: &str = "SERVERS";

/// A server as the table holds it.
pub type ServerRecord = Record<ServerIntent, ServerStatus>;

/// A server's whole item: the record, and what functions store beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerItem {
    /// What is wanted and what is known.
    #[serde(flatten)]
    pub record: ServerRecord,
    /// The last decision of the idle sweep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The wake-up that `reconcile` has armed.
    pub armed: Armed,
}

impl<'de> Deserialize<'de> for ServerItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let item = Value::deserialize(deserializer)?;
        let record = Record::from_stored(&item).map_err(D::Error::custom)?;
        Ok(Self { record, decision: part(&item, "/decision"), armed: leniently(item.get("armed")) })
    }
}

/// The key of a server.
#[must_use]
pub fn key(server: &ServerName) -> Key {
    Key::new(PARTITION, server.as_str())
}

/// What only one server may have: its Elastic IPs, and the security group with its rules. EC2 keeps identical rules
/// only once, so two servers that allow the same block would share a rule, and a change of one would lock out the
/// clients of the other.
#[must_use]
pub fn claims(spec: &ServerSpec) -> Vec<Claim> {
    let network = &spec.network;
    let addresses = network.address_allocation_ids.iter().filter_map(|id| Claim::new("address", &[id.as_str()]));
    let group = network.security_group_ids.first().filter(|_| !network.allowed_cidrs.is_empty());
    addresses.chain(group.and_then(|group| Claim::new("rules", &[group.as_str()]))).collect()
}

impl Table {
    /// Sets the wanted power of a server that was read at version `seen` and is not being deleted. The rest of the
    /// intent stays, including parts that another version wrote. Returns the new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn want_power(
        &self,
        server: &ServerName,
        power: &WantedPower,
        seen: u64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let guard = Guard::that("version = :seen AND deleting = :no").value(":no", false)?.value(":power", power)?;
        self.next_version(&key(server), "intent.#power = :power", guard.name("#power", "power"), seen, now).await
    }

    /// Renews the wanted power of a server that was read at version `seen` and is not being deleted: it was asked for
    /// again, and is the same. The version stays.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn renew_power(&self, server: &ServerName, power: &WantedPower, seen: u64) -> Result<(), StoreError> {
        let guard = Guard::that("version = :seen AND deleting = :no").value(":seen", seen)?.value(":no", false)?;
        let guard = guard.value(":power", power)?.name("#power", "power");
        self.update(&key(server), "SET intent.#power = :power", guard).await
    }

    /// Sets the wanted power of a server because nobody uses it. Unlike [`want_power`](Self::want_power) it also
    /// conflicts with [`renew_power`](Self::renew_power). Returns the new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the server has changed since `record` was read, or its power was asked for again.
    pub async fn want_power_unless_used(
        &self,
        server: &ServerName,
        power: &WantedPower,
        record: &ServerRecord,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let guard = Guard::that("version = :seen AND deleting = :no AND intent.#power.#at = :asked_at")
            .value(":no", false)?
            .value(":power", power)?
            .value(":asked_at", record.intent.power.at)?
            .name("#power", "power")
            .name("#at", "at");
        self.next_version(&key(server), "intent.#power = :power", guard, record.version, now).await
    }

    /// Removes a server that was read as `record`, and its claims, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn forget_server(&self, server: &ServerName, record: &ServerRecord) -> Result<(), StoreError> {
        let key = key(server);
        let gone = self.delete_in_transaction(&key, Guard::that("version = :seen").value(":seen", record.version)?);
        let mut writes = self.freeing(&key, &claims(&record.intent.spec)).await?;
        writes.push(gone);
        self.transact("forget a server", writes).await
    }

    /// Records the idle sweep's decision. Does nothing if `server` does not exist.
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
    use wharfinger_chance::Chance;
    use wharfinger_decisions::server::{Asker, Power};
    use wharfinger_test_cloud::{Cloud, TABLE};

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

    #[tokio::test]
    async fn a_stop_for_want_of_use_gives_way_to_whoever_asks_again() {
        let cloud = Cloud::new();
        let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, Chance::seeded(1));
        let (name, now): (_, Timestamp) = (ServerName::parse("main").unwrap(), "2026-01-01T01:00:00Z".parse().unwrap());
        let fixture = include_bytes!("../fixtures/present/server.json");
        let mut item: Value = serde_json::from_slice(fixture).unwrap();
        (item["pk"], item["sk"]) = (serde_json::json!({"S": PARTITION}), serde_json::json!({"S": "main"}));
        cloud.put(&item);
        let seen: ServerRecord = table.get(&key(&name)).await.unwrap().unwrap();
        let power = |power| WantedPower { power, by: Asker::Autostop, reason: "as the test wants it".into(), at: now };

        table.renew_power(&name, &power(Power::Online), seen.version).await.unwrap();
        let stopped = table.want_power_unless_used(&name, &power(Power::Stopped), &seen, now).await;
        assert!(matches!(stopped, Err(StoreError::Conflict)), "{stopped:?}");

        let seen: ServerRecord = table.get(&key(&name)).await.unwrap().unwrap();
        let stopped = table.want_power_unless_used(&name, &power(Power::Stopped), &seen, now).await;
        assert_eq!(stopped.unwrap(), seen.version + 1);
    }

    #[test]
    fn an_item_without_notes_is_read() {
        let armed: Armed = serde_json::from_str("{}").unwrap();
        assert!(!armed.is_pending("2026-01-01T00:00:00Z".parse().unwrap(), jiff::SignedDuration::from_secs(30)));
    }
}
