//! A site's window: the changes since its last rollout, and when they count as finished.
//!
//! A window's content does not depend on the order in which events come or on how often: [`Memory`] knows the latest
//! events, and every summary is a maximum or a sum over distinct events. [`decide`] says what a look at the window
//! leads to, and why.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    change::{Change, Effect, digest},
    duration::describe,
    memory::Memory,
    rollout::Cause,
    site::Finish,
};

/// The most files that a window names.
pub const MOST_FILES: usize = 20;
/// The most users that a window names.
pub const MOST_USERS: usize = 10;
/// The most partial uploads that hold a window; of more, the latest do.
pub const MOST_HOLDS: usize = 20;

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
}

/// What taking in changes led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Changes counted now.
    pub new: u64,
    /// Changes that were known already: their delivery is a repeat.
    pub repeated: u64,
}

/// What a look at a window leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no change.
    Nothing,
    /// Look again at `until`.
    Wait {
        /// When.
        until: Timestamp,
        /// A partial upload is what it waits for.
        held: bool,
        /// Why.
        reason: String,
    },
    /// The window is over.
    Claim {
        /// Why.
        reason: String,
    },
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

    /// Takes changes in. Those that `memory` knows change nothing.
    pub fn absorb(&mut self, memory: &mut Memory, changes: &[Change]) -> Absorbed {
        let mut absorbed = Absorbed::default();
        for change in changes {
            let path = digest(&change.file);
            if memory.knows(change.event, path) {
                absorbed.repeated += 1;
                continue;
            }
            self.count(change);
            self.hold_or_free(memory, change, path);
            memory.remember(change, path);
            absorbed.new += 1;
        }
        absorbed
    }

    fn count(&mut self, change: &Change) {
        self.seq += 1;
        self.bytes = self.bytes.saturating_add(if change.effect == Effect::Gone { 0 } else { change.bytes });
        self.first_change = Some(self.first_change.map_or(change.at, |first| first.min(change.at)));
        self.last_change = self.last_change.max(Some(change.at));
        keep_latest(&mut self.files, &change.file, change.at, MOST_FILES);
        if let Some(user) = &change.user {
            keep_latest(&mut self.users, user, change.at, MOST_USERS);
        }
        if change.marker {
            self.marker = self.marker.max(Some(change.at));
        }
    }

    fn hold_or_free(&mut self, memory: &Memory, change: &Change, path: u64) {
        match change.effect {
            Effect::Partial if memory.settled(path).is_none_or(|settled| settled < change.at) => {
                keep_latest(&mut self.holds, &change.file, change.at, MOST_HOLDS);
            }
            Effect::Whole | Effect::Gone => {
                // What lay in a directory that was renamed away or deleted is not partial any more either.
                let below = format!("{}/", change.file);
                let inside = |file: &String| *file == change.file || file.starts_with(&below);
                self.holds.retain(|file, since| *since > change.at || !inside(file));
            }
            Effect::Partial | Effect::Other => {}
        }
    }

    /// What a rollout started now would be for.
    #[must_use]
    pub fn cause(&self, reason: String) -> Cause {
        Cause {
            reason,
            changes: self.changes(),
            files: latest_first(&self.files),
            users: latest_first(&self.users),
            bytes: self.bytes,
            first_change: self.first_change,
            last_change: self.last_change,
            from_seq: self.claimed_seq + 1,
            to_seq: self.seq,
        }
    }

    /// The window after its claim at `now`: without changes, but still held by what is partial.
    #[must_use]
    pub fn claimed(&self, finish: &Finish, now: Timestamp) -> Self {
        let mut holds = self.holds.clone();
        holds.retain(|_, since| hold_end(*since, finish) > now);
        Self { seq: self.seq, claimed_seq: self.seq, holds, ..Self::default() }
    }

    /// The window as the API shows it. `in_flight`: a rollout of the site is not over.
    #[must_use]
    pub fn show(&self, finish: &Finish, in_flight: bool, now: Timestamp) -> View {
        let (state, reason, next_look) = match decide(self, finish, now) {
            Decision::Nothing => ("empty", "nothing has changed since the last rollout".to_owned(), None),
            Decision::Wait { until, held, reason } => (if held { "held" } else { "gathering" }, reason, Some(until)),
            Decision::Claim { reason } if in_flight => {
                ("queued", format!("{reason}; it follows when the present rollout is over"), None)
            }
            Decision::Claim { reason } => ("finished", reason, Some(now)),
        };
        let holds = self.holds.iter().map(|(file, since)| Hold {
            file: file.clone(),
            since: *since,
            until: hold_end(*since, finish),
        });
        View {
            state,
            reason,
            next_look,
            changes: self.changes(),
            files: latest_first(&self.files),
            users: latest_first(&self.users),
            bytes: self.bytes,
            first_change: self.first_change,
            last_change: self.last_change,
            holds: holds.filter(|hold| hold.until > now).collect(),
        }
    }
}

