//! The turns on a service: whatever number of sites it has, one rollout at a time is brought to it. Sites that wait go in
//! the order in which they came; one that is not ready is passed over, and keeps its place.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::SiteName;

/// Who has a service now, and who waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turns {
    /// The rollout whose turn it is.
    #[serde(default)]
    pub holder: Option<Holder>,
    /// The sites that wait, the first one first.
    #[serde(default)]
    pub waiting: Vec<Waiting>,
}

/// The rollout whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its site, under a name that any version accepted.
    #[serde(deserialize_with = "stored_name")]
    pub site: SiteName,
    /// Its id.
    pub rollout: String,
}

/// A site that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The site, under a name that any version accepted.
    #[serde(deserialize_with = "stored_name")]
    pub site: SiteName,
    /// Since when.
    pub since: Timestamp,
}

fn stored_name<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SiteName, D::Error> {
    String::deserialize(deserializer).map(SiteName::from_stored)
}

impl Turns {
    /// The turns once the rollout `rollout` of `site` has its own.
    #[must_use]
    pub fn taken(&self, site: &SiteName, rollout: &str) -> Self {
        let holder = Holder { site: site.clone(), rollout: rollout.to_owned() };
        Self { holder: Some(holder), ..self.without(site) }
    }

    /// The turns once `site` waits, since `now` if it did not yet.
    #[must_use]
    pub fn queued(&self, site: &SiteName, now: Timestamp) -> Self {
        let mut next = self.clone();
        if self.place(site).is_none() {
            next.waiting.push(Waiting { site: site.clone(), since: now });
        }
        next
    }

    /// The turns once the rollout `rollout` has no turn any more.
    #[must_use]
    pub fn released(&self, rollout: &str) -> Self {
        let holder = self.holder.clone().filter(|holder| holder.rollout != rollout);
        Self { holder, ..self.clone() }
    }

    /// The turns without `site`, which does not wait any more.
    #[must_use]
    pub fn without(&self, site: &SiteName) -> Self {
        let mut next = self.clone();
        next.waiting.retain(|waiting| waiting.site != *site);
        next
    }

    /// How many wait before `site`, if it waits.
    #[must_use]
    pub fn place(&self, site: &SiteName) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.site == *site)
    }

    /// The sites whose turn comes before that of `site`, the first one first: all others if it does not wait yet.
    pub fn before<'a>(&'a self, site: &SiteName) -> impl Iterator<Item = &'a SiteName> {
        let others = self.place(site).unwrap_or(self.waiting.len());
        self.waiting[..others].iter().map(|waiting| &waiting.site)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn site(number: u8) -> SiteName {
        SiteName::parse(format!("site{number}")).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_comes_first_goes_first_and_keeps_the_place() {
        let turns = Turns::default().taken(&site(0), "a").queued(&site(1), at(1)).queued(&site(2), at(2));
        let again = turns.queued(&site(1), at(9));
        assert_eq!(again, turns, "asking again costs no place");
        assert_eq!(turns.before(&site(2)).collect::<Vec<_>>(), [&site(1)]);
        assert_eq!(turns.before(&site(1)).count(), 0);
        assert_eq!(turns.before(&site(3)).count(), 2, "whoever comes new comes last");
        let passed = turns.released("a").taken(&site(2), "b");
        assert_eq!((passed.place(&site(1)), passed.place(&site(2))), (Some(0), None));
    }

    #[test]
    fn only_the_rollout_that_has_the_turn_gives_it_back() {
        let turns = Turns::default().taken(&site(0), "a");
        assert_eq!(turns.released("b"), turns);
        assert_eq!(turns.released("a"), Turns::default());
    }

    proptest! {
        /// Of `sites` that want again and again, each gets a turn before another gets a third.
        #[test]
        fn nobody_starves(sites in 2..6_u8, first in prop::collection::vec(0..6_u8, 1..40)) {
            let (mut turns, mut waited) = (Turns::default(), [0_u32; 6]);
            for (moment, asks) in (0..).zip(first) {
                for number in 0..sites {
                    turns = turns.queued(&site((asks + number) % sites), at(moment));
                }
                let next = turns.waiting[0].site.clone();
                turns = turns.taken(&next, "x").released("x");
                for number in 0..sites {
                    let count = &mut waited[usize::from(number)];
                    *count = if site(number) == next { 0 } else { *count + 1 };
                    prop_assert!(*count <= u32::from(sites) + u32::from(sites));
                }
            }
        }
    }
}
