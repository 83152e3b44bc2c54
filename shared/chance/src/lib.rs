//! Chance: the one source from which a function draws ids, waits and keys. Each draw begins with a generator that the
//! operating system seeds, so that no memory of the process holds what later keys are made from. With the feature
//! `seeded`, which no deployed function has, a simulation gives a seed, and what is drawn is the same again.

#[cfg(any(test, feature = "seeded"))]
mod known_keys;

#[cfg(any(test, feature = "seeded"))]
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rand::{CryptoRng, Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use ssh_key::private::RsaKeypair;

/// The longest wait after a conflict.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A source of chance. Clones draw from the same one.
///
/// The generator is rand's [`StdRng`], which is cryptographically secure: seeded by the operating system, what it gives
/// is fit for private keys.
#[derive(Clone, Debug)]
pub struct Chance(Source);

#[derive(Clone, Debug)]
enum Source {
    /// A new generator at each draw, seeded by the operating system.
    System,
    #[cfg(any(test, feature = "seeded"))]
    Seeded(Arc<Mutex<StdRng>>),
}

impl Chance {
    /// Seeded by the operating system: what a deployed function uses.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The same draws for the same `seed`, as long as they are made in the same order. Anybody can guess them: for
    /// tests only.
    #[cfg(any(test, feature = "seeded"))]
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// An id that nothing else has: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:032x}", self.draw(|rng| rng.random::<u128>()))
    }

    /// A UUID of version 7 at `now`: of two, the one of the later millisecond is greater.
    #[must_use]
    pub fn uuid_v7(&self, now: Timestamp) -> String {
        let mut random = [0; 10];
        self.draw(|rng| rng.fill_bytes(&mut random));
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid().to_string()
    }

    /// How long to wait after `conflicts` conflicts in a row, from 1: between nothing and a bound that begins at 20 ms
    /// and doubles each time up to two seconds, so that writers who met once do not meet again.
    #[must_use]
    pub fn backoff(&self, conflicts: u32) -> Duration {
        let bound = Duration::from_millis(10 << conflicts.clamp(1, 10)).min(LONGEST_WAIT);
        self.draw(|rng| rng.random_range(Duration::ZERO..=bound))
    }

    /// One of `0..count`, each as likely as another; 0 of none.
    #[must_use]
    pub fn index(&self, count: usize) -> usize {
        if count == 0 { 0 } else { self.draw(|rng| rng.random_range(0..count)) }
    }

    /// A generator for keys, seeded from this source. It never blocks others that draw.
    #[must_use]
    pub fn key_generator(&self) -> impl CryptoRng + use<> {
        self.draw(StdRng::from_rng)
    }

    /// An RSA key of `bits` bits. A seed draws it from a few: to search for primes takes more time than all else in a
    /// simulated hour.
    ///
    /// # Errors
    /// When there is no RSA key of that size.
    pub fn rsa_key(&self, bits: usize) -> ssh_key::Result<RsaKeypair> {
        match &self.0 {
            Source::System => RsaKeypair::random(&mut self.key_generator(), bits),
            #[cfg(any(test, feature = "seeded"))]
            Source::Seeded(_) => known_keys::rsa_key(self.index(known_keys::COUNT), bits),
        }
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        match &self.0 {
            Source::System => draw(&mut rand::make_rng()),
            #[cfg(any(test, feature = "seeded"))]
            Source::Seeded(rng) => draw(&mut rng.lock().expect("nobody panics while holding it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_others_differ() {
        let draws = |chance: Chance| -> Vec<String> {
            let now = Timestamp::from_second(1_800_000_000).unwrap();
            let draw = |n| {
                let mut key = [0; 32];
                chance.key_generator().fill_bytes(&mut key);
                [chance.id(), chance.uuid_v7(now), format!("{:?} {key:?}", chance.backoff(n))]
            };
            (1..20).flat_map(draw).collect()
        };
        assert_eq!(draws(Chance::seeded(7)), draws(Chance::seeded(7)));
        assert_ne!(draws(Chance::seeded(7)), draws(Chance::seeded(8)));
        assert_ne!(draws(Chance::system()), draws(Chance::system()));
    }

    #[test]
    fn a_seed_draws_rsa_keys_of_the_size_from_a_few() {
        let drawn = |chance: Chance| -> Vec<String> {
            (0..20).map(|_| chance.rsa_key(1024).unwrap().public().n().to_string()).collect()
        };
        let keys = drawn(Chance::seeded(7));
        assert_eq!(keys, drawn(Chance::seeded(7)));
        let different: std::collections::BTreeSet<_> = keys.into_iter().collect();
        assert!((2..=known_keys::COUNT).contains(&different.len()), "{different:?}");
        assert!(drawn_by_system().is_disjoint(&different));
    }

    fn drawn_by_system() -> std::collections::BTreeSet<String> {
        let keys: std::collections::BTreeSet<_> =
            (0..3).map(|_| Chance::system().rsa_key(1024).unwrap().public().n().to_string()).collect();
        assert_eq!(keys.len(), 3);
        keys
    }

    #[test]
    fn clones_draw_from_one_source() {
        let chance = Chance::seeded(1);
        let ids = [chance.id(), chance.clone().id(), chance.id()];
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 32), "{ids:?}");
    }

    #[test]
    fn a_later_uuid_is_greater() {
        let chance = Chance::seeded(1);
        let ids: Vec<String> =
            (0..50).map(|n| chance.uuid_v7(Timestamp::from_millisecond(1_800_000_000_000 + n).unwrap())).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.as_bytes()[14] == b'7'), "{ids:?}");
    }

    #[test]
    fn every_index_is_drawn() {
        let chance = Chance::seeded(1);
        let drawn: std::collections::BTreeSet<usize> = (0..500).map(|_| chance.index(5)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(chance.index(0), 0);
    }

    #[test]
    fn waits_grow_to_a_bound() {
        let chance = Chance::seeded(1);
        let longest = |conflicts| (0..500).map(|_| chance.backoff(conflicts)).max().unwrap();
        assert!(longest(1) <= Duration::from_millis(20) && longest(3) > Duration::from_millis(20));
        assert!(longest(99) <= Duration::from_secs(2) && longest(99) > Duration::from_secs(1));
    }
}
