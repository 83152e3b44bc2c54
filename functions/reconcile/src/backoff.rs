//! When to look again: soon while AWS works, then less and less often; slowly where AWS refuses.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wharfinger_store::lease::Armed;

/// What a visit to a server came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is as wanted, or the server is no more.
    Done,
    /// Look again.
    Again {
        /// What is waited for: a new one starts the delays anew.
        step: String,
        /// AWS refuses it: only a change by a person helps soon.
        slowly: bool,
    },
}

/// A message that was due so long ago counts as delivered or lost.
const GRACE: SignedDuration = SignedDuration::ZERO;

/// What is armed after `outcome`, and the delay of the message to send now, if one is needed.
pub(crate) fn next(armed: &Armed, outcome: &Outcome, now: Timestamp) -> (Armed, Option<Duration>) {
    let pending = armed.is_pending(now, GRACE);
    let Outcome::Again { step, slowly } = outcome else {
        // A message still on its way finds nothing to do.
        return (Armed { at: armed.at.filter(|_| pending), ..Armed::default() }, None);
    };
    let same = armed.step == *step;
    let tries = match (same, pending) {
        (true, true) => armed.tries,
        (true, false) => armed.tries.saturating_add(1),
        (false, _) => 0,
    };
    let delay = delay(tries, *slowly);
    let at = now + SignedDuration::try_from(delay).expect("at most 15 minutes");
    if pending && armed.at.is_some_and(|due| due <= at) {
        return (Armed { at: armed.at, step: step.clone(), tries }, None);
    }
    (Armed { at: Some(at), step: step.clone(), tries }, Some(delay))
}

/// 2, 3, 4, 6 … 30 seconds; slowly: 1, 2, 4 … 15 minutes.
fn delay(tries: u32, slowly: bool) -> Duration {
    let seconds = if slowly {
        60u64.saturating_mul(1 << tries.min(4)).min(900)
    } else {
        (0..tries.min(10)).fold(2u64, |seconds, _| seconds + seconds.div_ceil(3)).min(30)
    };
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
    fn waiting(step: &str) -> Outcome {
        Outcome::Again { step: step.into(), slowly: false }
    }

    #[test]
    fn delays_grow_while_the_same_is_waited_for() {
        let (mut armed, mut now, mut delays) = (Armed::default(), at(0), Vec::new());
        for _ in 0..10 {
            let (next, delay) = next(&armed, &waiting("starting"), now);
            delays.push(delay.unwrap().as_secs());
            now = next.at.unwrap();
            armed = next;
        }
        assert_eq!(delays, [2, 3, 4, 6, 8, 11, 15, 20, 27, 30]);
        assert_eq!(next(&armed, &waiting("stopping"), now).1, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_aws_refuses_is_tried_slowly() {
        let (mut armed, mut now) = (Armed::default(), at(0));
        let refused = Outcome::Again { step: "create".into(), slowly: true };
        for expected in [60, 120, 240, 480, 900, 900] {
            let (next, delay) = next(&armed, &refused, now);
            assert_eq!(delay, Some(Duration::from_secs(expected)));
            now = next.at.unwrap();
            armed = next;
        }
    }

    #[test]
    fn many_deliveries_keep_one_chain_of_messages() {
        let (armed, first) = next(&Armed::default(), &waiting("starting"), at(0));
        assert!(first.is_some());
        for second in [0, 1] {
            assert_eq!(next(&armed, &waiting("starting"), at(second)).1, None, "one is on its way");
        }
        assert!(next(&armed, &waiting("starting"), at(2)).1.is_some(), "this was the one");
    }

    #[test]
    fn a_sooner_look_is_not_held_up_by_a_later_one() {
        let armed = Armed { at: Some(at(900)), step: "create".into(), tries: 4 };
        assert_eq!(next(&armed, &waiting("starting"), at(1)).1, Some(Duration::from_secs(2)));
    }

    #[test]
    fn nothing_is_sent_when_all_is_done() {
        assert_eq!(next(&Armed::default(), &Outcome::Done, at(0)).1, None);
    }
}
