//! Items that this version can't read. Each is a condition of its own resource and does not affect the others.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wharfinger_decisions::condition::{Condition, Severity, UNREADABLE_RECORD};

pub use crate::item::{Read, Unreadable};
use crate::{
    guard::Guard,
    record::Record,
    servers, sites,
    stored::{Intent, leniently, part},
    users,
};

impl Unreadable {
    /// The intent's version, or 0 if that can't be read.
    #[must_use]
    pub fn version(&self) -> u64 {
        part(&self.item, "/version")
    }

    /// Whether it is being deleted, as far as that can be read.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        part(&self.item, "/deleting")
    }

    /// The readable parts. They are good enough to show and to delete the resource, and for nothing else.
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

    /// The condition that reports it at `now`.
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

    /// The condition that it has not changed since it was read.
    pub(crate) fn unchanged(&self) -> Guard {
        match &self.version {
            Some(version) => Guard::that("version = :seen").raw_value(":seen", version.clone()),
            None => Guard::that("attribute_exists(pk) AND attribute_not_exists(version)"),
        }
    }
}

/// Returns the readable `items`, and calls `report` for each of the others.
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
