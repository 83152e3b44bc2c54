//! Times of the week in which nothing is rolled out, such as `Fri 16:00 - Mon 08:00`.

#[cfg(test)]
mod tests;

use std::fmt;

use jiff::{
    Timestamp, ToSpan,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use serde::{Deserialize, Serialize};

use crate::text::{Invalid, parsed_string};

const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const ALLOWED: &str =
    "a freeze is a part of each week: write two days with times, such as Fri 16:00 - Mon 08:00, that differ";

/// A part of each week, from one minute until another, which does not belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Freeze {
    /// Minutes since Monday, 00:00.
    from: u32,
    to: u32,
}

parsed_string! {
    /// The name of a time zone, such as `Europe/Berlin`.
    ZoneName, zone_name
}

fn zone_name(text: String) -> Result<String, Invalid> {
    const ALLOWED: &str = "a time zone has a name of the IANA database, such as Europe/Berlin or UTC";
    if TimeZoneDatabase::bundled().get(&text).is_ok() { Ok(text) } else { Err(Invalid::new(&text, ALLOWED)) }
}

impl ZoneName {
    /// The time zone; UTC where this version does not know it.
    #[must_use]
    pub fn zone(&self) -> TimeZone {
        TimeZoneDatabase::bundled().get(self.as_str()).unwrap_or(TimeZone::UTC)
    }
}

impl Freeze {
    /// Reads `Fri 16:00 - Mon 08:00`.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parsed = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = (minute_of_week(from)?, minute_of_week(to)?);
            (from != to).then_some(Self { from, to })
        });
        parsed.ok_or_else(|| Invalid::new(text, ALLOWED))
    }

    /// When the freeze ends that `now` lies in, if it lies in one.
    fn end(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned_datetime(zone.clone()).date();
        let monday = today.checked_sub(i64::from(today.weekday().to_monday_zero_offset()).days()).ok()?;
        let length = (WEEK + self.to - self.from) % WEEK;
        // It began this week or, if it goes over Monday, in the one before.
        [monday.checked_sub(1.week()).ok()?, monday].into_iter().find_map(|monday| {
            let (start, end) = (instant(monday, self.from, zone)?, instant(monday, self.from + length, zone)?);
            (start <= now && now < end).then_some(end)
        })
    }

    fn has(self, minute: u32) -> bool {
        (WEEK + minute - self.from) % WEEK < (WEEK + self.to - self.from) % WEEK
    }
}

/// Reads `Fri 16:00` as a minute of the week.
fn minute_of_week(text: &str) -> Option<u32> {
    let (day, time) = text.trim().split_once(' ')?;
    let (hours, minutes) = time.trim().split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| two_digits(text).then(|| text.parse::<u32>().ok()).flatten();
    let day = DAYS.iter().position(|name| name.eq_ignore_ascii_case(day))?;
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let is_time = hours < 24 && minutes < 60 || (hours, minutes) == (24, 0);
    is_time.then_some((u32::try_from(day).ok()? * DAY + hours * 60 + minutes) % WEEK)
}

/// When the local clock shows `minute`, counted from 00:00 of `monday`. A time that the clock skips is the one after the
/// gap; of one that it shows twice it is the first.
fn instant(monday: Date, minute: u32, zone: &TimeZone) -> Option<Timestamp> {
    let date = monday.checked_add(i64::from(minute / DAY).days()).ok()?;
    let (hour, minute) = (i8::try_from(minute % DAY / 60).ok()?, i8::try_from(minute % 60).ok()?);
    Some(date.at(hour, minute, 0, 0).to_zoned_datetime(zone.clone()).ok()?.timestamp())
}

/// Until when `now` is frozen; `None` if it is not. Freezes that meet or overlap are one.
#[must_use]
pub fn frozen_until(freezes: &[Freeze], zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let mut end = None;
    // Each ends once on the way. If they left no time at all, it would be looked at again at the end of a round.
    for _ in freezes {
        let at = end.unwrap_or(now);
        let Some(later) = freezes.iter().filter_map(|freeze| freeze.end(zone, at)).max() else { break };
        end = Some(later);
    }
    end
}

/// Whether some minute of the week belongs to none of `freezes`.
#[must_use]
pub fn leave_time(freezes: &[Freeze]) -> bool {
    (0..WEEK).any(|minute| !freezes.iter().any(|freeze| freeze.has(minute)))
}

impl fmt::Display for Freeze {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |minute: u32| {
            let day = usize::try_from(minute / DAY).ok().and_then(|day| DAYS.get(day)).copied().unwrap_or_default();
            format!("{day} {:02}:{:02}", minute % DAY / 60, minute % 60)
        };
        write!(formatter, "{} - {}", text(self.from), text(self.to))
    }
}

impl TryFrom<String> for Freeze {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Freeze> for String {
    fn from(freeze: Freeze) -> Self {
        freeze.to_string()
    }
}
