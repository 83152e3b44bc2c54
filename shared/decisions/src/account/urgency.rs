//! Which accounts need work, and in which order: revoking access comes first, then what is not as wanted, then what has
//! gone longest without a comparison with AWS. What AWS refused comes last, so that it does not delay the rest.

use jiff::Timestamp;

use crate::{
    user::{Applied, UserPhase, UserStatus},
    wakeup::TRUSTED_FOR,
};

/// This many accounts without a record may always be deleted, however few the server has.
const FEW: usize = 3;

/// Why an account needs work. Variants are in the order of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// It is to be deleted.
    Remove,
    /// It is there, and may have a key or a root that was taken away.
    Revoke,
    /// It is not as wanted.
    Settle,
    /// AWS may have changed behind our back.
    Recheck,
    /// AWS refused it, nothing has changed since, and nothing of it is known to let anybody in too much.
    Retry,
}

/// An account as AWS's list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// How many keys it has.
    pub keys: usize,
    /// Its role.
    pub role: String,
}

/// A user, as far as the order of work depends on it.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The version of what is wanted.
    pub version: u64,
    /// It is to be deleted.
    pub deleting: bool,
    /// How many keys are wanted.
    pub keys: usize,
    /// What is known of it.
    pub status: &'a UserStatus,
    /// What it is to be given, if known.
    pub target: Option<&'a Applied>,
}

impl User<'_> {
    /// How urgent the account is, given AWS's list entry `listed`. `None` if there is nothing to do.
    #[must_use]
    pub fn urgency(&self, listed: Option<&Listed>, now: Timestamp) -> Option<Urgency> {
        let status = self.status;
        if self.deleting {
            return Some(Urgency::Remove);
        }
        let tried = status.state == UserPhase::Failed && status.tried_version == self.version;
        let changed = status.settled_version != self.version;
        let applied = status.applied.as_ref();
        let moved = applied.is_some_and(|applied| self.target.is_none_or(|target| target.root != applied.root));
        if listed.is_some_and(|listed| moved || listed.keys > self.keys || changed && !tried) {
            return Some(Urgency::Revoke);
        }
        if tried {
            return Some(Urgency::Retry);
        }
        let differs =
            |listed: &Listed| listed.keys != self.keys || self.target.is_none_or(|target| target.role != listed.role);
        if changed || status.state != UserPhase::Ready || applied != self.target || listed.is_none_or(differs) {
            return Some(Urgency::Settle);
        }
        // AWS's list shows a change of an account's role or of the number of its keys at every look.
        let trusted = status.observed_at.is_some_and(|at| now.duration_since(at) <= TRUSTED_FOR);
        (!trusted).then_some(Urgency::Recheck)
    }
}

