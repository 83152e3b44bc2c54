//! A site's window: the changes since its last rollout. [`decide`] says when they count as finished.
//!
//! A window's content does not depend on the order of events or on repeats: [`SeenEvents`] knows the latest events, and
//! every summary is a maximum or a sum over distinct events.

mod decision;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::decision::later;
use crate::{
    rollout::{Cause, Trigger},
    seen_events::SeenEvents,
    sftp_event::{Change, Effect, WHOLE_SITE, digest},
    site::Finish,
    summary::ChangeSummary,
};

pub use self::{
    decision::{Decision, WaitsFor, decide},
    view::{Hold, View},
};

/// The most files that a window names.
pub const MOST_FILES: usize = 20;
/// The most users that a window names.
pub const MOST_USERS: usize = 10;
/// The most partial uploads that hold a window; of more, the latest do.
pub const MOST_HOLDS: usize = 20;

/// By how much AWS's clocks, which date events, may differ from ours.
pub const MOST_SKEW: SignedDuration = SignedDuration::from_secs(10);

/// The most bytes of file names, of each sort: the whole window is to fit into 4 KB, four write units.
const FILE_BYTES: usize = 800;
/// The most bytes of user names.
const USER_BYTES: usize = 300;

/// The changes to a site since its last rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// All changes of the site ever counted.
    pub seq: u64,
    /// Those that a rollout has claimed.
    pub claimed_seq: u64,
    /// When the first unclaimed change was made.
    pub first_change: Option<Timestamp>,
    /// When the last unclaimed change was made.
    pub last_change: Option<Timestamp>,
    /// When the first unclaimed change was heard of: an event can come hours late.
    pub opened: Option<Timestamp>,
    /// How much was uploaded.
    pub bytes: u64,
    /// The files changed last and when, at most [`MOST_FILES`].
    pub files: BTreeMap<String, Timestamp>,
    /// The users who changed something last and when, at most [`MOST_USERS`].
    pub users: BTreeMap<String, Timestamp>,
    /// The partial uploads and when they broke off, at most [`MOST_HOLDS`].
    pub holds: BTreeMap<String, Timestamp>,
    /// When the marker file was uploaded.
    pub marker: Option<Timestamp>,
    /// When the last rollout was claimed.
    pub claimed_at: Option<Timestamp>,
    /// The last rollout has all changes made until then, whenever they are heard of.
    pub covered_until: Option<Timestamp>,
}

/// The result of adding changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Changes counted now.
    pub new: u64,
    /// Changes that had been counted before.
    pub repeated: u64,
    /// Changes that the last rollout has already: they were made before it was claimed, and wait for no other.
    pub covered: u64,
    /// The events heard of now.
    pub events: SeenEvents,
}

