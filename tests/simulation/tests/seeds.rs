//! Stories drawn from seeds: the rules hold in them, they replay, and bugs do not get past them.

use std::time::Duration;

use simulation::{
    Player,
    known::KNOWN,
    plant::Plant,
    story::{Mix, Story},
};

/// Short stories, for a build without optimisation.
fn short() -> Mix {
    Mix { length: Duration::from_secs(3600), ..Mix::default() }
}

#[test]
fn a_seed_plays_the_same_story_to_the_last_call() {
    let player = Player::new().unwrap();
    for seed in 0..2 {
        let story = Story::of(seed, &short());
        let (first, second) = (player.play(&story, None).unwrap(), player.play(&story, None).unwrap());
        let differs = first.lines.iter().zip(&second.lines).find(|(first, second)| first != second);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
        assert!(first.lines.iter().any(|line| line.contains("reconcile calls transfer:CreateServer")), "seed {seed}");
    }
}

/// Plays this share of the seeds: the shares are tests of their own, so that they run side by side.
fn the_rules_hold_in(seeds: std::ops::Range<u64>) {
    let player = Player::new().expect("the template can be read");
    let found = player.hunt(&short(), None, None, seeds).expect("the worlds can be made");
    if let Some(find) = found {
        panic!("{}", player.shrink(find, None, 20).expect("the worlds can be made"));
    }
}

#[test]
fn the_rules_hold_in_the_first_seeds() {
    the_rules_hold_in(0..6);
}

#[test]
fn what_is_known_to_fail_still_does() {
    let player = Player::new().unwrap();
    for known in KNOWN {
        let mix = Mix { features: vec![known.feature], storms: false, ..short() };
        let found = player.hunt(&mix, None, Some(known.rule), 0..200).unwrap();
        assert!(found.is_some(), "{} is not found any more: take it off the list", known.name);
    }
}

#[test]
fn planted_bugs_are_found() {
    let player = Player::new().unwrap();
    for plant in Plant::SOON_FOUND {
        let found = player.hunt(&short(), Some(plant), None, 0..2000).unwrap();
        let found = found.unwrap_or_else(|| panic!("nothing notices {plant:?}"));
        println!("{plant:?}: {} in seed {}", found.report.violations[0].rule, found.story.seed);
    }
}
