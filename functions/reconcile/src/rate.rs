//! How fast accounts are processed: as fast as AWS lets calls in, and hardly faster, because a call that is throttled is
//! one too many. Transfer Family publishes no rate and throttles all calls of an AWS account together, those of people
//! included.
//!
//! The rate doubles until AWS throttles for the first time. From then on it grows by a little each second, and falls by
//! a fifth whenever AWS throttles. It outlives a visit: what one has found out, the next one goes on with.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

/// Calls a second that a function begins with.
const FIRST: f64 = 8.0;

/// The limits of the rate.
const SLOWEST: f64 = 1.0;
const FASTEST: f64 = 50.0;

/// The most accounts that are processed at once.
const MOST_AT_ONCE: f64 = 8.0;

/// So many calls that AWS takes double the rate, as long as it has not throttled.
const CALLS_TO_DOUBLE: f64 = 40.0;

/// By which part of it the rate grows each second after that.
const GROWTH: f64 = 0.02;

/// What is left of the rate when AWS throttles.
const REMAINS: f64 = 0.8;

/// For so long no call is begun after AWS throttled. What it throttles meanwhile was under way, and counts as one.
const PAUSE: Duration = Duration::from_secs(1);

/// The rate of calls about accounts.
#[derive(Debug)]
pub(crate) struct Rate(Mutex<State>);

#[derive(Debug)]
struct State {
    per_second: f64,
    /// AWS has throttled: its own rate is about this one.
    is_known: bool,
    /// When the next call may begin.
    next: Instant,
    /// Until when there is a pause.
    paused_until: Instant,
    /// When the last call was answered.
    noted: Instant,
}

impl Default for Rate {
    fn default() -> Self {
        let now = Instant::now();
        Self(Mutex::new(State { per_second: FIRST, is_known: false, next: now, paused_until: now, noted: now }))
    }
}

impl Rate {
    /// Whether another account may be begun while `running` are in work: no more than AWS takes calls in a second, so
    /// that each of them gets on.
    pub(crate) fn allows(&self, running: usize) -> bool {
        // A small number, rounded up.
        running < self.state().per_second.ceil().min(MOST_AT_ONCE) as usize
    }

    /// Waits until it is time for the next call.
    pub(crate) async fn turn(&self) {
        loop {
            let turn = self.state().reserve(Instant::now());
            tokio::time::sleep_until(turn).await;
            // A pause may have begun meanwhile.
            if self.state().paused_until <= Instant::now() {
                return;
            }
        }
    }

    /// Takes note of a call that AWS took, or was too `busy` for.
    pub(crate) fn note(&self, busy: bool) {
        let now = Instant::now();
        if busy { self.state().slow_down(now) } else { self.state().speed_up(now) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl State {
    fn reserve(&mut self, now: Instant) -> Instant {
        let turn = self.next.max(self.paused_until).max(now);
        self.next = turn + Duration::from_secs_f64(1.0 / self.per_second);
        turn
    }

    fn slow_down(&mut self, now: Instant) {
        if now >= self.paused_until {
            self.per_second = (self.per_second * REMAINS).max(SLOWEST);
            self.paused_until = now + PAUSE;
            self.is_known = true;
        }
    }

    fn speed_up(&mut self, now: Instant) {
        // A time without calls tells nothing about AWS.
        let since = now.duration_since(self.noted).min(Duration::from_secs(1));
        let growth = if self.is_known { GROWTH * since.as_secs_f64() } else { 1.0 / CALLS_TO_DOUBLE };
        self.per_second = (self.per_second * (1.0 + growth)).min(FASTEST);
        self.noted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS: it takes so many calls a second, as many at once, and answers after 150 ms.
    struct Aws {
        per_second: f64,
        tokens: f64,
        at: Instant,
    }

    impl Aws {
        fn new(per_second: f64) -> Self {
            Self { per_second, tokens: per_second, at: Instant::now() }
        }

        fn takes_a_call(&mut self) -> bool {
            let now = Instant::now();
            self.tokens =
                (self.tokens + now.duration_since(self.at).as_secs_f64() * self.per_second).min(self.per_second);
            self.at = now;
            let takes = self.tokens >= 1.0;
            self.tokens -= if takes { 1.0 } else { 0.0 };
            takes
        }
    }

    /// Makes calls for `time`: how many were taken, and how many throttled.
    async fn work(rate: &Rate, aws: &mut Aws, time: Duration) -> (u32, u32) {
        let (end, mut taken, mut throttled) = (Instant::now() + time, 0, 0);
        while Instant::now() < end {
            rate.turn().await;
            let takes = aws.takes_a_call();
            rate.note(!takes);
            *(if takes { &mut taken } else { &mut throttled }) += 1;
        }
        (taken, throttled)
    }

    #[tokio::test(start_paused = true)]
    async fn hardly_a_call_is_throttled_and_hardly_one_is_too_few() {
        for allowed in [2.0, 5.0, 10.0, 30.0] {
            let (rate, mut aws) = (Rate::default(), Aws::new(allowed));
            let (taken, throttled) = work(&rate, &mut aws, Duration::from_secs(600)).await;
            assert!(f64::from(throttled) < 0.06 * f64::from(taken), "{allowed}/s: {throttled} of {taken}");
            assert!(f64::from(taken) > 0.9 * 600.0 * allowed, "{allowed}/s: {taken}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_comes_back_after_aws_was_busy_and_never_stops() {
        let rate = Rate::default();
        for _ in 0..100 {
            rate.note(true);
            tokio::time::advance(PAUSE).await;
        }
        assert!(rate.allows(0) && !rate.allows(1), "{rate:?}");
        work(&rate, &mut Aws::new(5.0), Duration::from_secs(120)).await;
        assert!(rate.allows(3) && !rate.allows(7), "{rate:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_slow_it_down_once() {
        let rate = Rate::default();
        for _ in 0..8 {
            rate.note(true);
        }
        assert!(rate.allows(6) && !rate.allows(7), "{rate:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_begins_in_a_pause() {
        let (rate, began) = (Rate::default(), Instant::now());
        rate.turn().await;
        let waits = rate.turn();
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        rate.note(true);
        waits.await;
        assert!(began.elapsed() >= PAUSE, "{:?}", began.elapsed());
    }
}
