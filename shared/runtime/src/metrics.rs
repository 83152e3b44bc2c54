//! Troubles as metrics: lines of the log in CloudWatch's embedded metric format, which CloudWatch Logs turns into
//! metrics without a call. The template has an alarm on their sum.

use std::{fmt::Display, io::Write as _};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::logs;

/// The namespace of all metrics.
const NAMESPACE: &str = "Wharfinger";
/// The metric that counts the troubles of every kind.
const TROUBLES: &str = "Troubles";
/// The dimension of every metric, and the name of the variable that gives its value.
const DIMENSION: (&str, &str) = ("Deployment", "DEPLOYMENT");

/// What can go wrong with a deployment's resources while its functions run without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// AWS reports a server as failed, or refuses what it needs.
    FailedServer,
    /// AWS refuses a user.
    RefusedUser,
    /// A rollout failed or was rolled back.
    FailedRollout,
    /// This version can't read a record of the table.
    UnreadableRecord,
    /// A message of a queue can't be worked off, and comes again and again.
    StuckMessage,
    /// An upload lies where nobody knows whose site it is.
    UnplacedPath,
}

impl Trouble {
    /// The name of the metric that counts this kind.
    #[must_use]
    pub const fn metric(self) -> &'static str {
        match self {
            Self::FailedServer => "FailedServers",
            Self::RefusedUser => "RefusedUsers",
            Self::FailedRollout => "FailedRollouts",
            Self::UnreadableRecord => "UnreadableRecords",
            Self::StuckMessage => "StuckMessages",
            Self::UnplacedPath => "UnplacedPaths",
        }
    }
}

/// Counts one trouble with `thing`, such as `site blog`, at `now`. Writes nothing before [`logs::start`].
pub fn trouble(kind: Trouble, thing: &str, now: Timestamp) {
    if logs::started() {
        let name = |variable| std::env::var(variable).ok().filter(|value| !value.is_empty());
        let deployment = name(DIMENSION.1).or_else(|| name("AWS_LAMBDA_FUNCTION_NAME"));
        let line = line(kind, thing, deployment.as_deref().unwrap_or("unknown"), now);
        // In one piece, so that a line of another thread can't come between. A log that is gone is no reason to fail.
        let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
    }
}

/// Logs and counts a `record` that this version can't read and therefore leaves alone.
pub fn unreadable_record(record: impl Display, now: Timestamp) {
    tracing::error!(%record, "a record can't be read and is left alone");
    trouble(Trouble::UnreadableRecord, &record.to_string(), now);
}

/// The line of one trouble. Lambda reads `timestamp` and `level` as those of any line.
fn line(kind: Trouble, thing: &str, deployment: &str, now: Timestamp) -> Value {
    let metric = |name: &str| json!({ "Name": name, "Unit": "Count" });
    json!({
        "timestamp": now,
        "level": "WARN",
        "message": "trouble",
        "trouble": kind.metric(),
        "thing": thing,
        DIMENSION.0: deployment,
        TROUBLES: 1,
        kind.metric(): 1,
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[DIMENSION.0]],
                "Metrics": [metric(TROUBLES), metric(kind.metric())],
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Trouble; 6] = [
        Trouble::FailedServer,
        Trouble::RefusedUser,
        Trouble::FailedRollout,
        Trouble::UnreadableRecord,
        Trouble::StuckMessage,
        Trouble::UnplacedPath,
    ];

    fn now() -> Timestamp {
        "2026-01-01T00:00:00.250Z".parse().unwrap()
    }

    /// What CloudWatch counts.
    #[derive(Debug, PartialEq)]
    struct Metric {
        namespace: String,
        name: String,
        dimensions: Vec<(String, String)>,
        value: f64,
    }

    /// The metrics that CloudWatch makes of `line` by the format's specification; none where a member is missing.
    fn extracted(line: &Value) -> Option<Vec<Metric>> {
        let meta = line.get("_aws")?;
        meta.get("Timestamp")?.as_i64()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let dimension = |key: &Value| Some((text(key)?, text(line.get(key.as_str()?)?)?));
        let mut found = Vec::new();
        for directive in meta.get("CloudWatchMetrics")?.as_array()? {
            for set in directive.get("Dimensions")?.as_array()? {
                for metric in directive.get("Metrics")?.as_array()? {
                    let name = text(metric.get("Name")?)?;
                    found.push(Metric {
                        namespace: text(directive.get("Namespace")?)?,
                        dimensions: set.as_array()?.iter().map(dimension).collect::<Option<_>>()?,
                        value: line.get(&name)?.as_f64()?,
                        name,
                    });
                }
            }
        }
        Some(found)
    }

    #[test]
    fn each_trouble_counts_once_in_its_own_metric_and_once_in_the_sum() {
        for kind in KINDS {
            let metric = |name: &str| Metric {
                namespace: "Wharfinger".into(),
                name: name.into(),
                dimensions: vec![("Deployment".into(), "wharfinger".into())],
                value: 1.0,
            };
            let line = line(kind, "site blog", "wharfinger", now());
            assert_eq!(extracted(&line), Some(vec![metric("Troubles"), metric(kind.metric())]), "{kind:?}");
        }
    }

    #[test]
    fn a_line_bears_the_time_it_was_given_in_milliseconds() {
        let line = line(Trouble::FailedRollout, "site blog", "wharfinger", now());
        assert_eq!(line["_aws"]["Timestamp"], 1_767_225_600_250_i64);
        assert_eq!(line["timestamp"], "2026-01-01T00:00:00.25Z");
        assert_eq!(line["thing"], "site blog");
    }

    #[test]
    fn the_specification_admits_the_line_s_members() {
        let line = line(Trouble::RefusedUser, "user alice of server main", "wharfinger", now());
        let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys(&line["_aws"]), Some(vec!["CloudWatchMetrics".into(), "Timestamp".into()]));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(keys(directive), Some(vec!["Dimensions".into(), "Metrics".into(), "Namespace".into()]));
        assert_eq!(keys(&directive["Metrics"][0]), Some(vec!["Name".into(), "Unit".into()]));
        assert!(!line.to_string().contains('\n'));
    }
}
