//! What servers, users and sites have in common: a versioned intent, and a status.
//!
//! Writers of the intent (people over the API, the idle sweep) must name the version they saw. The status has one
//! writer and no version. A deleted resource keeps its record until its AWS side is gone.
//!
//! Each write of the intent leaves its own id in the item. If the answer is lost, the SDK repeats the write, which then
//! conflicts with its own result: the id tells that from another writer's.

use aws_sdk_dynamodb::types::TransactWriteItem;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};
use serde_json::Value;
use wharfinger_decisions::condition::{Condition, Severity, UNKNOWN_PARTS};

use crate::{
    item::Unreadable,
    stored::{self, FORMAT, Intent, leniently, part, unknown_parts},
    table::{Guard, Key, StoreError, Table},
};

/// A record, whatever version wrote its item.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record<I, S> {
    /// What is wanted.
    pub intent: I,
    /// What is known.
    pub status: S,
    /// Counts the changes of the intent, from 1. It is the ETag.
    pub version: u64,
    /// It is being deleted.
    pub deleting: bool,
    /// When it was first wanted.
    pub created_at: Timestamp,
    /// When the intent was last changed.
    pub updated_at: Timestamp,
    /// JSON pointers to the parts of the stored intent that another version wrote and this one ignores.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

/// What the writer of an intent saw of the item.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// There was none.
    Nothing,
    /// It was at this version, and not being deleted.
    Version(u64),
    /// It could not be read, and is replaced.
    Unreadable(&'a Unreadable),
}

