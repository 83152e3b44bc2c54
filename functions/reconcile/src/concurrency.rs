//! How many accounts are processed at once: many while AWS keeps up, few while it throttles.

/// The upper limit. Transfer Family throttles all calls of an AWS account together, including those of people.
const MOST: usize = 8;

/// The current limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Concurrency(usize);

impl Default for Concurrency {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Concurrency {
    /// Whether another job may start while `running` jobs run.
    pub(crate) fn allows(self, running: usize) -> bool {
        running < self.0
    }

    /// Halved if AWS was too busy, one more if it was not.
    pub(crate) fn after(self, busy: bool) -> Self {
        Self(if busy { (self.0 / 2).max(1) } else { (self.0 + 1).min(MOST) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_slows_it_down_and_never_stops_it() {
        let mut concurrency = Concurrency::default();
        for expected in [4, 2, 1, 1] {
            concurrency = concurrency.after(true);
            assert_eq!(concurrency, Concurrency(expected));
        }
        assert!(concurrency.allows(0) && !concurrency.allows(1));
    }

    #[test]
    fn it_comes_back_to_the_most_and_not_beyond() {
        let mut concurrency = Concurrency(1);
        for _ in 0..20 {
            concurrency = concurrency.after(false);
        }
        assert_eq!(concurrency, Concurrency::default());
    }
}
