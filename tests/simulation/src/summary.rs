//! What many seeds came to, as tables.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{Report, plant::Plant};

/// What seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    seeds: u64,
    simulated: Duration,
    /// The rules that did not hold: in how many seeds, and in which first.
    found: BTreeMap<&'static str, (u64, u64)>,
}

impl Summary {
    /// Counts what came of `seed`.
    pub fn count(&mut self, seed: u64, report: &Report) {
        self.seeds += 1;
        self.simulated += report.simulated;
        for violation in &report.violations {
            let (seeds, first) = self.found.entry(violation.rule).or_insert((0, seed));
            (*seeds, *first) = (*seeds + 1, seed.min(*first));
        }
    }

    /// Counts what another has counted.
    pub fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        for (rule, (more, early)) in other.found {
            let (seeds, first) = self.found.entry(rule).or_insert((0, early));
            (*seeds, *first) = (*seeds + more, early.min(*first));
        }
    }

    /// Whether every rule held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.found.is_empty()
    }

    /// How many seeds and simulated days a second went by in `took`.
    #[must_use]
    pub fn pace(&self, took: Duration) -> String {
        let (seconds, days) = (took.as_secs_f64().max(0.001), self.simulated.as_secs_f64() / 86_400.0);
        let seeds = Duration::from_secs(self.seeds).as_secs_f64();
        format!(
            "{} seeds, {days:.1} simulated days in {seconds:.1} s: {:.2} seeds and {:.2} simulated days a second",
            self.seeds,
            seeds / seconds,
            days / seconds
        )
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.holds() {
            return writeln!(f, "every rule holds in every seed");
        }
        writeln!(f, "{:<44} {:>6} {:>11}", "rule that does not hold", "seeds", "first seed")?;
        for (rule, (seeds, first)) in &self.found {
            writeln!(f, "{rule:<44} {seeds:>6} {first:>11}")?;
        }
        Ok(())
    }
}

/// Whether a planted bug was found.
#[derive(Clone, Debug)]
pub struct Bite {
    /// The bug.
    pub plant: Plant,
    /// The seed that shows it, of how many.
    pub seed: Option<u64>,
    /// How long it took.
    pub took: Duration,
}

/// The heads of a table of [`Bite`]s.
pub const BITES: &str = "planted bug              found in seed  seconds  by the rule";

impl fmt::Display for Bite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plant, rule) = (format!("{:?}", self.plant), self.plant.rule());
        let seed = self.seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string());
        write!(f, "{plant:<24} {seed:>13} {:>8.1}  {rule}", self.took.as_secs_f64())
    }
}
