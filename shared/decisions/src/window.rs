//! A site's window: the changes since its last rollout, and when they count as finished.
//!
//! A window's content does not depend on the order of events or on repeats: [`SeenEvents`] knows the latest events, and
//! every summary is a maximum or a sum over distinct events. [`decide`] decides what to do with the window, and why.

mod view;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    duration::describe,
    rollout::Cause,
    seen_events::SeenEvents,
    sftp_event::{Change, Effect, digest},
    site::Finish,
    summary::ChangeSummary,
};

pub use self::view::{Hold, View};

/// The most files that a window names.
pub const MOST_FILES: usize = 20;
/// The most users that a window names.
pub const MOST_USERS: usize = 10;
/// The most partial uploads that hold a window; of more, the latest do.
pub const MOST_HOLDS: usize = 20;

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
}

/// The result of adding changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Changes counted now.
    pub new: u64,
    /// Changes that had been counted before.
    pub repeated: u64,
    /// The events counted now.
    pub events: SeenEvents,
}

/// What to do with a window.
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

    /// Adds changes that arrived at `now`. Those that are `seen` change nothing.
    pub fn absorb(&mut self, seen: &SeenEvents, changes: &[Change], now: Timestamp) -> Absorbed {
        let mut absorbed = Absorbed::default();
        for change in changes {
            let path = digest(&change.file);
            if seen.knows(change.event, path) || absorbed.events.knows(change.event, path) {
                absorbed.repeated += 1;
                continue;
            }
            self.count(change, now);
            let settled = seen.settled(path).max(absorbed.events.settled(path));
            self.hold_or_free(change, settled);
            absorbed.events.remember(change, path);
            absorbed.new += 1;
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
                let inside = |file: &String| *file == change.file || file.starts_with(&below);
                self.holds.retain(|file, since| *since > change.at || !inside(file));
            }
            Effect::Partial | Effect::Other => {}
        }
    }

    /// What a rollout started now would be for.
    #[must_use]
    pub fn cause(&self, reason: String) -> Cause {
        Cause { reason, summary: self.summary(), from_seq: self.claimed_seq + 1, to_seq: self.seq }
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

    /// The window after its claim at `now`: without changes, but still held by what is partial.
    #[must_use]
    pub fn claimed(&self, finish: &Finish, now: Timestamp) -> Self {
        let mut holds = self.holds.clone();
        holds.retain(|_, since| later(*since, finish.hold_partial_for.get()) > now);
        Self { seq: self.seq, claimed_seq: self.seq, holds, ..Self::default() }
    }
}

/// Looks at a window at `now`.
#[must_use]
pub fn decide(window: &Window, finish: &Finish, now: Timestamp) -> Decision {
    let (Some(since), Some(last)) = (window.since(), window.last_change) else { return Decision::Nothing };
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
    let (quiet, latest) = (later(last, finish.quiet_period.get()), later(since, finish.max_wait.get()));
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
    let holds = window.holds.iter().map(|(file, since)| (file.as_str(), window.hold_end(*since, finish)));
    holds.filter(|(_, until)| *until > now).max_by_key(|(_, until)| *until)
}

impl Window {
    /// When an upload that broke off at `since` holds the window no longer. Whoever breaks off again and again holds it
    /// for `hold_partial_for` beyond `max_wait` and no longer.
    fn hold_end(&self, since: Timestamp, finish: &Finish) -> Timestamp {
        let patience = finish.hold_partial_for.get();
        let last = self.since().map_or(Timestamp::MAX, |opened| later(later(opened, finish.max_wait.get()), patience));
        later(since, patience).min(last)
    }
}

