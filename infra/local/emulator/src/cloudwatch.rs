//! CloudWatch metrics: a store that services put data into, and the operations that read it.
//!
//! Timestamps are epoch seconds in members named `StartTime`, `EndTime`, `Timestamp` and `Timestamps`; the front gives
//! them their form on the wire.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    error::AwsError,
    service::{Service, Unreadable, restore},
};
use crate::context::Context;

/// How long data are kept: 15 days, what AWS keeps of one-minute data.
const RETENTION_SECONDS: f64 = 15.0 * 86_400.0;

/// Data points that one page of `GetMetricData` holds (AWS's own limit).
const PAGE: u64 = 100_800;

/// The metrics of a region. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    series: Arc<Mutex<Vec<Series>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Series {
    namespace: String,
    name: String,
    dimensions: BTreeMap<String, String>,
    points: Vec<Point>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Point {
    /// Epoch seconds.
    at: f64,
    unit: String,
    set: Statistics,
}

/// A statistic set: what any number of samples come down to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Statistics {
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
}

impl Statistics {
    fn of(value: f64) -> Self {
        Self { count: 1.0, sum: value, min: value, max: value }
    }

    fn join(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    fn get(self, statistic: &str) -> Option<f64> {
        Some(match statistic {
            "SampleCount" => self.count,
            "Sum" => self.sum,
            "Average" => self.sum / self.count,
            "Minimum" => self.min,
            "Maximum" => self.max,
            _ => return None,
        })
    }
}

impl Metrics {
    /// Puts one value of a metric.
    pub fn put(&self, namespace: &str, name: &str, dimensions: &[(&str, &str)], at: Timestamp, value: f64, unit: &str) {
        let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into 53 bits")]
        let at = at.as_millisecond() as f64 / 1000.0;
        self.put_set(namespace, name, dimensions, Point { at, unit: unit.to_owned(), set: Statistics::of(value) });
    }

    fn put_set(&self, namespace: &str, name: &str, dimensions: BTreeMap<String, String>, point: Point) {
        let mut all = self.lock();
        let found = all.iter_mut().find(|series| series.is(namespace, name, &dimensions));
        let series = match found {
            Some(series) => series,
            None => {
                let (namespace, name) = (namespace.to_owned(), name.to_owned());
                all.push(Series { namespace, name, dimensions, points: Vec::new() });
                all.last_mut().expect("one was pushed just now")
            }
        };
        let newest = point.at;
        series.points.push(point);
        series.points.retain(|point| point.at > newest - RETENTION_SECONDS);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data of a metric from `start` up to but not including `end`, gathered by period; ascending.
    fn read(&self, metric: &Query) -> Vec<(f64, Statistics, String)> {
        let all = self.lock();
        let Some(series) = all.iter().find(|series| series.is(&metric.namespace, &metric.name, &metric.dimensions))
        else {
            return Vec::new();
        };
        let mut slots: BTreeMap<i64, (Statistics, String)> = BTreeMap::new();
        let wanted = |point: &&Point| metric.unit.as_ref().is_none_or(|unit| *unit == point.unit);
        for point in series.points.iter().filter(wanted) {
            #[expect(clippy::cast_possible_truncation, reason = "the number of a period fits into 63 bits")]
            let slot = (point.at / metric.period).floor() as i64;
            let gathered = slots.get(&slot).map_or(point.set, |(set, _)| set.join(point.set));
            slots.insert(slot, (gathered, point.unit.clone()));
        }
        let first = (metric.start / metric.period).floor() * metric.period;
        #[expect(clippy::cast_precision_loss, reason = "the number of a period fits into 53 bits")]
        let data = slots.into_iter().map(|(slot, (set, unit))| (slot as f64 * metric.period, set, unit));
        data.filter(|(at, ..)| *at >= first && *at < metric.end).collect()
    }
}

impl Series {
    fn is(&self, namespace: &str, name: &str, dimensions: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && self.name == name && self.dimensions == *dimensions
    }
}

/// Epoch seconds and a value, many times.
type Samples = Vec<(f64, f64)>;

/// A metric, and which part of it.
struct Query {
    namespace: String,
    name: String,
    dimensions: BTreeMap<String, String>,
    unit: Option<String>,
    start: f64,
    end: f64,
    period: f64,
}

/// The service.
pub struct CloudWatch {
    context: Context,
    metrics: Metrics,
}

impl CloudWatch {
    /// The service on `metrics`, with what was saved put back into it.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: Context, saved: Option<Value>, metrics: Metrics) -> Result<Arc<Self>, Unreadable> {
        let saved: Option<_> = restore("monitoring", saved)?;
        if let Some(series) = saved {
            *metrics.lock() = series;
        }
        Ok(Arc::new(Self { context, metrics }))
    }

