//! The fingerprints of the host keys that were made for a server: partition `HOST_KEYS`, one item a server. It outlives the
//! server, as its secret does for a week: whoever makes a server of that name anew uses the keys that are restored.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use wharfinger_decisions::names::ServerName;

use crate::table::{Guard, Key, StoreError, Table};

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    fingerprints: BTreeSet<String>,
}

fn key(server: &ServerName) -> Key {
    Key::new("HOST_KEYS", server.as_str())
}

impl Table {
    /// The fingerprints of the host keys that were made for `server`.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn host_keys(&self, server: &ServerName) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.get::<Item>(&key(server)).await?.map(|item| item.fingerprints).unwrap_or_default())
    }

    /// Records that a host key with this fingerprint is made for `server`.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn add_host_key(&self, server: &ServerName, fingerprint: &str) -> Result<(), StoreError> {
        self.change_host_keys(server, "ADD", fingerprint).await
    }

    /// Records that no host key with this fingerprint was made for `server` after all.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn remove_host_key(&self, server: &ServerName, fingerprint: &str) -> Result<(), StoreError> {
        self.change_host_keys(server, "DELETE", fingerprint).await
    }

    async fn change_host_keys(&self, server: &ServerName, verb: &str, fingerprint: &str) -> Result<(), StoreError> {
        let guard = Guard::none().raw_value(":fingerprints", AttributeValue::Ss(vec![fingerprint.to_owned()]));
        self.update(&key(server), &format!("{verb} fingerprints :fingerprints"), guard).await
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_chance::Chance;
    use wharfinger_test_cloud::{Cloud, TABLE};

    use super::*;

    #[tokio::test]
    async fn a_server_s_host_keys_are_those_that_were_added_and_not_removed() {
        let cloud = Cloud::new();
        let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, Chance::seeded(1));
        let (main, other) = (ServerName::parse("main").unwrap(), ServerName::parse("other").unwrap());
        for fingerprint in ["SHA256:a", "SHA256:b", "SHA256:b", "SHA256:c"] {
            table.add_host_key(&main, fingerprint).await.unwrap();
        }
        table.remove_host_key(&main, "SHA256:c").await.unwrap();
        assert_eq!(table.host_keys(&main).await.unwrap(), ["SHA256:a", "SHA256:b"].map(str::to_owned).into());
        assert_eq!(table.host_keys(&other).await.unwrap(), BTreeSet::new());
        for fingerprint in ["SHA256:a", "SHA256:b", "SHA256:b"] {
            table.remove_host_key(&main, fingerprint).await.unwrap();
        }
        assert_eq!(table.host_keys(&main).await.unwrap(), BTreeSet::new());
    }
}