impl<'de, I, S> Deserialize<'de> for Record<I, S>
where
    I: Intent,
    S: DeserializeOwned + Serialize + Default,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_stored(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<I, S> Record<I, S>
where
    I: Intent,
    S: DeserializeOwned + Serialize + Default,
{
    /// Reads what any version wrote. A record that is being deleted is read as far as possible.
    pub(crate) fn from_stored(item: &Value) -> Result<Self, String> {
        let format = item.get("format").map_or(Ok(FORMAT), stored::read::<u64>)?;
        if format > FORMAT {
            return Err(format!("it has the format {format}, and this version knows up to {FORMAT}"));
        }
        let version = item.get("version").and_then(Value::as_u64).ok_or("its version is missing or no number")?;
        let deleting = item.get("deleting").map_or(Ok(false), stored::read::<bool>)?;
        let wanted = item.get("intent").unwrap_or(&Value::Null);
        let intent = match I::from_stored(wanted) {
            Err(_) if deleting => I::remains(wanted),
            intent => intent?,
        };
        let unknown = unknown_parts(wanted, &intent);
        let status = leniently(item.get("status"));
        let (created_at, updated_at) = (part(item, "/created_at"), part(item, "/updated_at"));
        Ok(Self { intent, status, version, deleting, created_at, updated_at, unknown })
    }

    /// The condition of the record itself, if there is one.
    #[must_use]
    pub fn condition(&self) -> Option<Condition> {
        (!self.unknown.is_empty()).then(|| Condition {
            code: UNKNOWN_PARTS.into(),
            severity: Severity::Warning,
            message: format!(
                "another version wrote {}, which this one does not know and leaves out of account",
                self.unknown.join(", ")
            ),
            remedy: "deploy the version that wrote it, or PUT what is wanted again".into(),
            since: self.updated_at,
        })
    }
}

impl Table {
    /// Writes the intent of `next`, of which `seen` was read, together with `beside`, in one transaction. A readable
    /// item keeps its other attributes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another writer came first.
    pub async fn write_intent<I: Serialize, S: Serialize>(
        &self,
        key: &Key,
        next: &Record<I, S>,
        seen: Seen<'_>,
        beside: Vec<TransactWriteItem>,
    ) -> Result<(), StoreError> {
        let id = self.chance().id();
        let write = match seen {
            Seen::Nothing => {
                let item = WrittenRecord { record: next, format: FORMAT, written_by: &id };
                self.put_in_transaction(key, &item, Guard::absent())?
            }
            Seen::Version(version) => {
                let change =
                    "SET intent = :intent, version = :version, updated_at = :now, #format = :format, written_by = :id";
                let unchanged = Guard::that("version = :seen AND deleting = :no").value(":seen", version)?;
                self.update_in_transaction(key, change, written(unchanged.value(":no", false)?, next, &id)?)
            }
            Seen::Unreadable(unreadable) => {
                let change = "SET intent = :intent, version = :version, updated_at = :now, #format = :format, \
                    written_by = :id, deleting = :deleting, created_at = :created_at, #status = :status";
                let unchanged = written(unreadable.unchanged(), next, &id)?
                    .name("#status", "status")
                    .value(":deleting", next.deleting)?
                    .value(":created_at", next.created_at)?
                    .value(":status", &next.status)?;
                self.update_in_transaction(key, change, unchanged)
            }
        };
        let writes = std::iter::once(write).chain(beside).collect();
        let answer = self.transact("write what is wanted", writes).await;
        self.or_own(key, &id, answer).await
    }

    /// Marks a record that was read at version `seen` as being deleted.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn mark_deleting(&self, key: &Key, seen: u64, now: Timestamp) -> Result<(), StoreError> {
        let guard = Guard::that("version = :seen").value(":yes", true)?;
        self.next_version(key, "deleting = :yes", guard, seen, now).await.map(|_version| ())
    }

    /// Marks a record that can't be read as being deleted, and rewrites its readable parts in a form that every version
    /// reads.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn mark_unreadable_deleting<I: Intent, S: DeserializeOwned + Serialize + Default>(
        &self,
        unreadable: &Unreadable,
        now: Timestamp,
    ) -> Result<Record<I, S>, StoreError> {
        let remains = unreadable.remains::<I, S>();
        let next = Record { deleting: true, version: remains.version + 1, updated_at: now, ..remains };
        self.write_intent(&unreadable.key, &next, Seen::Unreadable(unreadable), Vec::new()).await?;
        Ok(next)
    }

    /// Applies the update `set` to an intent and raises its version. `guard` refers to the version read as `:seen`.
    pub(crate) async fn next_version(
        &self,
        key: &Key,
        set: &str,
        guard: Guard,
        seen: u64,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (id, version) = (self.chance().id(), seen + 1);
        let guard = guard.value(":seen", seen)?.value(":version", version)?.value(":now", now)?.value(":id", &id)?;
        let change = format!("SET {set}, version = :version, updated_at = :now, written_by = :id");
        let answer = self.update(key, &change, guard).await;
        self.or_own(key, &id, answer).await.map(|()| version)
    }

    /// Turns the answer to the write `id` into success if it conflicts with that very write.
    async fn or_own(&self, key: &Key, id: &str, answer: Result<(), StoreError>) -> Result<(), StoreError> {
        let Err(StoreError::Conflict) = answer else { return answer };
        match self.read::<Written>(key).await? {
            Some(Ok(written)) if written.written_by == id => Ok(()),
            _ => Err(StoreError::Conflict),
        }
    }

    /// Writes a status.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the record no longer exists.
    pub async fn write_status<S: Serialize>(&self, key: &Key, status: &S) -> Result<(), StoreError> {
        let guard = Guard::present().name("#status", "status").value(":status", status)?;
        self.update(key, "SET #status = :status", guard).await
    }

    /// Removes a record that was read at version `seen`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn forget(&self, key: &Key, seen: u64) -> Result<(), StoreError> {
        self.delete(key, Guard::that("version = :seen").value(":seen", seen)?).await
    }

    /// Removes a record that can't be read.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has changed since.
    pub async fn forget_unreadable(&self, unreadable: &Unreadable) -> Result<(), StoreError> {
        self.delete(&unreadable.key, unreadable.unchanged()).await
    }
}

/// A new record's item.
#[derive(Serialize)]
pub(crate) struct WrittenRecord<'a, R> {
    #[serde(flatten)]
    pub(crate) record: &'a R,
    pub(crate) format: u64,
    pub(crate) written_by: &'a str,
}

/// Who wrote an item last.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    written_by: String,
}

/// Adds the values of a written intent to `guard`.
fn written<I: Serialize, S>(guard: Guard, next: &Record<I, S>, id: &str) -> Result<Guard, StoreError> {
    guard
        .name("#format", "format")
        .value(":format", FORMAT)?
        .value(":intent", &next.intent)?
        .value(":version", next.version)?
        .value(":now", next.updated_at)?
        .value(":id", id)
}