    fn get_metric_data(&self, input: &Value) -> Result<Value, AwsError> {
        let (start, end) = (required_time(input, "StartTime")?, required_time(input, "EndTime")?);
        if start >= end {
            return Err(invalid("The parameter StartTime must be less than the parameter EndTime."));
        }
        let queries = input["MetricDataQueries"].as_array().filter(|queries| !queries.is_empty());
        let queries = queries.ok_or_else(|| missing("MetricDataQueries"))?;
        let limit = input["MaxDatapoints"].as_u64().unwrap_or(PAGE).clamp(1, PAGE);
        let mut skip = read_token(input)?;
        let (mut room, mut more, mut taken) = (usize::try_from(limit).unwrap_or(usize::MAX), false, skip);
        let mut results = Vec::new();
        for query in queries {
            let (id, label, mut data) = self.run(query, (start, end))?;
            if input["ScanBy"].as_str().unwrap_or("TimestampDescending") == "TimestampDescending" {
                data.reverse();
            }
            let passed = skip.min(data.len());
            skip -= passed;
            let page: Vec<(f64, f64)> = data[passed..].iter().copied().take(room).collect();
            let left = data.len() - passed - page.len();
            (room, more, taken) = (room - page.len(), more || left > 0, taken + page.len());
            if query["ReturnData"].as_bool().unwrap_or(true) {
                results.push(json!({
                    "Id": id,
                    "Label": label,
                    "Timestamps": page.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
                    "Values": page.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
                    "StatusCode": if left > 0 { "PartialData" } else { "Complete" },
                }));
            }
        }
        let mut answer = json!({ "MetricDataResults": results, "Messages": [] });
        if more {
            answer["NextToken"] = URL_SAFE_NO_PAD.encode(taken.to_string()).into();
        }
        Ok(answer)
    }

    /// One query: its id, its label, and its data (time and value) in ascending order.
    fn run(&self, query: &Value, (start, end): (f64, f64)) -> Result<(String, String, Samples), AwsError> {
        let id = query["Id"].as_str().ok_or_else(|| missing("MetricDataQueries.member.1.Id"))?;
        let stat = &query["MetricStat"];
        if stat.is_null() {
            return Err(invalid("This region answers MetricStat queries alone: expressions are not supported."));
        }
        let metric = Query {
            namespace: required_text(&stat["Metric"], "Namespace")?,
            name: required_text(&stat["Metric"], "MetricName")?,
            dimensions: read_dimensions(&stat["Metric"]),
            unit: stat["Unit"].as_str().map(str::to_owned),
            start,
            end,
            period: read_period(stat)?,
        };
        let statistic = required_text(stat, "Stat")?;
        let label = query["Label"].as_str().unwrap_or(&metric.name).to_owned();
        if Statistics::of(0.0).get(&statistic).is_none() {
            return Err(invalid(&format!("The value {statistic} for parameter Stat is not supported.")));
        }
        let data = self.metrics.read(&metric);
        let data = data.into_iter().filter_map(|(at, set, _)| Some((at, set.get(&statistic)?))).collect();
        Ok((id.to_owned(), label, data))
    }

