//! The table itself: items by key, read and written as Rust types.

use aws_sdk_dynamodb::{Client, operation::update_item::builders::UpdateItemFluentBuilder, types::ReturnValue};
use serde::{Serialize, de::DeserializeOwned};
use wharfinger_chance::Chance;

use crate::item::{Read, read};

pub use crate::{
    error::{StoreError, table_error},
    guard::Guard,
    item::{Attributes, Key},
};

/// The table of one deployment.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
    chance: Chance,
}

impl Table {
    /// The table `name`, reached through `client`. The ids of its writes are drawn from `chance`.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>, chance: Chance) -> Self {
        Self { client, name: name.into(), chance }
    }

    /// The source of the ids of its writes.
    #[must_use]
    pub fn chance(&self) -> &Chance {
        &self.chance
    }

    /// The client, for calls that have no method here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads an item, strongly consistent.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when this version can't read it.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.read(key).await?.transpose().map_err(StoreError::Unreadable)
    }

    /// Reads an item, strongly consistent. The inner result is an error if this version can't read it.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn read<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Read<T>>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| table_error("read an item", error))?;
        Ok(answer.item.map(read))
    }

    /// Writes a whole item, on `condition`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not hold.
    pub async fn put<T: Serialize>(&self, key: &Key, item: &T, condition: Guard) -> Result<(), StoreError> {
        let mut attributes: Attributes = serde_dynamo::to_item(item)?;
        attributes.extend(key.attributes());
        self.client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(attributes))
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .send()
            .await
            .map_err(|error| table_error("write an item", error))?;
        Ok(())
    }

    /// Changes attributes of an item, if `condition` holds of it. `change` is an update expression; names and values
    /// of both stand in `condition`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not hold.
    pub async fn update(&self, key: &Key, change: &str, condition: Guard) -> Result<(), StoreError> {
        let sent = self.updating(key, change, condition).send().await;
        sent.map(drop).map_err(|error| table_error("change an item", error))
    }

    /// Changes attributes of an item as [`Self::update`] does, and reads it as it then is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the condition does not hold.
    pub(crate) async fn update_and_read<T: DeserializeOwned>(
        &self,
        key: &Key,
        change: &str,
        condition: Guard,
    ) -> Result<Read<T>, StoreError> {
        let sent = self.updating(key, change, condition).return_values(ReturnValue::AllNew).send().await;
        let answer = sent.map_err(|error| table_error("change an item", error))?;
        Ok(read(answer.attributes.unwrap_or_default()))
    }

    fn updating(&self, key: &Key, change: &str, condition: Guard) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .update_expression(change)
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
    }

    /// Removes an item, if `condition` holds of it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not hold.
    pub async fn delete(&self, key: &Key, condition: Guard) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .send()
            .await
            .map_err(|error| table_error("remove an item", error))?;
        Ok(())
    }
}
