//! An item of the table: its key, its attributes, and the error for one that can't be read.

use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An item's attributes.
pub type Attributes = std::collections::HashMap<String, AttributeValue>;

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The partition: a kind of thing, or the things of one owner.
    pub pk: String,
    /// The sort key.
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

/// An item, or why it can't be read.
pub type Read<T> = Result<T, Box<Unreadable>>;

/// An item that this version can't read.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// Its key.
    pub key: Key,
    /// Why it can't be read.
    pub reason: String,
    pub(crate) item: Value,
    pub(crate) version: Option<AttributeValue>,
}

impl Unreadable {
    pub(crate) fn new(item: Attributes, reason: impl fmt::Display) -> Self {
        let text = |name| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
        Self {
            key: Key::new(text("pk"), text("sk")),
            reason: reason.to_string(),
            version: item.get("version").cloned(),
            item: serde_dynamo::from_item(item).unwrap_or_default(),
        }
    }

    /// The name of the thing.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.key.sk
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.key.pk, self.key.sk, self.reason)
    }
}

/// Reads an item as `T`.
pub(crate) fn read<T: DeserializeOwned>(item: Attributes) -> Read<T> {
    serde_dynamo::from_item(item.clone()).map_err(|error| Box::new(Unreadable::new(item, error)))
}