    fn get_metric_statistics(&self, input: &Value) -> Result<Value, AwsError> {
        let metric = Query {
            namespace: required_text(input, "Namespace")?,
            name: required_text(input, "MetricName")?,
            dimensions: read_dimensions(input),
            unit: input["Unit"].as_str().map(str::to_owned),
            start: required_time(input, "StartTime")?,
            end: required_time(input, "EndTime")?,
            period: read_period(input)?,
        };
        if metric.start >= metric.end {
            return Err(invalid("The parameter StartTime must be less than the parameter EndTime."));
        }
        let statistics: Vec<&str> =
            input["Statistics"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if statistics.is_empty() {
            return Err(missing("Statistics"));
        }
        let points = self.metrics.read(&metric).into_iter().map(|(at, set, unit)| {
            let mut point = json!({ "Timestamp": at, "Unit": unit });
            for statistic in &statistics {
                if let Some(value) = set.get(statistic) {
                    point[*statistic] = value.into();
                }
            }
            point
        });
        Ok(json!({ "Label": metric.name, "Datapoints": points.collect::<Vec<_>>() }))
    }

    fn list_metrics(&self, input: &Value) -> Result<Value, AwsError> {
        const PAGE: usize = 500;
        let skip = read_token(input)?;
        let wanted = |member: &str, value: &str| input[member].as_str().is_none_or(|wanted| wanted == value);
        let filters = input["Dimensions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let fits = |series: &&Series| {
            let dimensions = filters.iter().all(|filter| {
                let value = series.dimensions.get(filter["Name"].as_str().unwrap_or_default());
                value.is_some_and(|value| filter["Value"].as_str().is_none_or(|wanted| wanted == value))
            });
            dimensions && wanted("Namespace", &series.namespace) && wanted("MetricName", &series.name)
        };
        let all = self.metrics.lock();
        let found: Vec<&Series> = all.iter().filter(fits).collect();
        let page = found.iter().skip(skip).take(PAGE).map(|series| {
            let dimensions: Vec<Value> =
                series.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
            json!({ "Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions })
        });
        let mut answer = json!({ "Metrics": page.collect::<Vec<_>>() });
        if found.len() > skip + PAGE {
            answer["NextToken"] = URL_SAFE_NO_PAD.encode((skip + PAGE).to_string()).into();
        }
        Ok(answer)
    }

    fn put_metric_data(&self, input: &Value) -> Result<Value, AwsError> {
        let namespace = required_text(input, "Namespace")?;
        if namespace.starts_with("AWS/") {
            return Err(invalid("The value AWS/ for parameter Namespace is invalid."));
        }
        for datum in input["MetricData"].as_array().into_iter().flatten() {
            let name = required_text(datum, "MetricName")?;
            let at = datum["Timestamp"].as_f64().unwrap_or_else(|| self.context.clock.epoch_seconds());
            let unit = datum["Unit"].as_str().unwrap_or("None");
            for set in read_samples(datum)? {
                let point = Point { at, unit: unit.to_owned(), set };
                self.metrics.put_set(&namespace, &name, read_dimensions(datum), point);
            }
        }
        Ok(Value::Null)
    }
}

fn read_samples(datum: &Value) -> Result<Vec<Statistics>, AwsError> {
    if let Some(value) = datum["Value"].as_f64() {
        return Ok(vec![Statistics::of(value)]);
    }
    if let Some(values) = datum["Values"].as_array() {
        let count = |index: usize| datum["Counts"][index].as_f64().unwrap_or(1.0);
        let samples = values.iter().filter_map(Value::as_f64).enumerate();
        return Ok(samples
            .map(|(index, value)| Statistics { count: count(index), sum: value * count(index), min: value, max: value })
            .collect());
    }
    let set = &datum["StatisticValues"];
    let member = |name: &str| set[name].as_f64().ok_or_else(|| missing("MetricData.member.1.Value"));
    Ok(vec![Statistics {
        count: member("SampleCount")?,
        sum: member("Sum")?,
        min: member("Minimum")?,
        max: member("Maximum")?,
    }])
}

fn read_dimensions(value: &Value) -> BTreeMap<String, String> {
    let text = |dimension: &Value, name: &str| dimension[name].as_str().unwrap_or_default().to_owned();
    let list = value["Dimensions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let dimensions: HashMap<_, _> = list.iter().map(|one| (text(one, "Name"), text(one, "Value"))).collect();
    dimensions.into_iter().collect()
}

/// A period is 1, 5, 10 or 30 seconds, or a multiple of 60.
fn read_period(value: &Value) -> Result<f64, AwsError> {
    let period = value["Period"].as_u64().ok_or_else(|| missing("Period"))?;
    let allowed = matches!(period, 1 | 5 | 10 | 30) || (period > 0 && period.is_multiple_of(60));
    let seconds = u32::try_from(period).ok().filter(|_| allowed);
    seconds.map(f64::from).ok_or_else(|| invalid(&format!("The value {period} for parameter Period is invalid.")))
}

fn read_token(input: &Value) -> Result<usize, AwsError> {
    let Some(token) = input["NextToken"].as_str() else { return Ok(0) };
    let invalid = || AwsError::client("InvalidNextToken", "The next token specified is invalid.");
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    String::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(invalid)
}

fn required_text(value: &Value, name: &str) -> Result<String, AwsError> {
    value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| missing(name))
}

fn required_time(value: &Value, name: &str) -> Result<f64, AwsError> {
    value[name].as_f64().ok_or_else(|| missing(name))
}

fn invalid(message: &str) -> AwsError {
    AwsError::client("InvalidParameterValue", message)
}

fn missing(name: &str) -> AwsError {
    AwsError::client("MissingParameter", format!("The parameter {name} is required."))
}

#[async_trait]
impl Service for CloudWatch {
    fn name(&self) -> &'static str {
        "monitoring"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        match operation {
            "GetMetricData" => self.get_metric_data(&input),
            "GetMetricStatistics" => self.get_metric_statistics(&input),
            "ListMetrics" => self.list_metrics(&input),
            "PutMetricData" => self.put_metric_data(&input),
            _ => Err(AwsError::unknown_operation("cloudwatch", operation)),
        }
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&*self.metrics.lock()).expect("series are made of strings, numbers, lists and maps")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, testing};

    fn service() -> (Arc<CloudWatch>, Metrics) {
        let clock = Clock::starting_at(Timestamp::from_second(1_000_000_200).unwrap());
        let context = testing::context_at(clock);
        let metrics = Metrics::default();
        (CloudWatch::new(context, None, metrics.clone()).unwrap(), metrics)
    }

    fn put(metrics: &Metrics, second: i64, value: f64) {
        let at = Timestamp::from_second(second).unwrap();
        metrics.put("AWS/Transfer", "BytesIn", &[("ServerId", "s-1")], at, value, "Bytes");
    }

    fn query(stat: &str) -> Value {
        json!({
            "StartTime": 1_000_000_200, "EndTime": 1_000_001_100, "ScanBy": "TimestampAscending",
            "MetricDataQueries": [{ "Id": "q", "MetricStat": { "Period": 300, "Stat": stat, "Metric": {
                "Namespace": "AWS/Transfer", "MetricName": "BytesIn",
                "Dimensions": [{ "Name": "ServerId", "Value": "s-1" }] } } }],
        })
    }

    #[tokio::test]
    async fn data_are_gathered_by_period_and_the_end_is_left_out() {
        let (service, metrics) = service();
        for (second, value) in [(1_000_000_200, 1.0), (1_000_000_260, 3.0), (1_000_000_500, 0.0), (1_000_001_100, 9.0)]
        {
            put(&metrics, second, value);
        }
        for (stat, values) in
            [("Sum", json!([4.0, 0.0])), ("SampleCount", json!([2.0, 1.0])), ("Average", json!([2.0, 0.0]))]
        {
            let answer = service.call("GetMetricData", query(stat)).await.unwrap();
            assert_eq!(answer["MetricDataResults"][0]["Values"], values, "{stat}");
            assert_eq!(answer["MetricDataResults"][0]["Timestamps"], json!([1_000_000_200.0, 1_000_000_500.0]));
        }
    }

    #[tokio::test]
    async fn a_metric_without_data_answers_empty_and_complete() {
        let (service, _) = service();
        let result = service.call("GetMetricData", query("Sum")).await.unwrap()["MetricDataResults"][0].clone();
        assert_eq!((&result["Values"], &result["StatusCode"]), (&json!([]), &json!("Complete")));
    }

    #[tokio::test]
    async fn pages_follow_each_other() {
        let (service, metrics) = service();
        put(&metrics, 1_000_000_200, 1.0);
        put(&metrics, 1_000_000_500, 2.0);
        let mut input = query("Sum");
        input["MaxDatapoints"] = 1.into();
        let first = service.call("GetMetricData", input.clone()).await.unwrap();
        assert_eq!(first["MetricDataResults"][0]["StatusCode"], "PartialData");
        input["NextToken"] = first["NextToken"].clone();
        let second = service.call("GetMetricData", input).await.unwrap();
        assert_eq!(second["MetricDataResults"][0]["Values"], json!([2.0]));
        assert!(second.get("NextToken").is_none());
    }

    #[tokio::test]
    async fn a_period_that_aws_does_not_have_is_refused() {
        let (service, _) = service();
        let mut input = query("Sum");
        input["MetricDataQueries"][0]["MetricStat"]["Period"] = 45.into();
        assert_eq!(service.call("GetMetricData", input).await.unwrap_err().code, "InvalidParameterValue");
    }

    #[tokio::test]
    async fn data_put_by_a_caller_are_listed_and_read() {
        let (service, _) = service();
        let datum = json!({ "MetricName": "Latency", "Value": 5, "Timestamp": 1_000_000_200 });
        service.call("PutMetricData", json!({ "Namespace": "Own", "MetricData": [datum] })).await.unwrap();
        let listed = service.call("ListMetrics", json!({ "Namespace": "Own" })).await.unwrap();
        assert_eq!(listed["Metrics"][0]["MetricName"], "Latency");
        let input = json!({ "Namespace": "Own", "MetricName": "Latency", "Period": 60, "Statistics": ["Maximum"],
            "StartTime": 1_000_000_000, "EndTime": 1_000_001_000 });
        let answer = service.call("GetMetricStatistics", input).await.unwrap();
        assert_eq!(answer["Datapoints"][0]["Maximum"], 5.0);
    }
}