/// Whether so many of the `listed` accounts are ours and have no record that the table may be the wrong one: new, or
/// restored to an earlier time.
#[must_use]
pub fn is_mass_deletion(without_record: usize, listed: usize) -> bool {
    without_record > FEW && without_record.saturating_mul(20) > listed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
    fn applied(role: &str, root: &str) -> Applied {
        Applied { server_id: "s-1".into(), role: role.into(), root: root.into() }
    }
    fn listed(keys: usize, role: &str) -> Listed {
        Listed { keys, role: role.into() }
    }
    /// Ready at version 1, seen at second 10.
    fn ready() -> UserStatus {
        UserStatus {
            state: UserPhase::Ready,
            settled_version: 1,
            observed_at: Some(at(10)),
            applied: Some(applied("role", "/blog")),
            ..UserStatus::default()
        }
    }
    fn user<'a>(status: &'a UserStatus, target: &'a Applied) -> User<'a> {
        User { version: 1, deleting: false, keys: 1, status, target: Some(target) }
    }

    #[test]
    fn an_account_that_is_as_wanted_is_left_alone_for_a_while() {
        let (status, target) = (ready(), applied("role", "/blog"));
        let user = user(&status, &target);
        assert_eq!(user.urgency(Some(&listed(1, "role")), at(20)), None);
        assert_eq!(user.urgency(Some(&listed(1, "role")), at(611)), Some(Urgency::Recheck));
    }

    #[test]
    fn what_may_let_somebody_in_too_much_comes_before_what_lets_nobody_in() {
        let (status, target) = (ready(), applied("role", "/blog"));
        let user = user(&status, &target);
        let there = listed(1, "role");
        assert_eq!(user.urgency(Some(&listed(2, "role")), at(20)), Some(Urgency::Revoke), "a key too many");
        assert_eq!(User { version: 2, ..user }.urgency(Some(&there), at(20)), Some(Urgency::Revoke), "a new spec");
        let other = applied("role", "/shop");
        assert_eq!(User { target: Some(&other), ..user }.urgency(Some(&there), at(20)), Some(Urgency::Revoke));
        assert_eq!(User { target: None, ..user }.urgency(Some(&there), at(20)), Some(Urgency::Revoke), "no root");
        assert_eq!(User { version: 2, ..user }.urgency(None, at(20)), Some(Urgency::Settle), "no account yet");
        assert_eq!(User { deleting: true, ..user }.urgency(None, at(20)), Some(Urgency::Remove));
    }

    #[test]
    fn an_account_with_another_role_or_server_is_not_as_wanted() {
        let (status, target) = (ready(), applied("role", "/blog"));
        let user = user(&status, &target);
        assert_eq!(user.urgency(Some(&listed(1, "other")), at(20)), Some(Urgency::Settle), "changed on AWS");
        let new = applied("new-role", "/blog");
        assert_eq!(
            User { target: Some(&new), ..user }.urgency(Some(&listed(1, "role")), at(20)),
            Some(Urgency::Settle)
        );
        let rebuilt = Applied { server_id: "s-2".into(), ..target.clone() };
        let rebuilt = User { target: Some(&rebuilt), ..user };
        assert_eq!(rebuilt.urgency(Some(&listed(1, "role")), at(20)), Some(Urgency::Settle));
    }

    #[test]
    fn a_refused_account_comes_last_until_it_is_changed() {
        let status = UserStatus { state: UserPhase::Failed, tried_version: 2, ..ready() };
        let target = applied("role", "/blog");
        let user = User { version: 2, ..user(&status, &target) };
        let there = listed(1, "role");
        assert_eq!(user.urgency(Some(&there), at(20)), Some(Urgency::Retry));
        assert_eq!(User { version: 3, ..user }.urgency(Some(&there), at(20)), Some(Urgency::Revoke));
        assert!(Urgency::Retry > Urgency::Recheck);
    }

    #[test]
    fn what_a_refused_account_has_too_much_is_urgent() {
        let status = UserStatus { state: UserPhase::Failed, tried_version: 1, ..ready() };
        let (target, other) = (applied("role", "/blog"), applied("role", "/shop"));
        let user = user(&status, &target);
        let there = listed(1, "role");
        assert_eq!(user.urgency(Some(&listed(2, "role")), at(20)), Some(Urgency::Revoke), "a key too many");
        assert_eq!(User { target: Some(&other), ..user }.urgency(Some(&there), at(20)), Some(Urgency::Revoke));
        assert_eq!(User { target: None, ..user }.urgency(Some(&there), at(20)), Some(Urgency::Revoke), "no root");
        assert_eq!(user.urgency(None, at(20)), Some(Urgency::Retry), "nobody can log in by it");
    }

    #[test]
    fn a_table_that_lost_its_users_deletes_none() {
        assert!(!is_mass_deletion(3, 3), "three are few");
        assert!(is_mass_deletion(4, 4) && is_mass_deletion(4, 79));
        assert!(!is_mass_deletion(4, 80), "one in twenty");
        assert!(is_mass_deletion(51, 1_000) && !is_mass_deletion(50, 1_000));
    }

    proptest! {
        /// What waits for time alone is found in time, whatever else there is.
        #[test]
        fn every_account_is_looked_at_sooner_or_later(
            state in prop::sample::select(vec![UserPhase::Pending, UserPhase::Ready, UserPhase::Failed]),
            settled_version in 0u64..3, seen in prop::option::of(0i64..2_000), keys in 0usize..3, there in any::<bool>(),
        ) {
            let status = UserStatus { state, settled_version, observed_at: seen.map(at), ..ready() };
            let target = applied("role", "/blog");
            let there = there.then(|| listed(keys, "role"));
            prop_assert!(user(&status, &target).urgency(there.as_ref(), at(3_000)).is_some());
        }
    }
}