fn later(time: Timestamp, duration: jiff::SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000;

    /// When the events are heard of, where it does not matter: none of the windows is old by that.
    const HEARD: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(START + seconds).unwrap()
    }

    fn change(event: u64, seconds: i64, file: &str, effect: Effect) -> Change {
        Change {
            event,
            at: at(seconds),
            dated: true,
            file: file.into(),
            effect,
            bytes: 10,
            user: Some("alice".into()),
            marker: false,
        }
    }

    fn window_of(changes: &[Change]) -> (Window, SeenEvents) {
        let mut window = Window::default();
        let absorbed = window.absorb(&SeenEvents::default(), changes, HEARD);
        (window, absorbed.events)
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
            let (mut window, mut memory) = (Window::default(), SeenEvents::default());
            let (early, late) = disorder.split_at(cut.min(disorder.len()));
            for part in [early, late] {
                let absorbed = window.absorb(&memory, part, HEARD);
                memory.extend(&absorbed.events);
            }
            let (expected, remembered) = window_of(&changes);
            // At most MOST_HOLDS are kept, which of them depends on when the others were mended.
            prop_assume!(changes.iter().filter(|it| it.effect == Effect::Partial).count() <= MOST_HOLDS);
            prop_assert_eq!(&window, &expected);
            prop_assert_eq!(&memory, &remembered);
            prop_assert_eq!(window.changes(), changes.len() as u64);
            let again = window.absorb(&memory, &changes, HEARD);
            prop_assert_eq!(again, Absorbed { repeated: changes.len() as u64, ..Absorbed::default() });
            prop_assert_eq!(window, expected);
        }

        #[test]
        fn a_claimed_window_opens_only_for_new_changes((changes, disorder) in shuffled_and_doubled()) {
            let finish = Finish::default();
            let (window, memory) = window_of(&changes);
            let now = at(100_000);
            let claims = matches!(decide(&window, &finish, now), Decision::Claim { .. });
            prop_assert!(claims);
            let mut next = window.claimed(&finish, now);
            next.absorb(&memory, &disorder, HEARD);
            prop_assert_eq!(decide(&next, &finish, now), Decision::Nothing);
            prop_assert_eq!(window.cause(String::new()).to_seq, next.claimed_seq);
        }

        #[test]
        fn every_wait_ends_and_a_claim_stays_due(changes in some_changes(), look in 0..6_000_i64, later in 0..10_000_i64) {
            let finish = Finish::default();
            let (window, _) = window_of(&changes);
            let bound = window.holds.values().map(|since| window.hold_end(*since, &finish)).max()
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
        fn a_window_reads_back_as_it_was_written_and_fits_into_four_write_units(changes in some_changes()) {
            let (window, _) = window_of(&changes);
            let text = serde_json::to_string(&window).unwrap();
            prop_assert!(text.len() < 4_096 - 500, "{}", text.len());
            prop_assert_eq!(serde_json::from_str::<Window>(&text).unwrap(), window);
        }
    }

    fn later_than(first: Timestamp, finish: &Finish) -> Timestamp {
        later(first, finish.max_wait.get())
    }

    #[test]
    fn five_hundred_uploads_are_one_window_of_bounded_size() {
        let uploads = |name: fn(u64) -> String| -> Vec<Change> {
            let upload = |number| Change {
                user: Some(format!("user{number}")),
                ..change(number, 1, &name(number), Effect::Partial)
            };
            (0..5_000).map(upload).collect()
        };
        let (window, _) = window_of(&uploads(|number| format!("{number}.html"))[..500]);
        assert_eq!((window.changes(), window.files.len(), window.users.len()), (500, MOST_FILES, MOST_USERS));
        assert_eq!(window.bytes, 5_000);
        assert!(matches!(decide(&window, &Finish::default(), at(2)), Decision::Wait { held: true, .. }));
        let (window, _) = window_of(&uploads(|number| format!("{number:0500}")));
        assert!(!window.files.is_empty() && !window.holds.is_empty());
        assert!(serde_json::to_string(&window).unwrap().len() < 4_096 - 500);
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

    #[test]
    fn an_upload_that_breaks_off_again_and_again_holds_no_longer_than_max_wait_and_its_patience() {
        let finish = Finish::default();
        let mut window = Window::default();
        let mut claimed_at = None;
        for second in (0..10_000).step_by(300) {
            let broken = change(second, i64::try_from(second).unwrap(), "big.iso", Effect::Partial);
            window.absorb(&SeenEvents::default(), &[broken], at(i64::try_from(second).unwrap()));
            if matches!(decide(&window, &finish, at(i64::try_from(second).unwrap())), Decision::Claim { .. }) {
                claimed_at = Some(second);
                break;
            }
        }
        assert_eq!(claimed_at, Some(45 * 60), "15 minutes of max_wait and 30 of hold_partial_for");
    }

    #[test]
    fn an_old_event_that_comes_late_does_not_claim_in_mid_upload() {
        let finish = Finish::default();
        let (now, seen) = (at(10_000), SeenEvents::default());
        let mut window = Window::default();
        window.absorb(&seen, &[change(1, 0, "old", Effect::Whole), change(2, 9_990, "new", Effect::Whole)], now);
        let Decision::Wait { until, held: false, .. } = decide(&window, &finish, now) else { panic!() };
        assert_eq!(until, at(10_050));
    }

    #[test]
    fn two_windows_of_a_site_become_one() {
        let (mut one, _) = window_of(&[change(1, 10, "a", Effect::Whole)]);
        let (two, _) = window_of(&[change(2, 0, "b", Effect::Partial), change(3, 20, "c", Effect::Whole)]);
        one.merge(&two);
        assert_eq!((one.changes(), one.bytes), (3, 30));
        assert_eq!((one.first_change, one.last_change), (Some(at(0)), Some(at(20))));
        assert!(one.holds.contains_key("b") && one.files.len() == 3);
    }
}
