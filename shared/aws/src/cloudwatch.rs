//! Servers' traffic, as Transfer Family counts it in CloudWatch.

use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode},
};
use futures::future;
use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::idle::Traffic;

use crate::{
    OnFirstUse,
    error::{AwsError, Kind},
};

/// Emitted while a session is open, 0 included. `FilesIn` and `FilesOut` come at the same times and cost as much again.
/// <https://docs.aws.amazon.com/transfer/latest/userguide/metrics.html>
const METRICS: [&str; 2] = ["BytesIn", "BytesOut"];

/// So many servers are asked about in one call: AWS takes 500 queries.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>
pub const SERVERS_A_CALL: usize = 500 / METRICS.len();

/// CloudWatch's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: OnFirstUse<Client>,
    period: SignedDuration,
}

impl Metrics {
    /// Metrics that are emitted every `period`.
    #[must_use]
    pub fn new(client: OnFirstUse<Client>, period: SignedDuration) -> Self {
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
        let mut answers = self.traffic_of(&[(server_id, window)], now).await;
        answers.pop().expect("an answer for each server")
    }

    /// The traffic of each server in `asked`, in that order, in the window before `now` that stands beside its id.
    /// [`SERVERS_A_CALL`] share a call. Where CloudWatch fails or has only a part of the answer, the error is that of
    /// the servers concerned alone.
    pub async fn traffic_of(&self, asked: &[(&str, SignedDuration)], now: Timestamp) -> Vec<Result<Traffic, AwsError>> {
        let calls = calls(asked, self.period);
        let answers = future::join_all(calls.iter().map(|call| Box::pin(self.ask(call, now)))).await;
        let mut answers: Vec<_> = answers.into_iter().flatten().collect();
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn ask(&self, call: &[Question<'_>], now: Timestamp) -> Vec<(usize, Result<Traffic, AwsError>)> {
        let queries = call.iter().enumerate().flat_map(|(place, question)| question.queries(place));
        let mut pages = self
            .client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.collect()))
            .start_time(DateTime::from_secs(start(call, now)))
            .end_time(DateTime::from_secs(now.as_second() + 1))
            .scan_by(ScanBy::TimestampDescending)
            .into_paginator()
            .send();
        let mut gathered = Gathered::new(call, now);
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => page.metric_data_results().iter().for_each(|result| gathered.add(result)),
                Err(error) => {
                    let AwsError { kind, .. } = AwsError::sort("read metrics", error);
                    return gathered.answers(|_| kind.clone());
                }
            }
        }
        gathered.answers(|metric| Kind::Unanswered(format!("CloudWatch has no complete answer for {metric}")))
    }
}

/// One server's traffic is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Question<'a> {
    /// Its place among all that are asked for.
    place: usize,
    server_id: &'a str,
    window: SignedDuration,
    /// In seconds.
    period: i32,
}

impl<'a> Question<'a> {
    /// The queries of the question at `place` in its call, one a metric. Ids begin with a lower-case letter.
    fn queries(&self, place: usize) -> impl Iterator<Item = MetricDataQuery> + use<'a> {
        let Self { server_id, period, .. } = *self;
        METRICS.iter().map(move |metric| {
            let dimension = Dimension::builder().name("ServerId").value(server_id).build();
            let metric_of_server =
                Metric::builder().namespace("AWS/Transfer").metric_name(*metric).dimensions(dimension).build();
            let stat = MetricStat::builder().metric(metric_of_server).period(period).stat("Sum").build();
            let id = format!("{}_{place}", metric.to_lowercase());
            MetricDataQuery::builder().id(id).metric_stat(stat).return_data(true).build()
        })
    }

    fn period(&self) -> SignedDuration {
        SignedDuration::from_secs(self.period.into())
    }
}

/// Spreads `asked` over as few calls as possible. A call has one start, so it gathers servers that are asked about in the
/// same period, which CloudWatch keeps for the longest of their windows, and windows of about the same length.
fn calls<'a>(asked: &[(&'a str, SignedDuration)], metrics: SignedDuration) -> Vec<Vec<Question<'a>>> {
    let mut questions: Vec<_> = asked
        .iter()
        .enumerate()
        .map(|(place, (server_id, window))| {
            let period = query_period(metrics, *window);
            Question { place, server_id, window: *window, period }
        })
        .collect();
    questions.sort_by_key(|question| (question.period, question.window));
    let alike = questions.chunk_by(|one, other| one.period == other.period);
    alike.flat_map(|alike| alike.chunks(SERVERS_A_CALL)).map(<[_]>::to_vec).collect()
}

/// Where the longest window of `call` begins, in seconds. A datapoint bears the start of its period: one that began
/// before the window may reach into it.
fn start(call: &[Question<'_>], now: Timestamp) -> i64 {
    let starts = call.iter().map(|question| {
        let period = i64::from(question.period);
        let start = now.as_second() - question.window.as_secs() - period;
        start - start.rem_euclid(period)
    });
    starts.min().expect("a call asks about a server")
}

/// What a call has answered so far.
struct Gathered<'a> {
    call: &'a [Question<'a>],
    now: Timestamp,
    /// By place in the call: the traffic, and of which metrics it is complete.
    servers: Vec<(Traffic, [bool; METRICS.len()])>,
}

