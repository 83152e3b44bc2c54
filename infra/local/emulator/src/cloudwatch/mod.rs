//! CloudWatch metrics: a store that services put data into, and the operations that read it.
//!
//! Timestamps are epoch seconds in members named `StartTime`, `EndTime`, `Timestamp` and `Timestamps`; the front gives
//! them their form on the wire.

mod metrics;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub use self::metrics::Metrics;
use self::metrics::{Point, Query, Series, Statistics};
use super::{
    error::AwsError,
    service::{Service, Unreadable, restore},
};
use crate::{context::Context, page::page};

/// Data points that one page of `GetMetricData` holds (AWS's own limit).
const PAGE: u64 = 100_800;

/// Queries that one `GetMetricData` may make (AWS's own limit).
const QUERIES: usize = 500;

/// Data points that one `GetMetricStatistics` may ask for (AWS's own limit).
const STATISTICS_POINTS: f64 = 1440.0;

/// Epoch seconds and a value, many times.
type Samples = Vec<(f64, f64)>;

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
            return Err(refused("The parameter StartTime must be less than the parameter EndTime."));
        }
        let queries = input["MetricDataQueries"].as_array().filter(|queries| !queries.is_empty());
        let queries = queries.ok_or_else(|| missing("MetricDataQueries"))?;
        check_queries(queries)?;
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
        let data = self.read(&metric);
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
        let points_asked = (metric.end - metric.start) / metric.period;
        if points_asked > STATISTICS_POINTS {
            let message = format!(
                "You have requested up to {points_asked} datapoints, which exceeds the limit of {STATISTICS_POINTS}. You \
                 may reduce the datapoints requested by increasing Period, or decreasing the time range."
            );
            return Err(AwsError::client("InvalidParameterCombinationException", message));
        }
        let points = self.read(&metric).into_iter().map(|(at, set, unit)| {
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

    /// The data of a metric; none where its period is finer than what CloudWatch keeps of that time.
    fn read(&self, metric: &Query) -> Vec<(f64, Statistics, String)> {
        let age = self.context.clock.epoch_seconds() - metric.start;
        let kept = finest_period(age);
        if metric.period % kept == 0.0 { self.metrics.read(metric) } else { Vec::new() }
    }

    fn list_metrics(&self, input: &Value) -> Result<Value, AwsError> {
        const PAGE: usize = 500;
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
        let shown = all.iter().filter(fits).map(|series| {
            let dimensions: Vec<Value> =
                series.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
            let shown = json!({ "Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions });
            (shown.to_string(), shown)
        });
        let page = page(shown, input["NextToken"].as_str(), PAGE).ok_or_else(bad_token)?;
        let mut answer = json!({ "Metrics": page.items });
        if let Some(next) = page.next {
            answer["NextToken"] = next.into();
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

/// Refuses queries of `GetMetricData` that can't be told apart or are too many.
fn check_queries(queries: &[Value]) -> Result<(), AwsError> {
    if queries.len() > QUERIES {
        return Err(refused(&format!("The collection MetricDataQueries must not have a size greater than {QUERIES}.")));
    }
    let mut ids = HashSet::new();
    for query in queries {
        let id = query["Id"].as_str().unwrap_or_default();
        let valid = id.starts_with(|first: char| first.is_ascii_lowercase())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !valid {
            return Err(refused(&format!("The value {id} for parameter MetricDataQueries.member.Id is invalid.")));
        }
        if !ids.insert(id) {
            return Err(refused("The values for parameter id in MetricDataQueries are not unique."));
        }
    }
    Ok(())
}

/// The shortest period, in seconds, that CloudWatch keeps of data so many seconds old. From the API reference,
/// `MetricStat`.
fn finest_period(age: f64) -> f64 {
    const HOUR: f64 = 3600.0;
    const DAY: f64 = 24.0 * HOUR;
    if age <= 3.0 * HOUR {
        1.0
    } else if age <= 15.0 * DAY {
        60.0
    } else if age <= 63.0 * DAY {
        300.0
    } else {
        HOUR
    }
}

/// A period is 1, 5, 10, 20 or 30 seconds, or a multiple of 60.
fn read_period(value: &Value) -> Result<f64, AwsError> {
    let period = value["Period"].as_u64().ok_or_else(|| missing("Period"))?;
    let allowed = matches!(period, 1 | 5 | 10 | 20 | 30) || (period > 0 && period.is_multiple_of(60));
    let seconds = u32::try_from(period).ok().filter(|_| allowed);
    seconds.map(f64::from).ok_or_else(|| invalid(&format!("The value {period} for parameter Period is invalid.")))
}

/// How many data points the pages before have shown.
fn read_token(input: &Value) -> Result<usize, AwsError> {
    let Some(token) = input["NextToken"].as_str() else { return Ok(0) };
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad_token())?;
    String::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(bad_token)
}

fn bad_token() -> AwsError {
    AwsError::client("InvalidNextToken", "The next token specified is invalid.")
}

fn required_text(value: &Value, name: &str) -> Result<String, AwsError> {
    value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(|| missing(name))
}

fn required_time(value: &Value, name: &str) -> Result<f64, AwsError> {
    value[name].as_f64().ok_or_else(|| missing(name))
}

fn invalid(message: &str) -> AwsError {
    AwsError::client("InvalidParameterValueException", message)
}

/// What `GetMetricData` answers to queries that make no sense.
fn refused(message: &str) -> AwsError {
    AwsError::client("ValidationException", message)
}

fn missing(name: &str) -> AwsError {
    AwsError::client("MissingRequiredParameterException", format!("The parameter {name} is required."))
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
