//! The table itself: items by key, read and written as Rust types.

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    chance::Chance,
    unreadable::{Read, Unreadable},
};

/// An item's attributes.
pub type Attributes = std::collections::HashMap<String, AttributeValue>;

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The item is not as the caller took it to be: another writer was there first. Read again and decide anew.
    #[error("the item was changed by another writer")]
    Conflict,
    /// DynamoDB did not answer or refused.
    #[error("DynamoDB could not {what}")]
    Table {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB throttles, failed for a moment or did not answer: the call may or may not have been done, and the same
    /// call can succeed later.
    #[error("DynamoDB was too busy to {what}")]
    Busy {
        /// What was tried.
        what: &'static str,
        /// Its answer, or why there was none.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The item is of a form that this version does not know.
    #[error("an item of the table can't be read: {0}")]
    Unreadable(Box<Unreadable>),
    /// A value has no form in DynamoDB.
    #[error("a value can't be written to the table")]
    Form(#[from] serde_dynamo::Error),
}

/// The table of one deployment.
#[derive(Clone, Debug)]
pub struct Table {
    client: Client,
    name: String,
    chance: Chance,
}

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The partition: a kind of thing, or the things of one owner.
    pub pk: String,
    /// The item in it.
    pub sk: String,
}

impl Key {
    /// A key from its two parts.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// The key as DynamoDB takes it.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        [("pk", &self.pk), ("sk", &self.sk)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone())))
            .collect()
    }
}

impl Table {
    /// The table `name`, reached through `client`.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into(), chance: Chance::of_system() }
    }

    /// The table, which draws the ids of its writes and its jitter from `chance`.
    #[must_use]
    pub fn with_chance(self, chance: Chance) -> Self {
        Self { chance, ..self }
    }

    /// Where the ids of its writes and jitter come from.
    #[must_use]
    pub fn chance(&self) -> &Chance {
        &self.chance
    }

    /// The client, for calls that a module shapes itself.
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
    /// [`StoreError::Unreadable`] when this version does not know its form.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, StoreError> {
        self.read(key).await?.transpose().map_err(StoreError::Unreadable)
    }

    /// Reads an item, strongly consistent, or tells why it can't be read.
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

    /// Writes a whole item, if `condition` holds of the item that is there.
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
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .update_expression(change)
            .set_condition_expression(condition.expression)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values)
            .send()
            .await
            .map_err(|error| table_error("change an item", error))?;
        Ok(())
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

/// An item as `T`, or why it is none.
pub(crate) fn read<T: DeserializeOwned>(item: Attributes) -> Read<T> {
    serde_dynamo::from_item(item.clone()).map_err(|error| Box::new(Unreadable::new(item, error)))
}

/// A condition of a write: an expression with the names and values that it, and an update expression beside it, use.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    pub(crate) expression: Option<String>,
    pub(crate) names: Option<std::collections::HashMap<String, String>>,
    pub(crate) values: Option<Attributes>,
}

impl Guard {
    /// The write is always made.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The item is not there.
    #[must_use]
    pub fn absent() -> Self {
        Self::that("attribute_not_exists(pk)")
    }

    /// The item is there.
    #[must_use]
    pub fn present() -> Self {
        Self::that("attribute_exists(pk)")
    }

    /// A condition expression.
    pub fn that(expression: impl Into<String>) -> Self {
        Self { expression: Some(expression.into()), ..Self::default() }
    }

    /// The condition, and `expression` beside it.
    #[must_use]
    pub(crate) fn and(mut self, expression: &str) -> Self {
        self.expression = Some(match self.expression {
            Some(first) => format!("({first}) AND ({expression})"),
            None => expression.to_owned(),
        });
        self
    }

    /// Gives the placeholder `placeholder` (`#name`) its attribute name.
    #[must_use]
    pub fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.get_or_insert_default().insert(placeholder.to_owned(), name.to_owned());
        self
    }

    /// Gives the placeholder `placeholder` (`:value`) its value.
    ///
    /// # Errors
    /// When the value has no form in DynamoDB.
    pub fn value<T: Serialize>(mut self, placeholder: &str, value: T) -> Result<Self, StoreError> {
        let value: AttributeValue = serde_dynamo::to_attribute_value(value)?;
        self.values.get_or_insert_default().insert(placeholder.to_owned(), value);
        Ok(self)
    }

    /// Gives the placeholder `placeholder` an attribute as it was read.
    pub(crate) fn raw_value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.get_or_insert_default().insert(placeholder.to_owned(), value);
        self
    }
}

/// A failed call: a conflict where a condition did not hold, else the cause under what was tried.
pub fn table_error<E, R>(what: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    // An item in the midst of another writer's transaction is as good as changed.
    if matches!(error.code(), Some("ConditionalCheckFailedException" | "TransactionConflictException")) {
        return StoreError::Conflict;
    }
    if is_temporary(&error) {
        return StoreError::Busy { what, source: Box::new(error) };
    }
    StoreError::Table { what, source: Box::new(error) }
}

/// Whether the same call can succeed later.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
fn is_temporary<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    const CODES: [&str; 8] = [
        "InternalServerError",
        "InternalFailure",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    ];
    match error {
        SdkError::ServiceError(answer) => answer.err().code().is_some_and(|code| CODES.contains(&code)),
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        _ => false,
    }
}
