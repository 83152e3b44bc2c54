//! The tags of servers that were described lately. Only a server's description tells them, and an account may have many
//! servers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use jiff::{SignedDuration, Timestamp};

/// How long tags are remembered. A server is made with ours; others may be given them later by hand.
pub(crate) const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(1);

pub(crate) type Tags = BTreeMap<String, String>;

/// The tags of servers that were described lately, by AWS's id.
#[derive(Debug, Default)]
pub(crate) struct SeenTags(Mutex<BTreeMap<String, (Tags, Timestamp)>>);

impl SeenTags {
    /// Whether the server `id` did not have all of `tags` when it was described at `since` or later.
    pub(crate) fn differ(&self, id: &str, tags: &Tags, since: Timestamp) -> bool {
        self.known().get(id).is_some_and(|(seen, at)| *at >= since && !has(seen, tags))
    }

    pub(crate) fn remember(&self, id: &str, tags: &Tags, now: Timestamp) {
        let mut known = self.known();
        known.retain(|_, (_, at)| now.duration_since(*at) < REMEMBERED_FOR);
        known.insert(id.to_owned(), (tags.clone(), now));
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, (Tags, Timestamp)>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

/// Whether all of `tags` are `there`.
pub(crate) fn has(there: &Tags, tags: &Tags) -> bool {
    tags.iter().all(|(key, value)| there.get(key) == Some(value))
}
