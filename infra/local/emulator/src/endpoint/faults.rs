//! Faults that a test asks for: the next calls of an operation are throttled, say, or lose their answers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{error::AwsError, throttle::throttled};

/// What happens to a call instead of being answered.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The call is not made, and answers this error.
    Answer(AwsError),
    /// The call is made, but the caller gets a 500.
    LoseAnswer,
    /// The call is made and answered, and what it has begun fails: a server that is to start ends in START_FAILED.
    FailLater,
}

#[derive(Debug)]
struct Injected {
    service: String,
    operation: String,
    remaining: u32,
    fault: Fault,
}

/// Faults yet to happen, in the order in which they were injected. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Injected>>>);

impl Faults {
    /// The next `times` calls of `service`'s `operation` (`*`: of any) meet this fault.
    pub fn inject(&self, service: &str, operation: &str, times: u32, fault: Fault) {
        let injected =
            Injected { service: service.to_owned(), operation: operation.to_owned(), remaining: times, fault };
        self.waiting().push_back(injected);
    }

    /// The next `times` calls are throttled, with the code that the service uses.
    pub fn throttle(&self, service: &str, operation: &str, times: u32) {
        self.inject(service, operation, times, Fault::Answer(throttled(service)));
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear(&self) {
        self.waiting().clear();
    }

    pub(crate) fn take(&self, service: &str, operation: &str) -> Option<Fault> {
        let mut waiting = self.waiting();
        waiting.retain(|injected| injected.remaining > 0);
        let injected = waiting.iter_mut().find(|injected| {
            injected.service == service && (injected.operation == operation || injected.operation == "*")
        })?;
        injected.remaining -= 1;
        Some(injected.fault.clone())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Injected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
