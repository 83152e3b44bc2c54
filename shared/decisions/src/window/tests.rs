//! Windows of events in any order, and what is decided of them.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{decision::later, *};

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
            Decision::Nothing | Decision::Ask { .. } => prop_assert!(false, "there are changes, and nobody is asked"),
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
    assert!(matches!(
        decide(&window, &Finish::default(), at(2)),
        Decision::Wait { waits_for: WaitsFor::PartialUpload, .. }
    ));
    let (window, _) = window_of(&uploads(|number| format!("{number:0500}")));
    assert!(!window.files.is_empty() && !window.holds.is_empty());
    assert!(serde_json::to_string(&window).unwrap().len() < 4_096 - 500);
}

#[test]
fn quiet_ends_a_window_and_max_wait_ends_a_restless_one() {
    let finish = Finish::default();
    let (window, _) = window_of(&[change(1, 0, "a", Effect::Whole), change(2, 30, "b", Effect::Gone)]);
    let Decision::Wait { until, waits_for: WaitsFor::Quiet, .. } = decide(&window, &finish, at(89)) else { panic!() };
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
    let Decision::Wait { until, waits_for: WaitsFor::PartialUpload, reason } = decide(&held, &finish, at(1_000)) else {
        panic!()
    };
    assert_eq!(until - at(0), SignedDuration::from_mins(30));
    assert!(reason.contains("big.iso"), "{reason}");
    assert!(matches!(decide(&held, &finish, at(1_800)), Decision::Claim { .. }));
    for mended in [Effect::Whole, Effect::Gone] {
        let (window, _) = window_of(&[partial.clone(), change(2, 10, "big.iso", mended)]);
        assert!(matches!(decide(&window, &finish, at(70)), Decision::Claim { .. }));
        let (window, _) = window_of(&[change(2, 10, "big.iso", mended), partial.clone()]);
        assert!(window.holds.is_empty(), "its completion came first, its break later");
    }
    let view = held.show(decide(&held, &finish, at(10)), &finish, false, at(10));
    assert_eq!((view.state, view.holds.len()), ("held", 1));
}

#[test]
fn a_marker_ends_the_window_at_once_and_a_hold_outlives_it() {
    let finish = Finish::default();
    let marker = Change { marker: true, ..change(2, 5, ".deploy", Effect::Whole) };
    let (window, _) = window_of(&[change(1, 0, "big.iso", Effect::Partial), marker]);
    assert!(matches!(decide(&window, &finish, at(5)), Decision::Claim { .. }));
    assert_eq!(window.show(decide(&window, &finish, at(5)), &finish, true, at(5)).state, "queued");
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

proptest! {
    #[test]
    fn no_client_holds_a_window_for_longer_than_max_wait_and_hold_partial_for(
        changes in some_changes(), gap in 1..600_i64, now in 0..20_000_i64,
    ) {
        let finish = Finish::default();
        let mut window = Window::default();
        // Whatever comes, it goes on coming.
        for (change, heard) in changes.iter().cycle().zip((0..now).step_by(usize::try_from(gap).unwrap())) {
            let change = Change { event: u64::try_from(heard).unwrap(), at: at(heard), ..change.clone() };
            window.absorb(&SeenEvents::default(), &[change], at(heard));
            let over = matches!(decide(&window, &finish, at(heard)), Decision::Claim { .. });
            prop_assert!(over || heard < 45 * 60, "it is {heard} s old");
        }
    }

    #[test]
    fn what_was_changed_before_a_claim_waits_for_no_other(changes in some_changes(), cut in 0..60_usize) {
        let finish = Finish::default();
        let (early, late) = changes.split_at(cut.min(changes.len()));
        let (window, memory) = window_of(early);
        let mut next = window.claimed(&finish, at(1_200) + MOST_SKEW);
        let absorbed = next.absorb(&memory, late, at(2_000));
        prop_assert_eq!((absorbed.new, absorbed.covered), (0, late.len() as u64));
        prop_assert!(!next.is_open());
        let again = next.absorb(&absorbed.events, late, at(2_000));
        prop_assert_eq!(again.repeated, late.len() as u64);
    }
}

#[test]
fn a_change_from_before_its_marker_that_comes_after_the_claim_needs_no_second_rollout() {
    let finish = Finish::default();
    let marker = Change { marker: true, ..change(1, 100, ".deploy", Effect::Whole) };
    let (window, memory) = window_of(&[marker]);
    let mut next = window.claimed(&finish, at(101));
    let late = [change(2, 99, "a", Effect::Whole), change(3, 98, "big.iso", Effect::Partial)];
    assert_eq!(next.absorb(&memory, &late, at(102)).covered, 2);
    assert_eq!((decide(&next, &finish, at(102)), next.holds.len()), (Decision::Nothing, 1));
    let undated = Change { dated: false, ..change(4, 99, "b", Effect::Whole) };
    let after = change(5, 101, "c", Effect::Whole);
    assert_eq!(next.absorb(&memory, &[undated, after], at(102)).new, 2, "they may have come after it");
}

#[test]
fn a_directory_that_is_renamed_away_takes_its_partial_uploads_with_it() {
    let (window, _) = window_of(&[change(1, 0, "x/big.iso", Effect::Partial), change(2, 5, WHOLE_SITE, Effect::Gone)]);
    assert!(window.holds.is_empty());
}

#[test]
fn an_old_event_that_comes_late_does_not_claim_in_mid_upload() {
    let finish = Finish::default();
    let (now, seen) = (at(10_000), SeenEvents::default());
    let mut window = Window::default();
    window.absorb(&seen, &[change(1, 0, "old", Effect::Whole), change(2, 9_990, "new", Effect::Whole)], now);
    let Decision::Wait { until, waits_for: WaitsFor::Quiet, .. } = decide(&window, &finish, now) else { panic!() };
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
