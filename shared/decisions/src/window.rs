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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(START + seconds).unwrap()
    }

    fn change(event: u64, seconds: i64, file: &str, effect: Effect) -> Change {
        Change {
            event,
            at: at(seconds),
            file: file.into(),
            effect,
            bytes: 10,
            user: Some("alice".into()),
            marker: false,
        }
    }

    fn window_of(changes: &[Change]) -> (Window, Memory) {
        let (mut window, mut memory) = (Window::default(), Memory::default());
        window.absorb(&mut memory, changes);
        (window, memory)
    }

    fn some_changes() -> impl Strategy<Value = Vec<Change>> {
        let effect = prop_oneof![Just(Effect::Whole), Just(Effect::Partial), Just(Effect::Gone), Just(Effect::Other)];
        let one = (0..1_200_i64, 0..30_u32, effect, 0..15_u32, prop::bool::weighted(0.02));
        prop::collection::vec(one, 1..60).prop_map(|rows| {
            let numbered = (0_u64..).zip(rows);
            let changes = numbered.map(|(event, (seconds, file, effect, user, marker))| Change {
                user: Some(format!("user{user}")),
                marker: marker && effect == Effect::Whole,
                ..change(event, seconds, &format!("file{file}"), effect)
            });
            changes.collect()
        })
    }

    fn shuffled_and_doubled() -> impl Strategy<Value = (Vec<Change>, Vec<Change>)> {
        some_changes().prop_flat_map(|changes| {
            let doubled: Vec<Change> = changes.iter().chain(changes.iter().step_by(3)).cloned().collect();
            (Just(changes), Just(doubled).prop_shuffle())
        })
    }

    proptest! {
        #[test]
        fn order_and_repeats_change_nothing((changes, disorder) in shuffled_and_doubled(), cut in 0..60_usize) {
            let (mut window, mut memory) = (Window::default(), Memory::default());
            let (early, late) = disorder.split_at(cut.min(disorder.len()));
            window.absorb(&mut memory, early);
            window.absorb(&mut memory, late);
            let (expected, remembered) = window_of(&changes);
            // At most MOST_HOLDS are kept, which of them depends on when the others were mended.
            prop_assume!(changes.iter().filter(|it| it.effect == Effect::Partial).count() <= MOST_HOLDS);
            prop_assert_eq!(&window, &expected);
            prop_assert_eq!(&memory, &remembered);
            prop_assert_eq!(window.changes(), changes.len() as u64);
            let again = window.absorb(&mut memory, &changes);
            prop_assert_eq!(again, Absorbed { new: 0, repeated: changes.len() as u64 });
            prop_assert_eq!(window, expected);
        }

        #[test]
        fn a_claimed_window_opens_only_for_new_changes((changes, disorder) in shuffled_and_doubled()) {
            let finish = Finish::default();
            let (window, mut memory) = window_of(&changes);
            let now = at(100_000);
            let claims = matches!(decide(&window, &finish, now), Decision::Claim { .. });
            prop_assert!(claims);
            let mut next = window.claimed(&finish, now);
            next.absorb(&mut memory, &disorder);
            prop_assert_eq!(decide(&next, &finish, now), Decision::Nothing);
            prop_assert_eq!(window.cause(String::new()).to_seq, next.claimed_seq);
        }

        #[test]
        fn every_wait_ends_and_a_claim_stays_due(changes in some_changes(), look in 0..6_000_i64, later in 0..10_000_i64) {
            let finish = Finish::default();
            let (window, _) = window_of(&changes);
            let bound = window.holds.values().map(|since| hold_end(*since, &finish)).max()
                .max(window.first_change.map(|first| later_than(first, &finish))).unwrap();
            match decide(&window, &finish, at(look)) {
                Decision::Nothing => prop_assert!(false, "there are changes"),
                Decision::Wait { until, .. } => prop_assert!(until > at(look) && until <= bound),
                Decision::Claim { .. } => {
                    let still = matches!(decide(&window, &finish, at(look + later)), Decision::Claim { .. });
                    prop_assert!(still);
                }
            }
        }

        #[test]
        fn a_memory_reads_back_as_it_was_written(changes in some_changes()) {
            let (window, memory) = window_of(&changes);
            let text = serde_json::to_string(&(&window, &memory)).unwrap();
            let (read, remembered): (Window, Memory) = serde_json::from_str(&text).unwrap();
            prop_assert_eq!((read, remembered), (window, memory));
        }
    }

    fn later_than(first: Timestamp, finish: &Finish) -> Timestamp {
        later(first, finish.max_wait.get())
    }

    #[test]
    fn five_hundred_uploads_are_one_window_of_bounded_size() {
        let changes: Vec<Change> = (0..5_000)
            .map(|number| {
                let file = format!("{number:0500}");
                Change { user: Some(format!("user{number}")), ..change(number, 1, &file, Effect::Partial) }
            })
            .collect();
        let (window, memory) = window_of(&changes[..500]);
        assert_eq!((window.changes(), window.files.len(), window.users.len()), (500, MOST_FILES, MOST_USERS));
        assert_eq!(window.bytes, 5_000);
        assert!(matches!(decide(&window, &Finish::default(), at(2)), Decision::Wait { held: true, .. }), "{memory:?}");
        let all = window_of(&changes);
        assert!(serde_json::to_string(&all).unwrap().len() < 100_000);
    }

    #[test]
    fn quiet_ends_a_window_and_max_wait_ends_a_restless_one() {
        let finish = Finish::default();
        let (window, _) = window_of(&[change(1, 0, "a", Effect::Whole), change(2, 30, "b", Effect::Gone)]);
        let Decision::Wait { until, held: false, .. } = decide(&window, &finish, at(89)) else { panic!() };
        assert_eq!(until, at(90));
        assert_eq!(decide(&window, &finish, at(90)), Decision::Claim { reason: "nothing has changed for 1m".into() });
        let restless: Vec<Change> = (0..31).map(|n| change(n, n as i64 * 30, "a", Effect::Whole)).collect();
        let (window, _) = window_of(&restless);
        assert_eq!(decide(&window, &finish, at(900)), Decision::Claim { reason: "the first change is 15m old".into() });
    }

    #[test]
    fn a_partial_upload_holds_until_it_is_mended_or_given_up() {
        let finish = Finish::default();
        let partial = change(1, 0, "big.iso", Effect::Partial);
        let (held, _) = window_of(std::slice::from_ref(&partial));
        let Decision::Wait { until, held: true, reason } = decide(&held, &finish, at(1_000)) else { panic!() };
        assert_eq!(until - at(0), SignedDuration::from_mins(30));
        assert!(reason.contains("big.iso"), "{reason}");
        assert!(matches!(decide(&held, &finish, at(1_800)), Decision::Claim { .. }));
        for mended in [Effect::Whole, Effect::Gone] {
            let (window, _) = window_of(&[partial.clone(), change(2, 10, "big.iso", mended)]);
            assert!(matches!(decide(&window, &finish, at(70)), Decision::Claim { .. }));
            let (window, _) = window_of(&[change(2, 10, "big.iso", mended), partial.clone()]);
            assert!(window.holds.is_empty(), "its completion came first, its break later");
        }
        let view = held.show(&finish, false, at(10));
        assert_eq!((view.state, view.holds.len()), ("held", 1));
    }

    #[test]
    fn a_marker_ends_the_window_at_once_and_a_hold_outlives_it() {
        let finish = Finish::default();
        let marker = Change { marker: true, ..change(2, 5, ".deploy", Effect::Whole) };
        let (window, _) = window_of(&[change(1, 0, "big.iso", Effect::Partial), marker]);
        assert!(matches!(decide(&window, &finish, at(5)), Decision::Claim { .. }));
        assert_eq!(window.show(&finish, true, at(5)).state, "queued");
        let next = window.claimed(&finish, at(5));
        assert_eq!((next.holds.len(), decide(&next, &finish, at(5))), (1, Decision::Nothing));
    }
}
