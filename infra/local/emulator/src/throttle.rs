//! Token buckets, and the answer of a service whose bucket is empty.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::error::AwsError;

/// A token bucket on tokio's clock. It begins full.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    burst: f64,
    /// What was left, and when.
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A bucket of `burst` tokens that gets back `per_second` of them each second.
    #[must_use]
    pub fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, level: Mutex::new((burst, Instant::now())) }
    }

    /// Takes a token; false when none is left.
    pub fn take(&self) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, at) = *level;
        let tokens = (left + at.elapsed().as_secs_f64() * self.per_second).min(self.burst);
        let admitted = tokens >= 1.0;
        *level = (if admitted { tokens - 1.0 } else { tokens }, Instant::now());
        admitted
    }
}

/// How a service answers who calls it too often.
#[must_use]
pub fn throttled(service: &str) -> AwsError {
    let error = |code: &str, status: u16| AwsError::client(code, "Rate exceeded").with_status(status);
    match service {
        "ec2" => error("RequestLimitExceeded", 503),
        "elasticfilesystem" => error("ThrottlingException", 429),
        "monitoring" | "sts" => error("Throttling", 400),
        "sqs" => error("RequestThrottled", 403),
        "transfer" => error("ThrottlingException", 400).with("RetryAfterSeconds", "1"),
        _ => error("ThrottlingException", 400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_gives_its_burst_and_then_what_comes_back() {
        let bucket = Bucket::new(2.0, 5.0);
        let taken = || (0..100).take_while(|_| bucket.take()).count();
        assert_eq!(taken(), 5);
        tokio::time::advance(Duration::from_millis(499)).await;
        assert!(!bucket.take());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(bucket.take());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(taken(), 5, "more than the burst is never saved up");
    }
}
