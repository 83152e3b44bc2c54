//! The deployment's id: one item of the table, made once. A table restored from a backup has the id of the one that was
//! backed up, and goes on as it.

use serde::Deserialize;

use crate::table::{Guard, Key, StoreError, Table};

#[derive(Deserialize)]
struct Item {
    deployment_id: String,
}

fn key() -> Key {
    Key::new("DEPLOYMENT", "id")
}

impl Table {
    /// The id of the deployment that has this table. It is made when it is first asked for.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn deployment_id(&self) -> Result<String, StoreError> {
        if let Some(item) = self.get::<Item>(&key()).await? {
            return Ok(item.deployment_id);
        }
        // Of several who make it at once, the first one's is everybody's.
        let guard = Guard::none().value(":id", self.chance().id())?;
        let change = "SET deployment_id = if_not_exists(deployment_id, :id)";
        let item = self.update_and_read::<Item>(&key(), change, guard).await?;
        Ok(item.map_err(StoreError::Unreadable)?.deployment_id)
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_chance::Chance;
    use wharfinger_test_cloud::{Cloud, TABLE};

    use super::*;

    #[tokio::test]
    async fn a_table_has_one_id_whoever_asks_first_and_another_table_has_another() {
        let id_of = async |cloud: &Cloud, seed| {
            let client = aws_sdk_dynamodb::Client::new(&cloud.sdk());
            Table::new(client, TABLE, Chance::seeded(seed)).deployment_id().await.unwrap()
        };
        let cloud = Cloud::new();
        // Both find none.
        cloud.meet("UpdateItem", 2);
        let (one, other) = tokio::join!(id_of(&cloud, 1), id_of(&cloud, 2));
        assert_eq!((one.len(), &one), (32, &other));
        assert_eq!(id_of(&cloud, 3).await, one);
        assert_ne!(id_of(&Cloud::new(), 4).await, one);
    }
}
