//! Stories drawn from seeds: the rules hold in them, they replay, and bugs do not get past them.

use std::{ops::Range, time::Duration};

use clap::ValueEnum as _;
use simulation::{
    Player,
    known::KNOWN,
    plant::Plant,
    story::{Feature, Mix, Story},
};

/// Short stories, for a build without optimisation.
fn short() -> Mix {
    Mix { length: Duration::from_secs(1800), ..Mix::default() }
}

fn player() -> Player {
    Player::new().expect("the template can be read")
}

fn replays(seed: u64, mix: &Mix) {
    let (player, story) = (player(), Story::of(seed, mix));
    let play = || player.play(&story, None).expect("the world can be made");
    let (first, second) = (play(), play());
    let differs = first.lines.iter().zip(&second.lines).find(|(first, second)| first != second);
    assert_eq!(differs, None, "seed {seed}");
    assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
    assert!(first.lines.iter().any(|line| line.contains("reconcile calls transfer:CreateServer")), "seed {seed}");
}

#[test]
fn a_seed_plays_the_same_story_to_the_last_call() {
    replays(0, &short());
}

#[test]
fn a_seed_with_deaths_and_doubles_plays_the_same_story_to_the_last_call() {
    replays(1, &Mix { features: vec![Feature::Deaths, Feature::Doubles], ..short() });
}

/// Plays this share of the seeds: the shares are tests of their own, so that they run side by side.
fn the_rules_hold_in(mix: &Mix, seeds: Range<u64>) {
    let player = player();
    let found = player.hunt(mix, None, None, seeds).expect("the worlds can be made");
    if let Some(find) = found {
        panic!("{}", player.shrink(find, None, 20).expect("the worlds can be made"));
    }
}

#[test]
fn the_rules_hold_in_the_first_seeds() {
    the_rules_hold_in(&short(), 0..12);
}

#[test]
fn the_rules_hold_in_the_next_seeds() {
    the_rules_hold_in(&short(), 12..24);
}

/// What is not known to fail holds, in a story of its own and in whatever else the seed draws.
fn features_hold(features: impl Iterator<Item = Feature>) {
    for feature in features.filter(|feature| KNOWN.iter().all(|known| known.feature != *feature)) {
        the_rules_hold_in(&Mix { features: vec![feature], ..short() }, 0..1);
    }
}

#[test]
fn every_other_feature_holds() {
    features_hold(Feature::value_variants().iter().copied().step_by(2));
}

#[test]
fn the_features_between_hold() {
    features_hold(Feature::value_variants().iter().copied().skip(1).step_by(2));
}

#[test]
fn what_is_known_to_fail_still_does() {
    let player = player();
    for known in KNOWN {
        let mix = Mix { features: vec![known.feature], storms: false, ..short() };
        let found = player.hunt(&mix, None, Some(known.rule), 0..200).unwrap();
        assert!(found.is_some(), "{} is not found any more: take it off the list", known.name);
    }
}

/// The bug is found: in the story of `seed`, where it was found last, or else in another one.
fn is_found(plant: Plant, seed: u64) {
    let (player, mix) = (player(), plant.mix());
    let hunt = |seeds| player.hunt(&mix, Some(plant), Some(plant.rule()), seeds).expect("the worlds can be made");
    let found = hunt(seed..seed + 1).or_else(|| hunt(0..200));
    let found = found.unwrap_or_else(|| panic!("nothing notices {plant:?}"));
    println!("{plant:?}: {} in seed {}", plant.rule(), found.story.seed);
}

#[test]
fn every_rule_has_a_planted_bug() {
    let rules = include_str!("../src/rules.rs").lines().filter_map(|line| line.strip_prefix("pub const "));
    let rules: Vec<&str> = rules.map(|rule| rule.split('"').nth(1).expect("a rule stands on one line")).collect();
    let is_bitten = |rule: &&&str| Plant::value_variants().iter().any(|plant| plant.rule() == **rule);
    assert_eq!(rules.iter().find(|rule| !is_bitten(rule)), None);
    assert!(!rules.is_empty());
}

/// A test of its own for each planted bug, so that they run side by side, and the seed in which
/// `cargo run --release -p simulation -- --bite` finds it first.
macro_rules! planted_bugs {
    ($($test:ident: $plant:ident in $seed:literal,)*) => {
        $(
            #[test]
            fn $test() {
                is_found(Plant::$plant, $seed);
            }
        )*

        #[test]
        fn every_planted_bug_is_hunted() {
            assert_eq!(Plant::value_variants(), [$(Plant::$plant,)*]);
        }
    };
}

planted_bugs! {
    a_forgotten_search_is_found: ForgetTheSearch in 0,
    a_blind_retry_is_found: RetryBlindly in 0,
    a_hasty_verdict_is_found: TakeItAsCompleted in 0,
    a_sweep_without_repairs_is_found: RepairNothing in 5,
    an_early_acknowledgement_is_found: AcknowledgeEarly in 52,
    an_unconditional_claim_is_found: ClaimUnconditionally in 0,
    a_forgotten_revision_is_found: ForgetTheRevision in 3,
    a_change_that_counts_twice_is_found: CountTwice in 0,
    a_dropped_mount_is_found: DropMounts in 0,
    a_kept_user_is_found: KeepUsers in 0,
    a_kept_key_is_found: KeepKeys in 1,
    a_kept_rule_is_found: KeepRules in 3,
    ignored_metrics_are_found: IgnoreMetrics in 6,
    a_stop_without_a_second_look_is_found: StopAtOnce in 0,
    a_drain_that_waits_for_nobody_is_found: DrainForNobody in 34,
    an_order_that_is_kept_briefly_is_found: KeepBriefly in 0,
    forgotten_orders_are_found: ForgetOrders in 0,
    an_overlooked_banner_is_found: OverlookTheBanner in 11,
    overlooked_host_keys_are_found: OverlookHostKeys in 10,
    a_server_that_is_left_there_is_found: LeaveItThere in 0,
    a_logged_host_key_is_found: LogTheHostKey in 0,
    a_lock_that_locks_nothing_is_found: LockNothing in 0,
    a_forgotten_verdict_is_found: ForgetTheVerdict in 0,
    a_sweep_that_overlooks_rollouts_is_found: OverlookRollouts in 8,
    a_revision_without_its_site_is_found: MountNothing in 0,
    a_revision_with_another_directory_is_found: MountAnother in 0,
    a_shut_door_is_found: LetNobodyIn in 0,
    a_user_that_is_not_made_is_found: MakeNoUsers in 1,
    a_list_that_fails_at_the_unreadable_is_found: FailAtTheUnreadable in 5,
    a_list_that_ends_at_the_unreadable_is_found: EndAtTheUnreadable in 5,
    an_unwrapped_refusal_is_found: UnwrapRefusals in 0,
    a_report_of_what_is_done_is_found: ReportTheDone in 0,
    a_tolerant_alarm_is_found: TolerateLetters in 4,
}
