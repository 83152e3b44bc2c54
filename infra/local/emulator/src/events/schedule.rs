//! Schedule expressions as EventBridge rules have them, and the events they send.
//!
//! `rate(5 minutes)`, `rate(1 hour)`, `rate(7 days)`; `cron(minute hour day-of-month month day-of-week year)` in UTC,
//! without L, W and #. The local region alone also takes `rate(10 seconds)`: AWS's shortest period is a minute.

use std::{collections::BTreeSet, time::Duration};

use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};
use serde_json::{Value, json};
use thiserror::Error;

use crate::ids::{ACCOUNT, REGION};

/// Why an expression is none that EventBridge would take.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{expression:?} is not a schedule: {problem}; write rate(5 minutes) or cron(0 8 ? * MON-FRI *)")]
pub struct ScheduleError {
    expression: String,
    problem: String,
}

/// When a rule fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Again and again after this time, the first time one period after the start.
    Rate(Duration),
    /// At the times that match.
    Cron(Cron),
}

/// The six fields of a cron expression, as the values that each allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: BTreeSet<i16>,
    hours: BTreeSet<i16>,
    days: Option<BTreeSet<i16>>,
    months: BTreeSet<i16>,
    weekdays: Option<BTreeSet<i16>>,
    years: BTreeSet<i16>,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// If EventBridge would refuse it (but for periods in seconds).
    pub fn parse(expression: &str) -> Result<Self, ScheduleError> {
        let body = |kind: &str| expression.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')');
        let parsed = match (body("rate"), body("cron")) {
            (Some(rate), _) => parse_rate(rate).map(Self::Rate),
            (_, Some(cron)) => Cron::parse(cron).map(Self::Cron),
            _ => Err("it must begin with rate( or cron( and end with )".to_owned()),
        };
        parsed.map_err(|problem| ScheduleError { expression: expression.to_owned(), problem })
    }

    /// The first time after `time` at which it fires; None if it never does again.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rate(period) => time.checked_add(*period).ok(),
            Self::Cron(cron) => cron.next_after(time),
        }
    }
}

fn parse_rate(rate: &str) -> Result<Duration, String> {
    let (count, unit) = rate.split_once(' ').ok_or("a rate is a number and a unit")?;
    let count: u32 =
        count.parse().ok().filter(|count| *count > 0).ok_or("a rate's number must be a whole one over 0")?;
    let seconds = match (unit, count) {
        ("second", 1) | ("seconds", _) => 1,
        ("minute", 1) => 60,
        ("hour", 1) => 3600,
        ("day", 1) => 86_400,
        ("minutes", 2..) => 60,
        ("hours", 2..) => 3600,
        ("days", 2..) => 86_400,
        _ => return Err("a rate's unit is minute, hour or day for 1, and minutes, hours or days for more".to_owned()),
    };
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

impl Cron {
    fn parse(fields: &str) -> Result<Self, String> {
        let fields: Vec<_> = fields.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays, years] = fields.as_slice() else {
            return Err(format!("cron needs 6 fields, not {}", fields.len()));
        };
        if (*days == "?") == (*weekdays == "?") {
            return Err("one of day-of-month and day-of-week, and only one, must be ?".to_owned());
        }
        let unless_any = |field: &str, first: i16, last: i16, names: &[&str]| match field {
            "?" => Ok(None),
            field => parse_field(field, first, last, names).map(Some),
        };
        Ok(Self {
            minutes: parse_field(minutes, 0, 59, &[])?,
            hours: parse_field(hours, 0, 23, &[])?,
            days: unless_any(days, 1, 31, &[])?,
            months: parse_field(months, 1, 12, &MONTHS)?,
            weekdays: unless_any(weekdays, 1, 7, &WEEKDAYS)?,
            years: parse_field(years, 1970, 2199, &[])?,
        })
    }

    fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let start = TimeZone::UTC.to_datetime(time);
        let mut date = start.date();
        let last = civil::date(*self.years.last()?, 12, 31);
        while date <= last {
            if self.has_day(date) {
                let times = self.hours.iter().flat_map(|hour| self.minutes.iter().map(move |minute| (*hour, *minute)));
                for (hour, minute) in times {
                    let moment = date.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
                    if moment > start {
                        return TimeZone::UTC.to_timestamp(moment).ok();
                    }
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn has_day(&self, date: civil::Date) -> bool {
        let weekday = i16::from(date.weekday().to_sunday_one_offset());
        self.years.contains(&date.year())
            && self.months.contains(&i16::from(date.month()))
            && self.days.as_ref().is_none_or(|days| days.contains(&i16::from(date.day())))
            && self.weekdays.as_ref().is_none_or(|weekdays| weekdays.contains(&weekday))
    }
}

fn parse_field(field: &str, first: i16, last: i16, names: &[&str]) -> Result<BTreeSet<i16>, String> {
    let number = |text: &str| -> Result<i16, String> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|index| i16::try_from(index).ok()).map(|index| index + first);
        let number = named.or_else(|| text.parse().ok()).filter(|number| (first..=last).contains(number));
        number.ok_or_else(|| format!("{text} is not possible here ({first} to {last}; L, W and # are not supported)"))
    };
    let mut values = BTreeSet::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, Some(step.parse::<i16>().ok().filter(|step| *step > 0).ok_or("a step must be over 0")?))
            }
            None => (part, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (first, last),
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(range)?, if step.is_some() { last } else { number(range)? }),
        };
        if from > to {
            return Err(format!("{range} ends before it begins"));
        }
        values.extend((from..=to).step_by(usize::try_from(step.unwrap_or(1)).expect("a step is over 0")));
    }
    Ok(values)
}