impl Window {
    /// How many changes wait for a rollout.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.seq - self.claimed_seq
    }

    /// Whether any change waits for a rollout.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.changes() > 0
    }

    /// Adds changes that arrived at `now`. Those that are `seen` change nothing.
    pub fn absorb(&mut self, seen: &SeenEvents, changes: &[Change], now: Timestamp) -> Absorbed {
        let mut absorbed = Absorbed::default();
        for change in changes {
            let path = digest(&change.file);
            if seen.knows(change.event, path) || absorbed.events.knows(change.event, path) {
                absorbed.repeated += 1;
                continue;
            }
            let settled = seen.settled(path).max(absorbed.events.settled(path));
            self.hold_or_free(change, settled);
            absorbed.events.remember(change, path);
            if self.covers(change) {
                absorbed.covered += 1;
            } else {
                self.count(change, now);
                absorbed.new += 1;
            }
        }
        absorbed
    }

    /// Adds the changes that wait in `other`, a window of the same site.
    pub fn merge(&mut self, other: &Self) {
        let earliest = |one: Option<Timestamp>, two: Option<Timestamp>| [one, two].into_iter().flatten().min();
        self.seq += other.changes();
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first_change = earliest(self.first_change, other.first_change);
        self.opened = earliest(self.opened, other.opened);
        self.last_change = self.last_change.max(other.last_change);
        self.marker = self.marker.max(other.marker);
        for (ours, theirs, most, bytes) in [
            (&mut self.files, &other.files, MOST_FILES, FILE_BYTES),
            (&mut self.users, &other.users, MOST_USERS, USER_BYTES),
            (&mut self.holds, &other.holds, MOST_HOLDS, FILE_BYTES),
        ] {
            theirs.iter().for_each(|(name, at)| keep_latest(ours, name, *at, most, bytes));
        }
    }

    fn covers(&self, change: &Change) -> bool {
        change.dated && self.covered_until.is_some_and(|until| change.at <= until)
    }

    fn count(&mut self, change: &Change, now: Timestamp) {
        self.seq += 1;
        self.bytes = self.bytes.saturating_add(if change.effect == Effect::Gone { 0 } else { change.bytes });
        self.first_change = Some(self.first_change.map_or(change.at, |first| first.min(change.at)));
        self.last_change = self.last_change.max(Some(change.at));
        self.opened = Some(self.opened.map_or(now, |opened| opened.min(now)));
        keep_latest(&mut self.files, &change.file, change.at, MOST_FILES, FILE_BYTES);
        if let Some(user) = &change.user {
            keep_latest(&mut self.users, user, change.at, MOST_USERS, USER_BYTES);
        }
        if change.marker {
            self.marker = self.marker.max(Some(change.at));
        }
    }

    /// `settled`: when the file was last made whole or taken away.
    fn hold_or_free(&mut self, change: &Change, settled: Option<Timestamp>) {
        match change.effect {
            Effect::Partial if settled.is_none_or(|settled| settled < change.at) => {
                keep_latest(&mut self.holds, &change.file, change.at, MOST_HOLDS, FILE_BYTES);
            }
            Effect::Whole | Effect::Gone => {
                // What lay in a directory that was renamed away or deleted is not partial any more either.
                let below = format!("{}/", change.file);
                let inside =
                    |file: &String| change.file == WHOLE_SITE || *file == change.file || file.starts_with(&below);
                self.holds.retain(|file, since| *since > change.at || !inside(file));
            }
            Effect::Partial | Effect::Other => {}
        }
    }

    /// What a rollout started now would be for.
    #[must_use]
    pub fn cause(&self, reason: String) -> Cause {
        Cause {
            trigger: Trigger::Uploads,
            reason,
            summary: self.summary(),
            from_seq: self.claimed_seq + 1,
            to_seq: self.seq,
        }
    }

    /// The changes that wait, in short.
    #[must_use]
    pub fn summary(&self) -> ChangeSummary {
        ChangeSummary {
            changes: self.changes(),
            files: latest_first(&self.files),
            users: latest_first(&self.users),
            bytes: self.bytes,
            first_change: self.first_change,
            last_change: self.last_change,
        }
    }

    /// Since when the changes wait.
    fn since(&self) -> Option<Timestamp> {
        self.opened.max(self.first_change)
    }

    /// The window after its claim at `now`: without changes, but still held by what is partial. The rollout has what was
    /// surely changed before, and all that was changed before its marker.
    #[must_use]
    pub fn claimed(&self, finish: &Finish, now: Timestamp) -> Self {
        let mut holds = self.holds.clone();
        holds.retain(|_, since| later(*since, finish.hold_partial_for.get()) > now);
        let surely_before = now.saturating_sub(MOST_SKEW).ok();
        Self {
            seq: self.seq,
            claimed_seq: self.seq,
            holds,
            claimed_at: Some(now),
            covered_until: surely_before.max(self.marker).max(self.covered_until),
            ..Self::default()
        }
    }
}

/// Notes `name` at `at` and forgets the earliest beyond `most` names or `bytes` of them, but keeps one. Which are kept
/// depends on no order, as long as only their number counts.
fn keep_latest(names: &mut BTreeMap<String, Timestamp>, name: &str, at: Timestamp, most: usize, bytes: usize) {
    let known = names.entry(name.to_owned()).or_insert(at);
    *known = at.max(*known);
    let too_many = |names: &BTreeMap<String, Timestamp>| {
        names.len() > most || (names.len() > 1 && names.keys().map(String::len).sum::<usize>() > bytes)
    };
    while too_many(names) {
        let earliest = names.iter().min_by_key(|(name, at)| (**at, *name)).map(|(name, _)| name.clone());
        earliest.map(|name| names.remove(&name));
    }
}

fn latest_first(names: &BTreeMap<String, Timestamp>) -> Vec<String> {
    let mut order: Vec<_> = names.iter().collect();
    order.sort_by_key(|(name, at)| (std::cmp::Reverse(**at), *name));
    order.into_iter().map(|(name, _)| name.clone()).collect()
}
