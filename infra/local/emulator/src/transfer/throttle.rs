//! The request quotas of Transfer Family.

use crate::{
    error::AwsError,
    throttle::{Bucket, throttled},
};

/// What comes back each second, and a burst. AWS publishes neither figure for Transfer Family; these leave a person and a
/// reconciler alone, and stop a loop that forgot to wait.
const READS: (f64, f64) = (100.0, 400.0);
const WRITES: (f64, f64) = (50.0, 200.0);

/// One token bucket for reads, one for writes.
pub(super) struct Throttle {
    reads: Bucket,
    writes: Bucket,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self { reads: Bucket::new(READS.0, READS.1), writes: Bucket::new(WRITES.0, WRITES.1) }
    }

    /// Takes one token for `operation`.
    ///
    /// # Errors
    /// `ThrottlingException` when none is left.
    pub(super) fn admit(&self, operation: &str) -> Result<(), AwsError> {
        let reads = operation.starts_with("Describe") || operation.starts_with("List");
        let bucket = if reads { &self.reads } else { &self.writes };
        if bucket.take() { Ok(()) } else { Err(throttled("transfer")) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
