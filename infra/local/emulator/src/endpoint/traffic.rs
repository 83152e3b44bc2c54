//! How far away and how busy the services are: how long a call takes on its way, and how many are let in. Both run on
//! tokio's clock, so that a paused runtime tries an hour of traffic in a moment.

use std::{str::FromStr, sync::Arc, time::Duration};

use jiff::SignedDuration;

use crate::{
    error::AwsError,
    throttle::{Bucket, throttled},
};

/// The services that have latencies and rates, and what else people call them.
const SERVICES: [(&str, &str); 10] = [
    ("dynamodb", "dynamodb"),
    ("ec2", "ec2"),
    ("ecs", "ecs"),
    ("elasticfilesystem", "efs"),
    ("logs", "logs"),
    ("monitoring", "cloudwatch"),
    ("secretsmanager", "secretsmanager"),
    ("sqs", "sqs"),
    ("sts", "sts"),
    ("transfer", "transfer"),
];

/// How long a service's calls are on their way there and back: `transfer=150ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency {
    service: &'static str,
    time: Duration,
}

/// How many calls a second a service or one of its operations lets in: `transfer=5/s`, or with a burst
/// `ecs.RegisterTaskDefinition=1/s:20`. Without a burst it is the calls of one second, and at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    service: &'static str,
    operation: Option<String>,
    per_second: f64,
    burst: f64,
}

/// A latency or rate that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTraffic {
    /// The form is another.
    #[error("write {0}")]
    Form(&'static str),
    /// No such service.
    #[error("there is no service {0}: use one of {known}", known = known_services())]
    Service(String),
}

fn known_services() -> String {
    SERVICES.map(|(_, name)| name).join(", ")
}

fn service(text: &str) -> Result<&'static str, BadTraffic> {
    let known = SERVICES.iter().find(|(service, name)| *service == text || *name == text);
    known.map(|(service, _)| *service).ok_or_else(|| BadTraffic::Service(text.to_owned()))
}

impl FromStr for Latency {
    type Err = BadTraffic;

    fn from_str(text: &str) -> Result<Self, BadTraffic> {
        let form = || BadTraffic::Form("SERVICE=TIME, such as transfer=150ms");
        let (name, time) = text.split_once('=').ok_or_else(form)?;
        let service = service(name)?;
        let time: SignedDuration = time.parse().map_err(|_| form())?;
        Ok(Self { service, time: Duration::try_from(time).map_err(|_| form())? })
    }
}

impl FromStr for Rate {
    type Err = BadTraffic;

    fn from_str(text: &str) -> Result<Self, BadTraffic> {
        let form = || BadTraffic::Form("SERVICE[.OPERATION]=RATE/s[:BURST], such as ecs.RegisterTaskDefinition=1/s:20");
        let (name, rate) = text.split_once('=').ok_or_else(form)?;
        let (name, operation) = name.split_once('.').map_or((name, None), |(name, one)| (name, Some(one.to_owned())));
        let service = service(name)?;
        let (rate, burst) = rate.split_once(':').map_or((rate, None), |(rate, burst)| (rate, Some(burst)));
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        let per_second = rate.strip_suffix("/s").and_then(number).ok_or_else(form)?;
        let burst = burst.map_or(Some(per_second), number).ok_or_else(form)?.max(1.0);
        Ok(Self { service, operation, per_second, burst })
    }
}

/// What every call passes on its way to a service. Cheap to clone; clones share the buckets.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    latencies: Arc<[Latency]>,
    buckets: Arc<[(Rate, Bucket)]>,
}

impl Traffic {
    /// Traffic with these latencies and rates; the last of a service or operation counts. Services that are not named
    /// are near and idle.
    #[must_use]
    pub fn new(latencies: &[Latency], rates: &[Rate]) -> Self {
        let bucket = |rate: &Rate| (rate.clone(), Bucket::new(rate.per_second, rate.burst));
        Self { latencies: latencies.into(), buckets: rates.iter().map(bucket).collect() }
    }

    /// Waits for `answer`, half of the service's latency before and half after it was made.
    pub(crate) async fn carry<T>(&self, service: &str, answer: impl Future<Output = T>) -> T {
        let Some(latency) = self.latencies.iter().rev().find(|latency| latency.service == service) else {
            return answer.await;
        };
        tokio::time::sleep(latency.time / 2).await;
        let answer = answer.await;
        tokio::time::sleep(latency.time / 2).await;
        answer
    }

    /// Lets a call in. An operation with a rate of its own is not counted in its service's.
    ///
    /// # Errors
    /// The service's own throttling error when its rate is used up.
    pub(crate) fn admit(&self, service: &str, operation: &str) -> Result<(), AwsError> {
        let of = |wanted: Option<&str>| {
            let fits = |rate: &Rate| rate.service == service && rate.operation.as_deref() == wanted;
            self.buckets.iter().rev().find(|(rate, _)| fits(rate))
        };
        match of(Some(operation)).or_else(|| of(None)) {
            Some((_, bucket)) if !bucket.take() => Err(throttled(service)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn rates(texts: &[&str]) -> Traffic {
        let rates: Vec<Rate> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Traffic::new(&[], &rates)
    }

    fn admitted(traffic: &Traffic, service: &str, operation: &str) -> usize {
        (0..100).take_while(|_| traffic.admit(service, operation).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_lets_in_its_rate_and_others_are_not_touched() {
        let traffic = rates(&["transfer=5/s"]);
        assert_eq!(admitted(&traffic, "transfer", "CreateUser"), 5);
        assert_eq!(traffic.admit("transfer", "ListUsers").unwrap_err().code, "ThrottlingException");
        assert_eq!(admitted(&traffic, "ecs", "ListClusters"), 100);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(admitted(&traffic, "transfer", "ListUsers"), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_with_its_own_rate_has_its_own_burst() {
        let traffic = rates(&["ecs=2/s", "ecs.RegisterTaskDefinition=1/s:20"]);
        assert_eq!(admitted(&traffic, "ecs", "RegisterTaskDefinition"), 20);
        assert_eq!(admitted(&traffic, "ecs", "UpdateService"), 2);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(admitted(&traffic, "ecs", "RegisterTaskDefinition"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_takes_the_latency_of_its_service() {
        let traffic = Traffic::new(&["efs=10ms".parse().unwrap(), "transfer=1s500ms".parse().unwrap()], &[]);
        let started = Instant::now();
        let made = traffic.carry("transfer", async { started.elapsed() }).await;
        assert_eq!((made, started.elapsed()), (Duration::from_millis(750), Duration::from_millis(1500)));
        traffic.carry("elasticfilesystem", async {}).await;
        traffic.carry("ecs", async {}).await;
        assert_eq!(started.elapsed(), Duration::from_millis(1510));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for bad in ["transfer", "transfer=", "transfer=fast", "transfer=-1s", "transfer=5"] {
            assert!(matches!(bad.parse::<Latency>(), Err(BadTraffic::Form(_))), "{bad}");
        }
        for bad in ["ecs", "ecs=5", "ecs=0/s", "ecs=-1/s", "ecs=NaN/s", "ecs=inf/s", "ecs=1/s:0", "ecs=1/m"] {
            assert!(matches!(bad.parse::<Rate>(), Err(BadTraffic::Form(_))), "{bad}");
        }
        let unknown = "s3=1/s".parse::<Rate>().unwrap_err().to_string();
        assert!(unknown.contains("s3") && unknown.contains("efs"), "{unknown}");
        assert_eq!("cloudwatch=1s".parse::<Latency>(), "monitoring=1s".parse());
    }
}
