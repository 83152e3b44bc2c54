//! A server sleeps and wakes with one call of AWS after the other gone wrong: always to the same end.

use simulation::{
    Player,
    ordeal::{Because, Calls, Mishap, Trial},
    trial::Tried,
};

/// The calls without which no server sleeps and wakes.
const NEEDED: [&str; 6] =
    ["DeleteServer", "CreateServer", "ImportHostKey", "StopServer", "UpdateServer", "StartServer"];

fn holds(trial: Trial) -> Tried {
    let player = Player::new().expect("the template can be read");
    let tried = player.try_sleep(trial).expect("the world can be made");
    let Tried { struck, missed, violations, lines } = &tried;
    if let Some(violation) = violations.first() {
        let last = struck.last().map_or("no call", String::as_str);
        let story = lines.join("\n");
        panic!(
            "{trial:?}, {} calls, the last one {last}: {}: {}\n{story}",
            struck.len(),
            violation.rule,
            violation.seen
        );
    }
    println!("{trial:?}: {} calls; not made: {missed:?}", struck.len());
    // Sweeps and looks come between while nobody is there, and not at the same places each time.
    let most_missed = if trial.because == Because::Idle { struck.len() } else { struck.len() / 3 };
    assert!(struck.len() > 10 && missed.len() <= most_missed, "{struck:?}, but not {missed:?}");
    tried
}

fn all_that_change_something(mishap: Mishap) {
    let Tried { struck, .. } =
        holds(Trial { because: Because::Ordered, mishap, calls: Calls::Changing, skip: 0, step: 1 });
    for needed in NEEDED {
        assert!(struck.iter().any(|call| call.ends_with(needed)), "{needed} is not among {struck:?}");
    }
}

fn some_that_look(mishap: Mishap, skip: usize) {
    holds(Trial { because: Because::Ordered, mishap, calls: Calls::Looking, skip, step: 10 });
}

#[test]
fn a_function_dies_after_each_change() {
    all_that_change_something(Mishap::Dies);
}

#[test]
fn the_answer_to_each_change_is_lost() {
    all_that_change_something(Mishap::LosesAnswer);
}

#[test]
fn some_changes_are_throttled_once() {
    holds(Trial { because: Because::Ordered, mishap: Mishap::Throttled, calls: Calls::Changing, skip: 0, step: 3 });
}

#[test]
fn some_changes_are_never_answered() {
    holds(Trial { because: Because::Ordered, mishap: Mishap::NeverAnswers, calls: Calls::Changing, skip: 1, step: 5 });
}

#[test]
fn a_function_dies_after_some_changes_while_nobody_is_there() {
    holds(Trial { because: Because::Idle, mishap: Mishap::Dies, calls: Calls::Changing, skip: 2, step: 9 });
}

#[test]
fn a_function_dies_after_some_looks() {
    some_that_look(Mishap::Dies, 0);
}

#[test]
fn some_looks_are_throttled_once() {
    some_that_look(Mishap::Throttled, 3);
}

#[test]
#[ignore = "as long as all others together"]
fn each_change_is_throttled_once() {
    all_that_change_something(Mishap::Throttled);
}

#[test]
#[ignore = "as long as all others together"]
fn each_look_is_throttled_once() {
    holds(Trial { because: Because::Ordered, mishap: Mishap::Throttled, calls: Calls::Looking, skip: 0, step: 1 });
}

#[test]
#[ignore = "as long as all others together"]
fn a_function_dies_after_each_look() {
    holds(Trial { because: Because::Ordered, mishap: Mishap::Dies, calls: Calls::Looking, skip: 0, step: 1 });
}
