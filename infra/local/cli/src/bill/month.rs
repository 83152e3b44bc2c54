//! From what was counted to a month: how often each thing happens, and what grows with the number of servers.

use super::prices::{Item, Usage};

/// Days of a month, 365 / 12.
const DAYS: f64 = 365.0 / 12.0;

/// Minutes from one sweep to the next, as the template's parameter `SweepSchedule` has it.
const SWEEP_MINUTES: f64 = 5.0;

/// Sweeps a month.
pub const SWEEPS: f64 = DAYS * 24.0 * 60.0 / SWEEP_MINUTES;

/// Looks that `reconcile` takes at a settled server a month: one each ten minutes, at most.
pub const LOOKS: f64 = DAYS * 24.0 * 6.0;

/// Pollers that Lambda keeps on an idle queue whose mapping has a maximum concurrency, and on others. "Lambda scales back
/// the processing to five concurrent invokes, and can optimize to as few as 2 [...]. However, this optimization is not
/// available when you enable the maximum concurrency setting."
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
pub const POLLERS: (f64, f64) = (5.0, 2.0);

/// How long one poll of an empty queue lasts, in seconds.
const POLL_SECONDS: f64 = 20.0;

/// For how long a function that goes on using the table needs no other request to KMS, in minutes.
const KEY_MINUTES: f64 = 5.0;

/// How long a deployment is taken to last, in minutes. The one that is counted here takes seconds.
const DEPLOYMENT_MINUTES: f64 = 3.0;

/// Looks at a deployment while it goes on: nothing but a sweep wakes its rollout before ECS tells the end.
const FURTHER_LOOKS: f64 = DEPLOYMENT_MINUTES / SWEEP_MINUTES;

/// What was counted with one server, and with many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// With one.
    pub with_one: Usage,
    /// With `many`.
    pub with_many: Usage,
    /// How many.
    pub many: f64,
}

impl Line {
    /// What it would be with `servers`, on the straight line through both.
    #[must_use]
    pub fn at(&self, servers: f64) -> Usage {
        self.with_one.plus(&self.per_server().times(servers - 1.0))
    }

    /// What each server more adds.
    #[must_use]
    pub fn per_server(&self) -> Usage {
        self.with_many.minus(&self.with_one).times(1.0 / (self.many - 1.0)).at_least_zero()
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// One sweep.
    pub sweep: Line,
    /// One look of `reconcile` at one server, its message included. It reads all sites, so it grows too.
    pub look: Line,
    /// One upload by itself, with its rollout.
    pub single: Usage,
    /// One burst of uploads, with its rollout.
    pub burst: Usage,
    /// How many uploads a burst was.
    pub burst_files: f64,
    /// One look at a rollout while ECS deploys, its message included.
    pub rollout_look: Usage,
    /// What a sweep uses more when it closes the copy of a window.
    pub closing: Usage,
    /// Secrets of each server. Their versions are not billed.
    pub secrets: f64,
    /// Pollers that Lambda keeps on idle queues.
    pub pollers: f64,
    /// Metrics that the template's alarms watch.
    pub alarm_metrics: f64,
    /// How long logs are kept, in days.
    pub log_days: f64,
}

impl Counted {
    /// A month in which nobody does anything, and all of `servers` are online with an idle policy.
    #[must_use]
    pub fn idle_month(&self, servers: f64) -> Usage {
        let polls = self.pollers * DAYS * 86_400.0 / POLL_SECONDS;
        // `autostop` and `reconcile` use the table.
        let keys = |uses: f64| uses.min(DAYS * 24.0 * 60.0 / KEY_MINUTES);
        let month = Usage::one(Item::QueueRequest, polls)
            .with(Item::Alarm, self.alarm_metrics)
            .with(Item::Secret, self.secrets * servers)
            .with(Item::KeyRequest, keys(SWEEPS) + keys(LOOKS * servers))
            .plus(&self.sweep.at(servers).times(SWEEPS))
            .plus(&self.look.at(servers).times(LOOKS * servers));
        self.keep_logs(month)
    }

    /// A million uploads, each by itself, long enough apart that each is rolled out alone.
    #[must_use]
    pub fn million_singles(&self) -> Usage {
        self.keep_logs(self.whole_rollout(&self.single).times(1e6))
    }

