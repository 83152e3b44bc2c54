//! Delayed messages with which a function wakes itself. One that comes early enough is enough; none is armed for later
//! than SQS can deliver; delays grow while the same thing is waited for. The table must name exactly what was sent:
//! otherwise a wake-up relies on a later one that never comes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest delay of a message. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
pub const LONGEST_DELAY: SignedDuration = SignedDuration::from_secs(900);

/// How late a wake-up may be before it counts as lost: queues sometimes deliver late.
pub const GRACE: SignedDuration = SignedDuration::from_secs(30);

/// How far the clocks of two invocations may differ: a message may come this much before it is due.
const EARLY: SignedDuration = SignedDuration::from_secs(5);

/// How long an observation of AWS is trusted: people may change things there at any time.
pub const TRUSTED_FOR: SignedDuration = SignedDuration::from_mins(10);

/// A delayed message on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// When it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// What is waited for; a new reason starts the delays anew.
    #[serde(default)]
    pub step: String,
    /// How often it was waited for.
    #[serde(default)]
    pub tries: u32,
}

impl Armed {
    /// Whether a message is still on its way at `now`, allowing for a delay of `grace`.
    #[must_use]
    pub fn is_pending(&self, now: Timestamp, grace: SignedDuration) -> bool {
        is_pending(self.at, now, grace)
    }

    /// Returns what is armed after a look that waits for `step`, and the delay of the message to send, if one is
    /// needed. `backoff` maps the number of tries to a delay.
    #[must_use]
    pub fn next(&self, step: &str, backoff: impl Fn(u32) -> Duration, now: Timestamp) -> (Self, Option<Duration>) {
        let pending = self.is_pending(now, SignedDuration::ZERO);
        let tries = match (self.step == step, pending) {
            (true, true) => self.tries,
            (true, false) => self.tries.saturating_add(1),
            (false, _) => 0,
        };
        let delay = backoff(tries);
        let at = within_reach(later(now, delay), now);
        if pending && self.at.is_some_and(|due| due <= at) {
            return (Self { at: self.at, step: step.to_owned(), tries }, None);
        }
        (Self { at: Some(at), step: step.to_owned(), tries }, Some(delay))
    }

    /// Brings forward what is armed after a look, and the delay of the message to send for it, so that there is also a
    /// look at `due`. What is further off than a message can wait is left alone: the sweep has every server looked at
    /// more often than that, and the last look before `due` arms it. A chain of messages would cost a visit each. What
    /// is armed for the next seconds may be what this look was woken by, before its time.
    #[must_use]
    pub fn no_later_than(self, delay: Option<Duration>, due: Timestamp, now: Timestamp) -> (Self, Option<Duration>) {
        let due = whole_second(due);
        let is_on_its_way = |at: Timestamp| delay.is_some() || at.duration_since(now) > EARLY;
        let is_enough = self.at.is_some_and(|at| at <= due && is_on_its_way(at));
        match Duration::try_from(due.duration_since(now)) {
            Ok(wait) if !is_enough && now < due && due == within_reach(due, now) => {
                (Self { at: Some(due), ..self }, Some(wait))
            }
            _ => (self, delay),
        }
    }

    /// Whether what is armed is waited for, and is still on its way at `now`. A message that is only to be there in time
    /// says nothing of other wake-ups.
    #[must_use]
    pub fn is_waited_for(&self, now: Timestamp) -> bool {
        !self.step.is_empty() && self.is_pending(now, GRACE)
    }

    /// Returns what is armed after a look that waits for nothing: a message that is still on its way will find nothing
    /// to do.
    #[must_use]
    pub fn settled(&self, now: Timestamp) -> Self {
        Self { at: self.at.filter(|_| self.is_pending(now, SignedDuration::ZERO)), ..Self::default() }
    }
}

/// Whether a message that is due at `armed` is still on its way at `now`.
#[must_use]
pub fn is_pending(armed: Option<Timestamp>, now: Timestamp, grace: SignedDuration) -> bool {
    armed.is_some_and(|at| at.saturating_add(grace).unwrap_or(Timestamp::MAX) > now)
}

/// Delays while AWS is working: 2, 3, 4, 6 … 30 seconds.
#[must_use]
pub fn soon(tries: u32) -> Duration {
    let grown = (0..tries.min(10)).fold(2u64, |seconds, _| seconds + seconds.div_ceil(3));
    Duration::from_secs(grown.min(30))
}

/// Delays after a refusal, which usually needs a person: 1, 2, 4 … 15 minutes.
#[must_use]
pub fn slowly(tries: u32) -> Duration {
    Duration::from_secs(60u64.saturating_mul(1 << tries.min(4)).min(900))
}

/// Delays between the tries of a rollout's step: 5, 5, 5, 10 … 30 seconds.
#[must_use]
pub fn between_tries(tries: u32) -> Duration {
    Duration::from_secs(u64::from(5 + 5 * (tries.min(15) / 3)).min(30))
}

/// When to arm a tick, so that there is a look at `due` or earlier. `None` if the one that is `armed` is enough.
#[must_use]
pub fn rearm(armed: Option<Timestamp>, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let at = within_reach(due, now);
    let is_enough = armed.is_some_and(|armed| armed > now && armed <= at);
    (!is_enough).then_some(at)
}

/// `due`, or the latest time that SQS can deliver at: the tick then arms the next one.
#[must_use]
pub fn within_reach(due: Timestamp, now: Timestamp) -> Timestamp {
    due.min(now.saturating_add(LONGEST_DELAY).unwrap_or(Timestamp::MAX))
}

