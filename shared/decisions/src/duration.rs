//! Durations as people write them: `90s`, `30m`, `1h 30m`, `2d`.

use std::fmt;

use jiff::{SignedDuration, SpanRelativeTo, fmt::friendly::SpanPrinter};

use crate::text::{Invalid, quoted};

/// A length of time of at least a second, written in days, hours, minutes and seconds. A day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration(SignedDuration);

impl HumanDuration {
    /// A duration of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        Self(SignedDuration::from_secs(seconds as i64))
    }

    /// The duration, to calculate with.
    #[must_use]
    pub const fn get(self) -> SignedDuration {
        self.0
    }

    /// Reads `30m`, `1h 30m`, `2d`; from one second to 366 days.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let refused = || {
            Invalid(format!(
                "{} is not a duration that can be used here: write days, hours, minutes and seconds, such as 90s, 30m, 1h 30m or 2d, from 1s to 366d",
                quoted(text)
            ))
        };
        let span: jiff::Span = text.parse().map_err(|_| refused())?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| refused())?;
        let whole = duration.subsec_nanos() == 0;
        let allowed = SignedDuration::from_secs(1)..=SignedDuration::from_hours(366 * 24);
        if whole && allowed.contains(&duration) { Ok(Self(duration)) } else { Err(refused()) }
    }

    /// Accepts a duration of any length that an earlier version stored, or returns `None` if it is no duration or longer
    /// than 7,304,484 days. Only for reading the table.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        let span: jiff::Span = text.parse().ok()?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        (duration.abs() <= LONGEST).then_some(Self(duration))
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&describe(self.0))
    }
}

/// The longest duration that jiff writes in days, in either direction: some 20,000 years.
const LONGEST: SignedDuration = SignedDuration::from_hours(7_304_484 * 24);

/// A duration for people, to the second: `1d 2h`, `30m`, `45s`, `0s`. One beyond 7,304,484 days reads as that.
#[must_use]
pub fn describe(duration: SignedDuration) -> String {
    let seconds = duration.clamp(-LONGEST, LONGEST).as_secs();
    let span = jiff::Span::new()
        .days(seconds / 86_400)
        .hours(seconds % 86_400 / 3_600)
        .minutes(seconds % 3_600 / 60)
        .seconds(seconds % 60);
    SpanPrinter::new().span_to_string(&span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("1h 30m", 5_400), ("2d", 172_800), ("PT30M", 1_800)] {
            assert_eq!(HumanDuration::parse(text).unwrap().get().as_secs(), seconds, "{text}");
        }
        for bad in ["", "30", "0s", "-5m", "1month", "367d", "5 parsecs", "500ms"] {
            assert!(HumanDuration::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for text in ["1s", "1m 30s", "1d 2h 3m 4s", "366d"] {
            let duration = HumanDuration::parse(text).unwrap();
            assert_eq!(duration.to_string(), text);
            assert_eq!(HumanDuration::parse(&duration.to_string()).unwrap(), duration);
        }
        assert_eq!(describe(SignedDuration::ZERO), "0s");
    }

    #[test]
    fn whatever_is_stored_can_be_written_or_is_no_duration() {
        assert_eq!(HumanDuration::from_stored("7304484d").unwrap().to_string(), "7304484d");
        for too_long in ["7304484d 24h", "7304484d 1s", "-7304484d 24h"] {
            assert_eq!(HumanDuration::from_stored(too_long), None, "{too_long}");
        }
        for longest in [SignedDuration::MAX, SignedDuration::MIN] {
            assert!(describe(longest).contains("7304484d"), "{}", describe(longest));
        }
    }
}
