//! When a site's next tick is armed: one that is early enough is enough, and none is armed for later than SQS can
//! bring it. What the table says is armed must be what was sent, else a tick finds a later one that will never come.

use jiff::{SignedDuration, Timestamp};
use wharfinger_aws::sqs::LONGEST_DELAY;

/// For when to arm a tick, so that a look takes place at `due` or earlier; `None`: the one that is `armed` will do.
#[must_use]
pub fn rearm(armed: Option<Timestamp>, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let at = within_reach(due, now);
    let is_enough = armed.is_some_and(|armed| armed > now && armed <= at);
    (!is_enough).then_some(at)
}

/// `due`, or the latest time for which SQS takes a tick: that one looks anew and arms the next.
#[must_use]
pub fn within_reach(due: Timestamp, now: Timestamp) -> Timestamp {
    let longest = SignedDuration::try_from(LONGEST_DELAY).expect("900 s");
    due.min(now.saturating_add(longest).unwrap_or(Timestamp::MAX))
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
}
