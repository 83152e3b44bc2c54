//! What happened, in words, each line at the world's time; and what must not happen, should it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use wharfinger_emulator::clock::Clock;

/// A rule of the product that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule, e.g. `one billed server`.
    pub rule: &'static str,
    /// What was seen.
    pub seen: String,
}

/// The diary of one world. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diary {
    clock: Arc<OnceLock<(Clock, Timestamp)>>,
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    lines: Vec<String>,
    violations: Vec<Violation>,
}

impl Diary {
    /// Begins to note the time.
    pub(crate) fn begin(&self, clock: &Clock) {
        self.clock.get_or_init(|| (clock.clone(), clock.now()));
    }

    /// Notes what happens.
    pub(crate) fn note(&self, what: impl std::fmt::Display) {
        let time = self.time();
        self.pages().lines.push(format!("{time} {what}"));
    }

    /// Notes that a rule does not hold.
    pub(crate) fn violated(&self, rule: &'static str, seen: impl Into<String>) {
        let seen = seen.into();
        self.note(format_args!("!! {rule}: {seen}"));
        let mut pages = self.pages();
        if !pages.violations.iter().any(|known| known.rule == rule) {
            pages.violations.push(Violation { rule, seen });
        }
    }

    /// Everything noted so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.pages().lines.clone()
    }

    /// How much was noted so far.
    pub(crate) fn len(&self) -> usize {
        self.pages().lines.len()
    }

    /// What was noted after the first `seen` lines.
    pub(crate) fn lines_from(&self, seen: usize) -> Vec<String> {
        self.pages().lines[seen..].to_vec()
    }

    /// Whether `rule` was broken.
    pub(crate) fn breaks(&self, rule: &str) -> bool {
        self.pages().violations.iter().any(|known| known.rule == rule)
    }

    /// The first violation of each rule.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.pages().violations.clone()
    }

    fn time(&self) -> String {
        let Some((clock, begin)) = self.clock.get() else { return "+00:00:00.000".to_owned() };
        let passed: SignedDuration = clock.now().duration_since(*begin);
        let seconds = passed.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        format!("+{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, passed.subsec_millis())
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
