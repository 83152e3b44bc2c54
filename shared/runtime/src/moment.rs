//! The time of one invocation. It is read once, where the invocation begins, and is an argument below that.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Context;
use tokio::time::Instant;

/// When an invocation began, and when Lambda ends it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now: the same throughout an invocation, so that what it decides is of one piece.
    pub now: Timestamp,
    /// When Lambda ends the invocation at the latest.
    pub deadline: Timestamp,
    began: Instant,
}

impl Moment {
    /// An invocation that begins at `now` and is ended at `deadline`.
    #[must_use]
    pub fn new(now: Timestamp, deadline: Timestamp) -> Self {
        Self { now, deadline, began: Instant::now() }
    }

    /// The invocation of `context`, which begins now by the system's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
    pub fn of(context: &Context) -> Self {
        let now = Timestamp::now();
        let deadline = i64::try_from(context.deadline).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        Self::new(now, deadline.unwrap_or(now))
    }

    /// How long the invocation has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The present: [`now`](Self::now) and what has passed since.
    #[must_use]
    pub fn present(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        self.now.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// How much time is left until Lambda ends the invocation.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.deadline.duration_since(self.present()).try_into().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_passes_while_now_stays() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let moment = Moment::new(now, now + SignedDuration::from_secs(30));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(moment.now, now);
        assert_eq!(moment.present(), now + SignedDuration::from_secs(10));
        assert_eq!(moment.left(), Duration::from_secs(20));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(moment.left(), Duration::ZERO);
    }
}
