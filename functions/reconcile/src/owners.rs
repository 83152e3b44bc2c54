//! Whose the accounts without a record are. Only an account's description tells. What one visit has found out, the next
//! ones know, so that many accounts are described over several visits, and others' not at each.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use jiff::{SignedDuration, Timestamp};

/// How long a description is remembered.
pub(crate) const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Whose an account without a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// It bears our tags, and no other deployment's.
    Us,
    Others,
    /// It is not there any more.
    Nobody,
}

/// Owners of accounts that were described lately, by AWS's id of the server and name.
#[derive(Debug, Default)]
pub(crate) struct Owners(Mutex<BTreeMap<(String, String), (Owner, Timestamp)>>);

impl Owners {
    /// The owner as it was described at `since` or later.
    pub(crate) fn recall(&self, server_id: &str, name: &str, since: Timestamp) -> Option<Owner> {
        let (owner, at) = *self.known().get(&(server_id.to_owned(), name.to_owned()))?;
        (at >= since).then_some(owner)
    }

    pub(crate) fn remember(&self, server_id: &str, name: &str, owner: Owner, now: Timestamp) {
        let mut known = self.known();
        known.retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED_FOR);
        known.insert((server_id.to_owned(), name.to_owned()), (owner, now));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, String), (Owner, Timestamp)>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}