    /// A million uploads in bursts.
    #[must_use]
    pub fn million_in_bursts(&self) -> Usage {
        self.keep_logs(self.whole_rollout(&self.burst).times(1e6 / self.burst_files))
    }

    /// What was counted, and what is done for a rollout beside: each one's window is taken to have a copy of its own to
    /// close, as if none opened again before the next sweep.
    fn whole_rollout(&self, counted: &Usage) -> Usage {
        counted.plus(&self.rollout_look.times(FURTHER_LOOKS)).plus(&self.closing)
    }

    fn keep_logs(&self, usage: Usage) -> Usage {
        let kept = usage.of(Item::LogGb) * self.log_days / DAYS;
        usage.with(Item::LogGbMonth, kept)
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_region::template::document;

    use super::*;
    use crate::bill::TEMPLATE;

    fn counted() -> Counted {
        let metrics = |count| Usage::one(Item::Metric, count);
        let reads = |count| Usage::one(Item::ReadUnit, count);
        Counted {
            sweep: Line { with_one: metrics(4.0), with_many: metrics(40.0), many: 10.0 },
            look: Line { with_one: reads(10.0), with_many: reads(19.0), many: 10.0 },
            burst: Usage::one(Item::WriteUnit, 50.0),
            burst_files: 500.0,
            secrets: 1.0,
            pollers: 15.0,
            log_days: 30.0,
            ..Counted::default()
        }
    }

    fn is(amount: f64, expected: f64) -> bool {
        (amount / expected - 1.0).abs() < 1e-9
    }

    #[test]
    fn a_sweep_grows_by_the_server() {
        assert!(is(counted().idle_month(1.0).of(Item::Metric), 8760.0 * 4.0));
        assert!(is(counted().idle_month(1000.0).of(Item::Metric), 8760.0 * 4000.0));
    }

    #[test]
    fn looks_that_read_everything_grow_with_the_square() {
        assert!(is(counted().idle_month(1.0).of(Item::ReadUnit), 4380.0 * 10.0));
        assert!(is(counted().idle_month(1000.0).of(Item::ReadUnit), 4380.0 * 1000.0 * 1009.0));
    }

    #[test]
    fn each_server_has_its_secrets() {
        assert!(is(counted().idle_month(1000.0).of(Item::Secret), 1000.0));
        assert!(is(Counted { secrets: 3.0, ..counted() }.idle_month(1.0).of(Item::Secret), 3.0));
    }

    #[test]
    fn pollers_ask_all_month() {
        assert!(is(counted().idle_month(1.0).of(Item::QueueRequest), 15.0 * 131_400.0));
    }

    #[test]
    fn a_function_asks_for_the_key_once_in_five_minutes_at_most() {
        assert!(is(counted().idle_month(1.0).of(Item::KeyRequest), 8760.0 + 4380.0));
        assert!(is(counted().idle_month(1000.0).of(Item::KeyRequest), 8760.0 + 8760.0));
    }

    #[test]
    fn bursts_share_their_rollouts() {
        assert!(is(counted().million_in_bursts().of(Item::WriteUnit), 2000.0 * 50.0));
    }

    #[test]
    fn a_rollout_is_looked_at_by_the_sweeps_that_its_deployment_meets() {
        let looks = Counted { rollout_look: Usage::one(Item::QueueRequest, 3.0), ..counted() };
        assert!(is(looks.million_in_bursts().of(Item::QueueRequest), 2000.0 * 3.0 * 0.6));
        let closes = Counted { closing: Usage::one(Item::WriteUnit, 1.0), ..counted() };
        assert!(is(closes.million_in_bursts().of(Item::WriteUnit), 2000.0 * 51.0));
    }

    #[test]
    fn a_month_has_the_sweeps_of_the_template() {
        let document = document::read(TEMPLATE).unwrap();
        assert_eq!(document["Parameters"]["SweepSchedule"]["Default"], format!("rate({SWEEP_MINUTES} minutes)"));
    }

    #[test]
    fn logs_are_kept_for_their_days() {
        let usage = counted().keep_logs(Usage::one(Item::LogGb, DAYS));
        assert!(is(usage.of(Item::LogGbMonth), 30.0));
    }
}
