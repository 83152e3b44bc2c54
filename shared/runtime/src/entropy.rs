//! Chance: what ids and waits are drawn from. A simulation gives a seed, and plays the same again.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};

/// The longest wait after a conflict.
const LONGEST_WAIT_MS: u64 = 2_000;

/// A source of chance. Clones draw from the same one.
#[derive(Clone, Debug)]
pub struct Entropy(Arc<Mutex<StdRng>>);

impl Entropy {
    /// Seeded by the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Mutex::new(rand::make_rng())))
    }

    /// The same draws for the same `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A UUID of version 7 at `now`: of two, the one of the later millisecond is greater.
    #[must_use]
    pub fn uuid_v7(&self, now: Timestamp) -> String {
        let mut random = [0; 10];
        self.draw(|rng| rng.fill_bytes(&mut random));
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid().to_string()
    }

    /// How long to wait after `conflicts` conflicts in a row, from 1: somewhere between nothing and a bound that begins
    /// at 20 ms and doubles each time up to two seconds, so that those who met once do not meet again.
    #[must_use]
    pub fn backoff(&self, conflicts: u32) -> Duration {
        let bound = (10_u64 << conflicts.clamp(1, 10)).min(LONGEST_WAIT_MS);
        Duration::from_millis(self.draw(|rng| rng.random_range(0..=bound)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().expect("nobody panics while holding it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_ids_and_waits_again() {
        let draws = |entropy: Entropy| -> Vec<String> {
            let now = Timestamp::from_second(1_800_000_000).unwrap();
            (1..20).flat_map(|n| [entropy.uuid_v7(now), format!("{:?}", entropy.backoff(n))]).collect()
        };
        assert_eq!(draws(Entropy::seeded(7)), draws(Entropy::seeded(7)));
        assert_ne!(draws(Entropy::seeded(7)), draws(Entropy::seeded(8)));
        assert_ne!(draws(Entropy::system()), draws(Entropy::system()));
    }

    #[test]
    fn a_later_id_is_greater() {
        let entropy = Entropy::seeded(1);
        let ids: Vec<String> =
            (0..50).map(|n| entropy.uuid_v7(Timestamp::from_millisecond(1_800_000_000_000 + n).unwrap())).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.as_bytes()[14] == b'7'), "{ids:?}");
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let entropy = Entropy::seeded(1);
        let longest = |conflicts| (0..500).map(|_| entropy.backoff(conflicts)).max().unwrap();
        assert!(longest(1) <= Duration::from_millis(20) && longest(3) > Duration::from_millis(20));
        assert!(longest(99) <= Duration::from_secs(2) && longest(99) > Duration::from_secs(1));
    }
}
