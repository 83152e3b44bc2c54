//! Records as read from the table: complete, or the readable remains of an item that this version can't read.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use wharfinger_decisions::condition::{Condition, carry_on};
use wharfinger_store::{
    record::{Record, Seen},
    servers::ServerItem,
    stored::Intent,
    table::{Key, StoreError, Table},
    unreadable::{Read, Unreadable},
};

use crate::problem::{Problem, Refused};

/// A record, and why it could not be read in full.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) thing: T,
    pub(crate) unreadable: Option<Box<Unreadable>>,
}

/// What can stand for an item that can't be read.
pub(crate) trait Thing: DeserializeOwned {
    /// What remains of it.
    fn remains(unreadable: &Unreadable) -> Self;
    /// The condition of the record itself, if there is one.
    fn condition(&self) -> Option<Condition>;
    /// The version of what is wanted.
    fn version(&self) -> u64;
}

impl<I, S> Thing for Record<I, S>
where
    I: Intent,
    S: DeserializeOwned + Serialize + Default,
{
    fn remains(unreadable: &Unreadable) -> Self {
        unreadable.remains()
    }

    fn condition(&self) -> Option<Condition> {
        Record::condition(self)
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Thing for ServerItem {
    fn remains(unreadable: &Unreadable) -> Self {
        Self::remains(unreadable)
    }

    fn condition(&self) -> Option<Condition> {
        self.record.condition()
    }

    fn version(&self) -> u64 {
        self.record.version
    }
}

impl<T: Thing> From<Read<T>> for Found<T> {
    fn from(read: Read<T>) -> Self {
        match read {
            Ok(thing) => thing.into(),
            Err(unreadable) => Self { thing: T::remains(&unreadable), unreadable: Some(unreadable) },
        }
    }
}

impl<T> From<T> for Found<T> {
    fn from(thing: T) -> Self {
        Self { thing, unreadable: None }
    }
}

impl<T: Thing> Found<T> {
    /// The item at `key`.
    pub(crate) async fn at(table: &Table, key: &Key) -> Result<Option<Self>, StoreError> {
        Ok(table.read::<T>(key).await?.map(Into::into))
    }

    /// All items of the partition `pk`, with their sort keys.
    pub(crate) async fn all(table: &Table, pk: &str) -> Result<Vec<(String, Self)>, StoreError> {
        Ok(table.all::<T>(pk).await?.into_iter().map(|(name, read)| (name, read.into())).collect())
    }

    /// What a write is conditional on.
    pub(crate) fn seen(&self) -> Seen<'_> {
        match &self.unreadable {
            Some(unreadable) => Seen::Unreadable(unreadable),
            None => Seen::Version(self.thing.version()),
        }
    }

    /// The record, or a refusal if it could not be read in full. `what` names it, such as `the server "main"`.
    pub(crate) fn whole(self, what: &str) -> Result<T, Refused> {
        match self.unreadable {
            Some(unreadable) => Err(Problem::unreadable(what, &unreadable)),
            None => Ok(self.thing),
        }
    }

    /// The `known` conditions of its status at `now`, with those of its record.
    pub(crate) fn conditions(&self, known: &[Condition], now: Timestamp) -> Vec<Condition> {
        let unreadable = self.unreadable.as_ref().map(|unreadable| unreadable.condition(now));
        let found = unreadable.or_else(|| self.thing.condition());
        carry_on(&[], found.into_iter().chain(known.iter().cloned()).collect())
    }
}
