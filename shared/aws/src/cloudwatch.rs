//! A server's traffic, as Transfer Family counts it in CloudWatch.

use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode},
};
use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::idle::Traffic;

use crate::error::{AwsError, Kind};

/// Emitted while a session is open, 0 included. `FilesIn` and `FilesOut` come at the same times and cost as much again.
/// <https://docs.aws.amazon.com/transfer/latest/userguide/metrics.html>
const METRICS: [&str; 2] = ["BytesIn", "BytesOut"];

/// CloudWatch's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: Client,
    period: SignedDuration,
}

impl Metrics {
    /// Metrics that are emitted every `period`.
    #[must_use]
    pub fn new(client: Client, period: SignedDuration) -> Self {
        Self { client, period }
    }

    /// The period at which metrics are emitted.
    #[must_use]
    pub fn period(&self) -> SignedDuration {
        self.period
    }

    /// The traffic of `server_id` in the `window` before `now`.
    ///
    /// # Errors
    /// When CloudWatch fails or has only a part of the answer.
    pub async fn traffic(&self, server_id: &str, window: SignedDuration, now: Timestamp) -> Result<Traffic, AwsError> {
        let action = || format!("read the metrics of server {server_id}");
        let period = query_period(self.period, window);
        // A datapoint bears the start of its period: one that began before the window may reach into it.
        let start = now.as_second() - window.as_secs() - i64::from(period);
        let start = start - start.rem_euclid(i64::from(period));
        let mut pages = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(METRICS.iter().map(|metric| query(metric, server_id, period)).collect()))
            .start_time(DateTime::from_secs(start))
            .end_time(DateTime::from_secs(now.as_second() + 1))
            .scan_by(ScanBy::TimestampDescending)
            .into_paginator()
            .send();
        let mut traffic = Traffic::default();
        let mut incomplete: Vec<Option<String>> = METRICS.iter().map(|metric| Some((*metric).to_owned())).collect();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| AwsError::sort(action(), error))?;
            for result in page.metric_data_results() {
                add(&mut traffic, result, SignedDuration::from_secs(period.into()), now - window);
                note_complete(&mut incomplete, result);
            }
        }
        match incomplete.into_iter().flatten().next() {
            None => Ok(traffic),
            Some(metric) => Err(AwsError {
                action: action(),
                kind: Kind::Unanswered(format!("CloudWatch has no complete answer for {metric}")),
            }),
        }
    }
}

/// The period to ask in: one that CloudWatch allows (1, 5, 10, 30, or a multiple of 60), no longer than the one of
/// the metrics, so that a datapoint's time is told as well as it is known; and coarse for the long past, where
/// CloudWatch keeps no finer.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricStat.html>
fn query_period(metrics: SignedDuration, window: SignedDuration) -> i32 {
    let emitted = metrics.as_secs();
    let allowed = match emitted {
        ..5 => 1,
        5..10 => 5,
        10..30 => 10,
        30..60 => 30,
        _ => emitted - emitted % 60,
    };
    let kept = match window.as_hours() + 1 {
        ..3 => 1,
        3..360 => 60,
        360..1512 => 300,
        _ => 3600,
    };
    let period = if allowed >= kept { allowed - if kept > 60 { allowed % kept } else { 0 } } else { kept };
    i32::try_from(period.clamp(1, 86_400)).expect("at most a day")
}

fn query(metric: &str, server_id: &str, period: i32) -> MetricDataQuery {
    let dimension = Dimension::builder().name("ServerId").value(server_id).build();
    let metric_of_server =
        Metric::builder().namespace("AWS/Transfer").metric_name(metric).dimensions(dimension).build();
    let stat = MetricStat::builder().metric(metric_of_server).period(period).stat("Sum").build();
    // An id begins with a lower-case letter.
    MetricDataQuery::builder().id(metric.to_lowercase()).metric_stat(stat).return_data(true).build()
}

fn add(traffic: &mut Traffic, result: &MetricDataResult, period: SignedDuration, from: Timestamp) {
    for (start, value) in result.timestamps().iter().zip(result.values()) {
        let Ok(end) = Timestamp::from_second(start.secs()).map(|start| start + period) else { continue };
        traffic.last_session = traffic.last_session.max(Some(end));
        if end > from {
            // Whole and never negative; a float holds them exactly up to 9 PB.
            traffic.bytes = traffic.bytes.saturating_add(*value as u64);
        }
    }
}

fn note_complete(incomplete: &mut [Option<String>], result: &MetricDataResult) {
    let complete = result.status_code() == Some(&StatusCode::Complete);
    for metric in incomplete {
        if complete && metric.as_ref().is_some_and(|metric| Some(metric.to_lowercase().as_str()) == result.id()) {
            *metric = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_ones_that_cloudwatch_allows() {
        let hour = SignedDuration::from_hours(1);
        for (emitted, period) in [(1, 1), (2, 1), (5, 5), (7, 5), (45, 30), (60, 60), (300, 300), (400, 360)] {
            assert_eq!(query_period(SignedDuration::from_secs(emitted), hour), period, "{emitted}");
        }
        for (hours, period) in [(4, 60), (24 * 20, 300), (24 * 100, 3600)] {
            assert_eq!(
                query_period(SignedDuration::from_secs(5), SignedDuration::from_hours(hours)),
                period,
                "{hours}"
            );
        }
        assert_eq!(query_period(SignedDuration::from_secs(300), SignedDuration::from_hours(24 * 100)), 3600);
    }

    #[test]
    fn a_datapoint_of_zero_is_a_session() {
        let mut traffic = Traffic::default();
        let result = MetricDataResult::builder().id("bytesin").timestamps(DateTime::from_secs(600)).values(0.0).build();
        add(&mut traffic, &result, SignedDuration::from_secs(300), Timestamp::UNIX_EPOCH);
        assert_eq!(traffic, Traffic { last_session: Timestamp::from_second(900).ok(), bytes: 0 });
    }
}