impl<'a> Gathered<'a> {
    fn new(call: &'a [Question<'a>], now: Timestamp) -> Self {
        Self { call, now, servers: vec![Default::default(); call.len()] }
    }

    fn add(&mut self, result: &MetricDataResult) {
        let Some((metric, place)) = result.id().and_then(|id| id.rsplit_once('_')) else { return };
        let metric = METRICS.iter().position(|known| known.to_lowercase() == metric);
        let place = place.parse::<usize>().ok().filter(|place| *place < self.call.len());
        let (Some(metric), Some(place)) = (metric, place) else { return };
        let (question, (traffic, complete)) = (&self.call[place], &mut self.servers[place]);
        add(traffic, result, question.period(), self.now - question.window);
        complete[metric] = result.status_code() == Some(&StatusCode::Complete);
    }

    /// Each server's traffic with its place among all that were asked for, or `why` one of its metrics is not known.
    fn answers(self, why: impl Fn(&str) -> Kind) -> Vec<(usize, Result<Traffic, AwsError>)> {
        let answer = |(question, (traffic, complete)): (&Question<'_>, (Traffic, [bool; METRICS.len()]))| {
            let missing = METRICS.iter().zip(complete).find(|(_, complete)| !complete);
            let answer = missing.map_or(Ok(traffic), |(metric, _)| {
                let action = format!("read the metrics of server {}", question.server_id);
                Err(AwsError { action, kind: why(metric) })
            });
            (question.place, answer)
        };
        self.call.iter().zip(self.servers).map(answer).collect()
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
        let result =
            MetricDataResult::builder().id("bytesin_0").timestamps(DateTime::from_secs(600)).values(0.0).build();
        add(&mut traffic, &result, SignedDuration::from_secs(300), Timestamp::UNIX_EPOCH);
        assert_eq!(traffic, Traffic { last_session: Timestamp::from_second(900).ok(), bytes: 0 });
    }

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("s-{number}")).collect()
    }

    fn result(metric: &str, place: usize, status: StatusCode, value: f64) -> MetricDataResult {
        let result = MetricDataResult::builder().id(format!("{metric}_{place}")).status_code(status);
        result.timestamps(DateTime::from_secs(1_800_000_000 - 600)).values(value).build()
    }

    #[test]
    fn a_call_takes_as_many_servers_as_aws_takes_queries() {
        let ids = ids(501);
        let asked: Vec<_> = ids.iter().map(|id| (id.as_str(), HOUR)).collect();
        let calls = calls(&asked, SignedDuration::from_secs(300));
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [250, 250, 1]);
        for call in &calls {
            let queries: Vec<_> = call.iter().enumerate().flat_map(|(at, question)| question.queries(at)).collect();
            let ids: std::collections::BTreeSet<_> = queries.iter().filter_map(MetricDataQuery::id).collect();
            assert!(queries.len() <= 500 && ids.len() == queries.len(), "{} ids", ids.len());
        }
    }

    #[test]
    fn no_server_is_asked_about_in_a_period_that_is_not_kept_for_another() {
        let ids = ids(4);
        let windows = [HOUR, HOUR * 24 * 100, HOUR * 2, HOUR * 24 * 20];
        let asked: Vec<_> = ids.iter().map(String::as_str).zip(windows).collect();
        let calls = calls(&asked, SignedDuration::from_secs(60));
        let places = |call: &Vec<Question<'_>>| call.iter().map(|question| question.place).collect::<Vec<_>>();
        assert_eq!(calls.iter().map(places).collect::<Vec<_>>(), [vec![0, 2], vec![3], vec![1]]);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(start(&calls[0], now), 1_800_000_000 - 2 * 3600 - 60);
    }

    #[test]
    fn a_partial_answer_is_unknown_for_the_server_concerned_alone() {
        let ids = ids(3);
        let asked: Vec<_> = ids.iter().map(|id| (id.as_str(), HOUR)).collect();
        let (now, calls) = (Timestamp::from_second(1_800_000_000).unwrap(), calls(&asked, HOUR / 12));
        let gathered = |last: StatusCode| {
            let mut gathered = Gathered::new(&calls[0], now);
            for (metric, place) in [("bytesin", 0), ("bytesout", 0), ("bytesin", 1), ("bytesin", 2), ("bytesout", 2)] {
                gathered.add(&result(metric, place, StatusCode::Complete, 2.0));
            }
            gathered.add(&result("bytesout", 1, last, 3.0));
            gathered.answers(|metric| Kind::Unanswered(metric.to_owned()))
        };
        let answers = gathered(StatusCode::PartialData);
        assert_eq!(answers.iter().map(|(_, answer)| answer.is_ok()).collect::<Vec<_>>(), [true, false, true]);
        let error = answers[1].1.as_ref().unwrap_err().to_string();
        assert!(error.contains("s-1") && error.contains("BytesOut"), "{error}");
        assert_eq!(gathered(StatusCode::Complete)[1].1.as_ref().unwrap().bytes, 5);
    }

    #[test]
    fn what_follows_on_another_page_is_added_to_the_first() {
        let (now, calls) = (Timestamp::from_second(1_800_000_000).unwrap(), calls(&[("s-0", HOUR)], HOUR / 12));
        let mut gathered = Gathered::new(&calls[0], now);
        gathered.add(&result("bytesin", 0, StatusCode::PartialData, 2.0));
        gathered.add(&result("bytesin", 0, StatusCode::Complete, 2.0));
        gathered.add(&result("bytesout", 0, StatusCode::Complete, 2.0));
        gathered.add(&result("bytesin", 7, StatusCode::Complete, 2.0));
        let answers = gathered.answers(|metric| Kind::Unanswered(metric.to_owned()));
        assert_eq!(answers[0].1.as_ref().unwrap().bytes, 6);
    }
}