/// A window as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// `empty`, `gathering` (changes still come), `held` (by a partial upload), `finished` (a rollout starts now) or
    /// `queued` (a rollout starts when the present one is over).
    pub state: &'static str,
    /// Why, in a sentence.
    pub reason: String,
    /// When it is looked at next, at the latest.
    pub next_look: Option<Timestamp>,
    /// How many changes wait for a rollout.
    pub changes: u64,
    /// The files changed last.
    pub files: Vec<String>,
    /// The users who changed them.
    pub users: Vec<String>,
    /// How much was uploaded.
    pub bytes: u64,
    /// When the first change was made.
    pub first_change: Option<Timestamp>,
    /// When the last change was made.
    pub last_change: Option<Timestamp>,
    /// The partial uploads that hold it.
    pub holds: Vec<Hold>,
}

/// A partial upload that holds a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// The file, below the site's directory.
    pub file: String,
    /// When its upload broke off.
    pub since: Timestamp,
    /// When it holds no longer, should nobody mend it.
    pub until: Timestamp,
}

/// Looks at a window at `now`.
#[must_use]
pub fn decide(window: &Window, finish: &Finish, now: Timestamp) -> Decision {
    let (Some(first), Some(last)) = (window.first_change, window.last_change) else { return Decision::Nothing };
    if !window.is_open() {
        return Decision::Nothing;
    }
    if window.marker.is_some() {
        return Decision::Claim { reason: "the marker file was uploaded".into() };
    }
    if let Some((file, until)) = longest_hold(window, finish, now) {
        let reason = format!("the upload of {file} broke off: waiting until it is whole, deleted or renamed");
        return Decision::Wait { until, held: true, reason };
    }
    let (quiet, latest) = (later(last, finish.quiet_period.get()), later(first, finish.max_wait.get()));
    if now >= quiet {
        return Decision::Claim { reason: format!("nothing has changed for {}", finish.quiet_period) };
    }
    if now >= latest {
        return Decision::Claim { reason: format!("the first change is {} old", finish.max_wait) };
    }
    let reason = format!(
        "the last change was {} ago: waiting for {} of quiet, or for {} since the first change",
        describe(now.duration_since(last)),
        finish.quiet_period,
        finish.max_wait,
    );
    Decision::Wait { until: quiet.min(latest), held: false, reason }
}

fn longest_hold<'a>(window: &'a Window, finish: &Finish, now: Timestamp) -> Option<(&'a str, Timestamp)> {
    let holds = window.holds.iter().map(|(file, since)| (file.as_str(), hold_end(*since, finish)));
    holds.filter(|(_, until)| *until > now).max_by_key(|(_, until)| *until)
}

fn hold_end(since: Timestamp, finish: &Finish) -> Timestamp {
    later(since, finish.hold_partial_for.get())
}

fn later(time: Timestamp, duration: jiff::SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// Notes `name` at `at` and forgets the earliest beyond `most`: which are kept depends on no order.
fn keep_latest(names: &mut BTreeMap<String, Timestamp>, name: &str, at: Timestamp, most: usize) {
    let known = names.entry(name.to_owned()).or_insert(at);
    *known = at.max(*known);
    while names.len() > most {
        let earliest = names.iter().min_by_key(|(name, at)| (**at, *name)).map(|(name, _)| name.clone());
        earliest.map(|name| names.remove(&name));
    }
}

fn latest_first(names: &BTreeMap<String, Timestamp>) -> Vec<String> {
    let mut order: Vec<_> = names.iter().collect();
    order.sort_by_key(|(name, at)| (std::cmp::Reverse(**at), *name));
    order.into_iter().map(|(name, _)| name.clone()).collect()
}
