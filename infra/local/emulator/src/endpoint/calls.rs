//! What was asked of the AWS endpoint, so that a test can say "exactly one RegisterTaskDefinition", and what IAM said
//! to the functions' calls, so that their policies can be held against what they do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::iam::request::Request;

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

/// What a function asked of IAM by calling AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The function's access key id.
    pub caller: String,
    /// The question.
    pub request: Request,
}

/// Counts of calls by kind. Refused calls count too. Cheap to clone; clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    counts: BTreeMap<Kind, u64>,
    allowed: BTreeMap<Asked, u64>,
    refused: BTreeMap<Asked, u64>,
}

/// So many different questions are remembered of each sort; a region that runs for weeks asks about ever new servers.
const REMEMBERED: usize = 10_000;

impl Calls {
    pub(crate) fn record(&self, caller: &str, service: &str, operation: &str) {
        let kind = Kind { caller: caller.to_owned(), service: service.to_owned(), operation: operation.to_owned() };
        *self.lock().counts.entry(kind).or_default() += 1;
    }

    pub(crate) fn record_answer(&self, caller: &str, request: Request, allowed: bool) {
        let mut record = self.lock();
        let questions = if allowed { &mut record.allowed } else { &mut record.refused };
        let asked = Asked { caller: caller.to_owned(), request };
        if questions.len() < REMEMBERED || questions.contains_key(&asked) {
            *questions.entry(asked).or_default() += 1;
        }
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
        self.lock().counts.iter().filter(|(kind, _)| matches(kind)).map(|(_, count)| count).sum()
    }

    /// Every kind of call with its count.
    #[must_use]
    pub fn all(&self) -> Vec<(Kind, u64)> {
        self.lock().counts.iter().map(|(kind, count)| (kind.clone(), *count)).collect()
    }

    /// What functions asked of IAM and were allowed, with how often.
    #[must_use]
    pub fn allowed(&self) -> Vec<(Asked, u64)> {
        self.lock().allowed.iter().map(|(asked, count)| (asked.clone(), *count)).collect()
    }

    /// What functions asked of IAM and were refused, with how often.
    #[must_use]
    pub fn refused(&self) -> Vec<(Asked, u64)> {
        self.lock().refused.iter().map(|(asked, count)| (asked.clone(), *count)).collect()
    }

    /// Starts counting anew.
    pub fn clear(&self) {
        *self.lock() = Record::default();
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
