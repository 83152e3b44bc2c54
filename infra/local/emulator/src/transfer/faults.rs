//! What goes wrong on purpose and by load: faults that a test asks for, and throttling by token buckets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::AwsError;

/// Faults for the next calls. Cheap to clone.
#[derive(Clone, Default)]
pub struct Faults {
    queued: Arc<Mutex<HashMap<String, Vec<Fault>>>>,
}

#[derive(Clone)]
enum Fault {
    Refused(AwsError),
    AnswerLost,
}

impl Faults {
    /// The next `count` calls of `operation` are not done: they answer `error`.
    pub fn refuse(&self, operation: &str, count: usize, error: &AwsError) {
        self.queue(operation, count, &Fault::Refused(error.clone()));
    }

    /// The next `count` calls of `operation` are done, but the caller gets HTTP 500 for an answer.
    pub fn lose_answer(&self, operation: &str, count: usize) {
        self.queue(operation, count, &Fault::AnswerLost);
    }

    fn queue(&self, operation: &str, count: usize, fault: &Fault) {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        queued.entry(operation.to_owned()).or_default().extend(std::iter::repeat_n(fault.clone(), count));
    }

    /// What to do with the present call: refuse it, or do it; true means that its answer is to be lost.
    pub(super) fn take(&self, operation: &str) -> Result<bool, AwsError> {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        match queued.get_mut(operation).and_then(|faults| (!faults.is_empty()).then(|| faults.remove(0))) {
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => Ok(true),
            None => Ok(false),
        }
    }
}

/// What a caller gets whose answer was lost.
pub(super) fn lost_answer() -> AwsError {
    AwsError::client("InternalServiceError", "An error occurs in the Transfer Family service.").with_status(500)
}

/// The request quotas: a burst, and what comes back each second. AWS publishes neither figure for Transfer Family;
/// these leave a person and a reconciler alone, and stop a loop that forgot to wait.
const READS: (f64, f64) = (400.0, 100.0);
const WRITES: (f64, f64) = (200.0, 50.0);

/// One token bucket for reads, one for writes.
pub(super) struct Throttle {
    buckets: Mutex<[(f64, Instant); 2]>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { buckets: Mutex::new([(READS.0, now), (WRITES.0, now)]) }
    }

    /// Takes one token for `operation`.
    ///
    /// # Errors
    /// `ThrottlingException` when none is left.
    pub(super) fn admit(&self, operation: &str) -> Result<(), AwsError> {
        let reads = operation.starts_with("Describe") || operation.starts_with("List");
        let (burst, rate) = if reads { READS } else { WRITES };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, filled) = &mut buckets[usize::from(!reads)];
        let elapsed: Duration = filled.elapsed();
        *tokens = (*tokens + elapsed.as_secs_f64() * rate).min(burst);
        *filled = Instant::now();
        if *tokens < 1.0 {
            return Err(AwsError::client("ThrottlingException", "Rate exceeded").with("RetryAfterSeconds", "1"));
        }
        *tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_never_waits_is_throttled_and_let_in_again() {
        let throttle = Throttle::new();
        let admitted = (0..1000).take_while(|_| throttle.admit("CreateUser").is_ok()).count();
        assert_eq!(admitted, 200);
        assert!(throttle.admit("DescribeServer").is_ok(), "reads have a bucket of their own");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(throttle.admit("CreateUser").is_ok());
    }

    #[test]
    fn a_fault_hits_as_many_calls_as_asked() {
        let faults = Faults::default();
        faults.refuse("CreateServer", 1, &AwsError::client("ThrottlingException", "Rate exceeded"));
        faults.lose_answer("CreateServer", 1);
        assert!(faults.take("CreateServer").is_err());
        assert_eq!(faults.take("CreateServer"), Ok(true));
        assert_eq!(faults.take("CreateServer"), Ok(false));
    }
}
