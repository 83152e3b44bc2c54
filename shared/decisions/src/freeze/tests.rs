//! Freezes over weeks, and over the days on which clocks are changed.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn berlin() -> TimeZone {
    ZoneName::parse("Europe/Berlin").unwrap().zone()
}

fn freezes(texts: &[&str]) -> Vec<Freeze> {
    texts.iter().map(|text| Freeze::parse(text).unwrap()).collect()
}

fn any_freezes() -> impl Strategy<Value = Vec<Freeze>> {
    let one = (0..WEEK, 1..WEEK).prop_map(|(from, length)| Freeze { from, to: (from + length) % WEEK });
    prop::collection::vec(one, 0..5).prop_filter("they leave no time", |freezes| leave_time(freezes))
}

fn any_zone() -> impl Strategy<Value = TimeZone> {
    let names = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati"];
    prop::sample::select(names.to_vec()).prop_map(|name| ZoneName::parse(name).unwrap().zone())
}

fn minute(zone: &TimeZone, now: Timestamp) -> u32 {
    let local = now.to_zoned_datetime(zone.clone());
    let day = u32::try_from(local.weekday().to_monday_zero_offset()).unwrap();
    day * DAY + u32::try_from(local.hour()).unwrap() * 60 + u32::try_from(local.minute()).unwrap()
}

proptest! {
    #[test]
    fn a_freeze_ends_when_nothing_is_frozen_and_not_before(
        freezes in any_freezes(), zone in any_zone(), second in 1_700_000_000..1_900_000_000_i64,
    ) {
        let now = Timestamp::from_second(second).unwrap();
        if let Some(end) = frozen_until(&freezes, &zone, now) {
            prop_assert!(end > now);
            prop_assert_eq!(frozen_until(&freezes, &zone, end), None);
            let before = end - SignedDuration::from_secs(1);
            prop_assert_eq!(frozen_until(&freezes, &zone, before.max(now)), Some(end));
        }
    }

    #[test]
    fn it_is_frozen_when_the_local_clock_says_so(
        freezes in any_freezes(), zone in any_zone(), second in 1_700_000_000..1_900_000_000_i64,
    ) {
        let now = Timestamp::from_second(second).unwrap();
        let hours = SignedDuration::from_hours(3);
        // While clocks are changed, the local clock alone does not tell.
        prop_assume!(zone.to_offset(now - hours) == zone.to_offset(now + hours));
        let says = freezes.iter().any(|freeze| freeze.has(minute(&zone, now)));
        prop_assert_eq!(frozen_until(&freezes, &zone, now).is_some(), says);
    }

    #[test]
    fn a_freeze_reads_back_as_it_is_written(freezes in any_freezes()) {
        for freeze in freezes {
            prop_assert_eq!(Freeze::parse(&freeze.to_string()), Ok(freeze));
        }
    }
}

#[test]
fn a_weekend_is_frozen_from_friday_until_monday() {
    let weekend = freezes(&["Fri 16:00 - Mon 08:00"]);
    let frozen = |now| frozen_until(&weekend, &berlin(), at(now));
    assert_eq!(frozen("2026-01-09T14:59:59Z"), None);
    for now in ["2026-01-09T15:00:00Z", "2026-01-11T00:00:00Z", "2026-01-12T06:59:59Z"] {
        assert_eq!(frozen(now), Some(at("2026-01-12T07:00:00Z")), "{now}");
    }
    assert_eq!(frozen("2026-01-12T07:00:00Z"), None);
}

#[test]
fn it_ends_by_the_local_clock_when_clocks_are_changed() {
    let weekend = freezes(&["Fri 16:00 - Mon 08:00"]);
    let frozen = |now| frozen_until(&weekend, &berlin(), at(now));
    assert_eq!(frozen("2026-03-27T15:00:00Z"), Some(at("2026-03-30T06:00:00Z")), "an hour is skipped");
    assert_eq!(frozen("2026-10-23T14:00:00Z"), Some(at("2026-10-26T07:00:00Z")), "an hour comes twice");
    let skipped = freezes(&["Sun 01:00 - Sun 02:30"]);
    let end = frozen_until(&skipped, &berlin(), at("2026-03-29T00:30:00Z"));
    assert_eq!(end, Some(at("2026-03-29T01:30:00Z")), "02:30 is not shown on this day, 03:30 is");
}

#[test]
fn freezes_that_meet_are_one() {
    let nights = freezes(&["Mon 20:00 - Tue 06:00", "Tue 06:00 - Tue 09:00", "Tue 08:00 - Tue 12:00"]);
    let end = frozen_until(&nights, &TimeZone::UTC, at("2026-01-05T21:00:00Z"));
    assert_eq!(end, Some(at("2026-01-06T12:00:00Z")));
}

#[test]
fn what_is_no_part_of_a_week_is_refused() {
    for bad in
        ["", "Fri 16:00", "Fri 16:00 - Fri 16:00", "Fry 16:00 - Mon 08:00", "Fri 16 - Mon 8", "Fri 24:01 - Mon 08:00"]
    {
        assert!(Freeze::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Freeze::parse("sun 12:00-Sun 24:00").unwrap().to_string(), "Sun 12:00 - Mon 00:00");
    assert!(ZoneName::parse("Berlin").is_err() && ZoneName::parse("").is_err());
}

#[test]
fn freezes_that_leave_no_time_are_found() {
    assert!(!leave_time(&freezes(&["Mon 00:00 - Thu 00:00", "Wed 00:00 - Mon 00:00"])));
    assert!(leave_time(&freezes(&["Mon 00:00 - Thu 00:00", "Thu 00:01 - Mon 00:00"])));
    assert!(leave_time(&[]));
}
