//! What was asked of the AWS endpoint, so that a test can say "exactly one RegisterTaskDefinition".

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// One kind of call by one caller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The access key id that the request names; empty without one.
    pub caller: String,
    /// The service, e.g. `ecs`.
    pub service: String,
    /// The operation, e.g. `UpdateService`.
    pub operation: String,
}

/// Counts of calls by kind. Refused calls count too. Cheap to clone; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<Kind, u64>>>);

impl Calls {
    pub(crate) fn record(&self, caller: &str, service: &str, operation: &str) {
        let kind = Kind { caller: caller.to_owned(), service: service.to_owned(), operation: operation.to_owned() };
        *self.counts().entry(kind).or_default() += 1;
    }

    /// How often an operation was called, by anyone.
    #[must_use]
    pub fn count(&self, service: &str, operation: &str) -> u64 {
        self.sum(|kind| kind.service == service && kind.operation == operation)
    }

    /// How many calls `caller` made, of all services.
    #[must_use]
    pub fn by(&self, caller: &str) -> u64 {
        self.sum(|kind| kind.caller == caller)
    }

    /// How many calls match.
    pub fn sum(&self, matches: impl Fn(&Kind) -> bool) -> u64 {
        self.counts().iter().filter(|(kind, _)| matches(kind)).map(|(_, count)| count).sum()
    }

    /// Every kind of call with its count.
    #[must_use]
    pub fn all(&self) -> Vec<(Kind, u64)> {
        self.counts().iter().map(|(kind, count)| (kind.clone(), *count)).collect()
    }

    /// Starts counting anew.
    pub fn clear(&self) {
        self.counts().clear();
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Kind, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