/// `at`, or the next whole second: a message is never early.
fn whole_second(at: Timestamp) -> Timestamp {
    let seconds = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    now.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn an_earlier_tick_is_enough() {
        assert_eq!(rearm(Some(at(60)), at(60), at(0)), None);
        assert_eq!(rearm(Some(at(30)), at(60), at(0)), None);
    }

    #[test]
    fn a_tick_that_is_late_past_or_missing_is_armed() {
        for armed in [Some(at(90)), Some(at(10)), Some(at(5)), None] {
            assert_eq!(rearm(armed, at(60), at(10)), Some(at(60)), "{armed:?}");
        }
    }

    #[test]
    fn nothing_is_armed_for_later_than_sqs_brings_it() {
        assert_eq!(rearm(None, at(1_800), at(0)), Some(at(900)));
        assert_eq!(rearm(Some(at(1_800)), at(1_800), at(0)), Some(at(900)), "it was never sent for that time");
    }

    #[test]
    fn each_tick_of_a_long_wait_arms_the_next_until_it_is_over() {
        let (due, mut now, mut armed) = (at(2_000), at(0), None);
        let mut looks = Vec::new();
        while now < due {
            armed = rearm(armed, due, now);
            now = armed.expect("the last tick has come, so another is needed");
            looks.push(now.as_second());
        }
        assert_eq!(looks, [900, 1_800, 2_000]);
    }

    #[test]
    fn delays_grow_while_the_same_is_waited_for() {
        let (mut armed, mut now, mut delays) = (Armed::default(), at(0), Vec::new());
        for _ in 0..10 {
            let (next, delay) = armed.next("starting", soon, now);
            delays.push(delay.unwrap().as_secs());
            now = next.at.unwrap();
            armed = next;
        }
        assert_eq!(delays, [2, 3, 4, 6, 8, 11, 15, 20, 27, 30]);
        assert_eq!(armed.next("stopping", soon, now).1, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_aws_refuses_is_tried_slowly() {
        assert_eq!([0, 1, 2, 3, 4, 99].map(|tries| slowly(tries).as_secs()), [60, 120, 240, 480, 900, 900]);
    }

    #[test]
    fn tries_of_a_step_grow_rare() {
        assert_eq!([0, 2, 3, 14, 15, 99].map(|tries| between_tries(tries).as_secs()), [5, 5, 10, 25, 30, 30]);
    }

    #[test]
    fn many_deliveries_keep_one_chain_of_messages() {
        let (armed, first) = Armed::default().next("starting", soon, at(0));
        assert!(first.is_some());
        for second in [0, 1] {
            assert_eq!(armed.next("starting", soon, at(second)).1, None, "one is on its way");
        }
        assert!(armed.next("starting", soon, at(2)).1.is_some(), "this was the one");
    }

    #[test]
    fn a_sooner_look_is_not_held_up_by_a_later_one() {
        let armed = Armed { at: Some(at(900)), step: "create".into(), tries: 4 };
        assert_eq!(armed.next("starting", soon, at(1)).1, Some(Duration::from_secs(2)));
    }

    #[test]
    fn there_is_a_look_in_time_where_one_message_can_bring_it() {
        let half = at(600) - SignedDuration::from_millis(500);
        let due = Armed { at: Some(at(600)), ..Armed::default() };
        assert_eq!(Armed::default().no_later_than(None, half, at(0)), (due.clone(), Some(Duration::from_secs(600))));
        assert_eq!(due.clone().no_later_than(None, half, at(300)), (due.clone(), None), "one is on its way");
        let slow = Armed { at: Some(at(900)), step: "refused".into(), tries: 4 };
        let (sooner, delay) = slow.clone().no_later_than(Some(Duration::from_secs(900)), half, at(0));
        assert_eq!((sooner, delay), (Armed { at: Some(at(600)), ..slow.clone() }, Some(Duration::from_secs(600))));
        let soon = (Armed { at: Some(at(2)), ..slow }, Some(Duration::from_secs(2)));
        assert_eq!(soon.0.clone().no_later_than(soon.1, half, at(0)), soon, "that look arms it");
        for due in [at(901), at(0), at(-1)] {
            assert_eq!(Armed::default().no_later_than(None, due, at(0)), (Armed::default(), None), "{due}");
        }
    }

    #[test]
    fn a_message_that_comes_before_its_time_by_the_clock_here_is_sent_again() {
        let armed = Armed { at: Some(at(600)), ..Armed::default() };
        let again = (armed.clone(), Some(Duration::from_secs(3)));
        assert_eq!(armed.clone().no_later_than(None, at(600), at(597)), again);
        assert_eq!(armed.clone().no_later_than(None, at(600), at(594)), (armed, None), "this look has another cause");
    }

    #[test]
    fn a_message_that_is_only_to_be_there_in_time_is_not_waited_for() {
        let armed = Armed { at: Some(at(600)), ..Armed::default() };
        assert!(!armed.is_waited_for(at(0)));
        let waiting = Armed { step: "starting".into(), ..armed };
        assert!(waiting.is_waited_for(at(629)) && !waiting.is_waited_for(at(631)));
    }

    #[test]
    fn what_is_settled_keeps_only_a_message_on_its_way() {
        let armed = Armed { at: Some(at(9)), step: "create".into(), tries: 4 };
        assert_eq!(armed.settled(at(8)), Armed { at: Some(at(9)), ..Armed::default() });
        assert_eq!(armed.settled(at(9)), Armed::default());
    }
}