/// The event that a scheduled rule sends, in EventBridge's envelope.
#[must_use]
pub fn scheduled_event(rule_arn: &str, time: Timestamp) -> Value {
    json!({
        "version": "0",
        "id": crate::ids::random_uuid().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": Timestamp::from_second(time.as_second()).unwrap_or(time).to_string(),
        "region": REGION,
        "resources": [rule_arn],
        "detail": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_aws_writes_them() {
        for (text, seconds) in [
            ("rate(5 minutes)", 300),
            ("rate(1 minute)", 60),
            ("rate(1 hour)", 3600),
            ("rate(2 days)", 172_800),
            ("rate(10 seconds)", 10),
        ] {
            assert_eq!(Expression::parse(text), Ok(Expression::Rate(Duration::from_secs(seconds))), "{text}");
        }
    }

    #[test]
    fn each_cron_field_is_respected() {
        let from: Timestamp = "2026-03-06T10:15:30Z".parse().unwrap();
        for (expression, expected) in [
            ("cron(0/15 * * * ? *)", "2026-03-06T10:30:00Z"),
            ("cron(15 10 * * ? *)", "2026-03-07T10:15:00Z"),
            ("cron(0 8 ? * MON-FRI *)", "2026-03-09T08:00:00Z"),
            ("cron(0 8 ? * 1,7 *)", "2026-03-07T08:00:00Z"),
            ("cron(30 6 1 * ? *)", "2026-04-01T06:30:00Z"),
            ("cron(0 0 31 FEB,MAY ? *)", "2026-05-31T00:00:00Z"),
            ("cron(0 12 29 2 ? *)", "2028-02-29T12:00:00Z"),
            ("cron(5 4 1 1 ? 2030)", "2030-01-01T04:05:00Z"),
        ] {
            let next = Expression::parse(expression).unwrap().next_after(from);
            assert_eq!(next, Some(expected.parse().unwrap()), "{expression}");
        }
    }

    #[test]
    fn a_cron_of_the_past_never_fires() {
        let expression = Expression::parse("cron(5 4 1 1 ? 2020)").unwrap();
        assert_eq!(expression.next_after("2026-03-06T10:15:30Z".parse().unwrap()), None);
    }

    #[test]
    fn what_aws_refuses_is_refused() {
        for text in [
            "5 minutes",
            "rate(soon)",
            "rate(0 minutes)",
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(1 week)",
            "cron(0 8 * * *)",
            "cron(0 8 * * * *)",
            "cron(0 8 ? * ? *)",
            "cron(60 8 * * ? *)",
            "cron(0 8 L * ? *)",
            "cron(0 8 ? * MON#2 *)",
            "cron(0/0 8 * * ? *)",
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
