//! Where ids of writes and jitter come from.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use uuid::Uuid;

/// Random numbers: the system's, or those of a seed, so that a run can be played again.
#[derive(Clone)]
pub struct Chance(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Chance {
    /// The system's.
    #[must_use]
    pub fn of_system() -> Self {
        Self(Arc::new(|| {
            // Both halves have fixed bits, at different places.
            let (high, low) = Uuid::new_v4().as_u64_pair();
            high ^ low.rotate_left(32)
        }))
    }

    /// Those of `seed`: the same at each run, as long as they are drawn in the same order.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let state = AtomicU64::new(seed);
        Self(Arc::new(move || split_mix(state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))))
    }

    /// An id that nothing else has: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:016x}{:016x}", (self.0)(), (self.0)())
    }

    /// A duration from zero to `most`.
    #[must_use]
    pub fn up_to(&self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros((self.0)() % micros.saturating_add(1))
    }

    /// How long to wait before a conflicting write is tried again after `tries` attempts: at most 20 ms after the
    /// first, twice as long after each further one.
    #[must_use]
    pub fn pause(&self, tries: u32) -> Duration {
        self.up_to(Duration::from_millis(10 << tries.min(10)))
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Chance")
    }
}

/// Sebastiano Vigna's splitmix64. <https://prng.di.unimi.it/splitmix64.c>
fn split_mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_plays_the_same_again_and_others_differ() {
        let drawn = |chance: Chance| (chance.id(), chance.id(), chance.pause(3));
        assert_eq!(drawn(Chance::seeded(7)), drawn(Chance::seeded(7)));
        let (one, two, _) = drawn(Chance::seeded(7));
        assert_ne!(one, two);
        assert_ne!(drawn(Chance::seeded(7)), drawn(Chance::seeded(8)));
        assert_ne!(Chance::of_system().id(), Chance::of_system().id());
    }

    #[test]
    fn pauses_grow_and_have_a_limit() {
        let chance = Chance::seeded(1);
        let longest = |tries| (0..500).map(|_| chance.pause(tries)).max().unwrap();
        assert!(longest(1) <= Duration::from_millis(20) && longest(1) > Duration::from_millis(15));
        assert!(longest(4) <= Duration::from_millis(160) && longest(4) > Duration::from_millis(120));
    }
}
