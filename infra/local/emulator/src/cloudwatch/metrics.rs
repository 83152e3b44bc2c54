//! What CloudWatch keeps: metrics by namespace, name and dimensions, with their data.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long data are kept: 15 days, what AWS keeps of one-minute data.
const RETENTION_SECONDS: f64 = 15.0 * 86_400.0;

/// The metrics of a region. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics {
    series: Arc<Mutex<Vec<Series>>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) dimensions: BTreeMap<String, String>,
    pub(super) points: Vec<Point>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Point {
    /// Epoch seconds.
    pub(super) at: f64,
    pub(super) unit: String,
    pub(super) set: Statistics,
}

/// A statistic set: what any number of samples come down to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Statistics {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Statistics {
    pub(super) fn of(value: f64) -> Self {
        Self { count: 1.0, sum: value, min: value, max: value }
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    pub(super) fn get(self, statistic: &str) -> Option<f64> {
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

    pub(super) fn put_set(&self, namespace: &str, name: &str, dimensions: BTreeMap<String, String>, point: Point) {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data of a metric from `start` up to but not including `end`, gathered by period; ascending.
    pub(super) fn read(&self, metric: &Query) -> Vec<(f64, Statistics, String)> {
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
    pub(super) fn is(&self, namespace: &str, name: &str, dimensions: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && self.name == name && self.dimensions == *dimensions
    }
}

/// A metric, and which part of it.
pub(super) struct Query {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) dimensions: BTreeMap<String, String>,
    pub(super) unit: Option<String>,
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) period: f64,
}
