//! Items that this version can't read: each is told of its own thing, and holds up no other.

use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wharfinger_decisions::condition::{Condition, Severity, UNREADABLE_RECORD};

use crate::{
    record::Record,
    servers, sites,
    stored::{Intent, leniently, part},
    table::{Attributes, Guard, Key},
    users,
};

/// An item, or why it can't be read.
pub type Read<T> = Result<T, Box<Unreadable>>;

/// An item that this version can't read.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// Where it lies.
    pub key: Key,
    /// Why it can't be read.
    pub reason: String,
    item: Value,
    version: Option<AttributeValue>,
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

    /// The version of what is wanted of it; 0 where that can't be read.
    #[must_use]
    pub fn version(&self) -> u64 {
        part(&self.item, "/version")
    }

    /// It is on its way out, as far as that can be read.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        part(&self.item, "/deleting")
    }

    /// What can be read of it. Nothing is to be brought about by it but the end of the thing.
    #[must_use]
    pub fn remains<I: Intent, S: DeserializeOwned + Serialize + Default>(&self) -> Record<I, S> {
        let updated_at = part(&self.item, "/updated_at");
        Record {
            intent: I::remains(self.item.get("intent").unwrap_or(&Value::Null)),
            status: leniently(self.item.get("status")),
            version: self.version(),
            deleting: self.is_deleting(),
            created_at: part::<Option<Timestamp>>(&self.item, "/created_at").or(updated_at).unwrap_or_default(),
            updated_at: updated_at.unwrap_or_default(),
            unknown: Vec::new(),
        }
    }

    /// What a person or an alarm should know of it at `now`.
    #[must_use]
    pub fn condition(&self, now: Timestamp) -> Condition {
        Condition {
            code: UNREADABLE_RECORD.into(),
            severity: Severity::Error,
            message: format!("its record can't be read by this version, which leaves it alone: {}", self.reason),
            remedy: self.remedy().into(),
            since: part::<Option<Timestamp>>(&self.item, "/updated_at").unwrap_or(now),
        }
    }

    fn remedy(&self) -> &'static str {
        let replaceable = self.key.pk == servers::PARTITION || self.key.pk == sites::PARTITION;
        if replaceable || self.key.pk.starts_with(users::PARTITIONS) {
            return "replace it with a PUT, remove it with a DELETE, or deploy the version that wrote it";
        }
        "deploy the version that wrote it"
    }

    /// That nobody changed it since it was read.
    pub(crate) fn unchanged(&self) -> Guard {
        match &self.version {
            Some(version) => Guard::that("version = :seen").raw_value(":seen", version.clone()),
            None => Guard::that("attribute_exists(pk) AND attribute_not_exists(version)"),
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.key.pk, self.key.sk, self.reason)
    }
}

/// Those of `items` that can be read; the others are handed to `report`, one by one.
pub fn readable<T>(items: Vec<(String, Read<T>)>, mut report: impl FnMut(&Unreadable)) -> Vec<(String, T)> {
    let read = |(name, item): (String, Read<T>)| match item {
        Ok(item) => Some((name, item)),
        Err(unreadable) => {
            report(&unreadable);
            None
        }
    };
    items.into_iter().filter_map(read).collect()
}
