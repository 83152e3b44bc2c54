//! Whose turn it is: before its deployment, one invocation alone takes a rollout's steps.

use jiff::{SignedDuration, Timestamp};

/// How long after its deadline an invocation is surely dead.
pub(crate) const LEASE_GRACE: SignedDuration = SignedDuration::from_secs(2);

/// Whose turn it is to take a rollout's steps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// This invocation's: it holds the lease.
    Ours,
    /// Nobody's: the lease can be taken.
    Free,
    /// Another invocation's, until then at the latest.
    Theirs(Timestamp),
}

/// Whose turn it is at `now`, where `ours` is the lease that this invocation has taken.
pub(crate) fn turn(leased_until: Option<Timestamp>, ours: Option<Timestamp>, now: Timestamp) -> Turn {
    match leased_until {
        Some(until) if ours == Some(until) => Turn::Ours,
        Some(until) if until > now => Turn::Theirs(until),
        _ => Turn::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_lease_of_another_is_respected_until_it_ends() {
        assert_eq!(turn(Some(at(9)), None, at(8)), Turn::Theirs(at(9)));
        assert_eq!(turn(Some(at(9)), Some(at(7)), at(8)), Turn::Theirs(at(9)));
        assert_eq!(turn(Some(at(9)), None, at(9)), Turn::Free);
        assert_eq!(turn(None, None, at(8)), Turn::Free);
    }

    #[test]
    fn our_own_lease_read_again_is_no_obstacle() {
        assert_eq!(turn(Some(at(9)), Some(at(9)), at(8)), Turn::Ours);
        assert_eq!(turn(None, Some(at(9)), at(8)), Turn::Free, "it was given back");
    }
}
