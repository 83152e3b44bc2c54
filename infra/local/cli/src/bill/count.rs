//! What a region has used since it started: its calls, and what AWS would bill for them.

use std::collections::BTreeMap;

use wharfinger_emulator::endpoint::calls::Kind;
use wharfinger_region::{lambda::statistics::Statistics, region::Region};

use super::prices::{Item, Usage};

/// What Lambda writes of its own about each invocation (`platform.start`, `platform.report`), in bytes: an estimate.
const PLATFORM_LOG_BYTES: f64 = 700.0;

/// What has been used up to a moment, or between two.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    /// In AWS's units, by function.
    pub by_function: BTreeMap<String, Usage>,
    /// What the queues were asked for.
    pub queues: Usage,
    /// The functions' calls of AWS.
    pub calls: BTreeMap<Kind, u64>,
    /// Invocations of each function.
    pub invocations: BTreeMap<String, u64>,
}

impl Count {
    /// Reads the counters of `region`.
    #[must_use]
    pub fn read(region: &Region) -> Self {
        let functions = region.lambda().statistics();
        let all = region.calls().all().into_iter();
        let calls: BTreeMap<Kind, u64> = all.filter(|(kind, _)| kind.caller.starts_with("LOCAL")).collect();
        let consumed = region.meter().all();
        let usage_of = |function: &Statistics| {
            let planned = region.plan().functions.iter().find(|planned| planned.logical == function.function);
            let memory_gb = f64::from(planned.map_or(128, |planned| planned.memory_mb)) / 1024.0;
            let own = consumed.get(&format!("LOCAL{}", function.function)).copied().unwrap_or_default();
            let invocations = as_f64(function.invocations);
            let usage = Usage::one(Item::Invocation, invocations)
                .with(Item::GbSecond, as_f64(function.billed_ms) / 1000.0 * memory_gb)
                .with(Item::LogGb, (as_f64(function.log_bytes) + invocations * PLATFORM_LOG_BYTES) / 1e9)
                .with(Item::ReadUnit, own.read_units)
                .with(Item::WriteUnit, own.write_units)
                .with(Item::Metric, as_f64(own.metrics));
            (function.function.clone(), usage)
        };
        let requests = region.queues().requests();
        Self {
            by_function: functions.iter().map(usage_of).collect(),
            queues: Usage::one(Item::QueueRequest, as_f64(requests.sends + requests.receives + requests.deletes)),
            invocations: functions.iter().map(|one| (one.function.clone(), one.invocations)).collect(),
            calls,
        }
    }

    /// All of it together.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.by_function.values().fold(self.queues.clone(), |sum, usage| sum.plus(usage))
    }

    /// What one function used, and the queues.
    #[must_use]
    pub fn only(&self, function: &str) -> Self {
        let caller = format!("LOCAL{function}");
        let keep = |name: &String| name == function;
        let mut only = self.clone();
        only.by_function.retain(|name, _| keep(name));
        only.invocations.retain(|name, _| keep(name));
        only.calls.retain(|kind, _| kind.caller == caller);
        only
    }

    /// What was used since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let less = |now: u64, then: Option<&u64>| now - then.copied().unwrap_or_default();
        let calls = self.calls.iter().map(|(kind, now)| (kind.clone(), less(*now, before.calls.get(kind))));
        let invocations =
            self.invocations.iter().map(|(name, now)| (name.clone(), less(*now, before.invocations.get(name))));
        let by_function = self.by_function.iter().map(|(name, now)| {
            let then = before.by_function.get(name).cloned().unwrap_or_default();
            (name.clone(), now.minus(&then))
        });
        Self {
            by_function: by_function.collect(),
            queues: self.queues.minus(&before.queues),
            calls: calls.filter(|(_, count)| *count > 0).collect(),
            invocations: invocations.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// How many calls of a service's operation, by any function.
    #[must_use]
    pub fn calls_of(&self, service: &str, operation: &str) -> u64 {
        let matches = |kind: &Kind| kind.service == service && kind.operation == operation;
        self.calls.iter().filter(|(kind, _)| matches(kind)).map(|(_, count)| count).sum()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(caller: &str, service: &str) -> Kind {
        Kind { caller: caller.into(), service: service.into(), operation: "Do".into() }
    }

    #[test]
    fn a_difference_names_only_what_was_done_meanwhile() {
        let before = Count { calls: [(kind("a", "sqs"), 2), (kind("b", "sqs"), 1)].into(), ..Count::default() };
        let after = Count { calls: [(kind("a", "sqs"), 5), (kind("b", "sqs"), 1)].into(), ..Count::default() };
        let since = after.since(&before);
        assert_eq!(since.calls, [(kind("a", "sqs"), 3)].into());
        assert_eq!(since.calls_of("sqs", "Do"), 3);
    }
}
