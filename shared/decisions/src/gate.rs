//! Whether a finished window may be rolled out: what persons say of a site's rollouts, and what its spec says of when they
//! may begin.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    freeze::{ZoneName, frozen_until},
    rollout::Wanted,
    site::SiteSpec,
    window::{self, Decision, WaitsFor, Window},
};

/// A person's word that a site is not rolled out for a while. Uploads gather meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteHold {
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
    /// The caller's ARN.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// A person's order to roll a site out, which is carried out once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteOrder {
    /// The id of the rollout that is to come of it.
    pub id: String,
    /// Why.
    pub reason: String,
    /// The caller's ARN.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
    /// The rollout that is to be undone; `None`: the site's files are to be rolled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
}

/// A person's order to break a rollout off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// The rollout.
    pub rollout: String,
    /// The caller's ARN.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
}

/// What persons say of a site's rollouts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Word {
    /// Not for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<SiteHold>,
    /// Now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<SiteOrder>,
    /// Not this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
}

impl Word {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The hold that is in force at `now`.
    #[must_use]
    pub fn hold_at(&self, now: Timestamp) -> Option<&SiteHold> {
        self.hold.as_ref().filter(|hold| hold.until > now)
    }
}

impl SiteHold {
    /// What it is, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("held by {} until {:.0}: {}", self.by, self.until, self.reason)
    }
}

impl SiteOrder {
    /// What was ordered, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.undoes {
            Some(rollout) => format!("{} asked to roll {rollout} back: {}", self.by, self.reason),
            None => format!("{} asked for it: {}", self.by, self.reason),
        }
    }
}

/// What to do with a site at `now` that has changes in its `window`, or wants a rollout whatever that says. A person's
/// order to roll out waits for nothing but a hold. Approval is for changes: what is `wanted` beside none needs none.
#[must_use]
pub fn decide(window: &Window, word: &Word, wanted: Option<&Wanted>, spec: &SiteSpec, now: Timestamp) -> Decision {
    if let Some(hold) = word.hold_at(now)
        && (window.is_open() || wanted.is_some() || word.order.is_some())
    {
        return Decision::Wait { until: hold.until, waits_for: WaitsFor::Hold, reason: hold.sentence() };
    }
    if let Some(order) = &word.order {
        return Decision::Claim { reason: order.sentence() };
    }
    let due = match wanted {
        Some(wanted) => Decision::Claim { reason: wanted.reason.clone() },
        None => window::decide(window, &spec.finish, now),
    };
    let Decision::Claim { reason } = due else { return due };
    if spec.approval && window.is_open() {
        let reason = format!("{reason}: it waits for approval, a POST to the site's rollouts");
        return Decision::Ask { reason };
    }
    match closed(window, spec, now) {
        Some((until, waits_for, why)) => Decision::Wait { until, waits_for, reason: format!("{why}; {reason}") },
        None => Decision::Claim { reason },
    }
}

/// Until when the spec lets no rollout begin by itself, and why.
#[must_use]
pub fn closed(window: &Window, spec: &SiteSpec, now: Timestamp) -> Option<(Timestamp, WaitsFor, String)> {
    let finish = &spec.finish;
    let zone = finish.time_zone.as_ref().map_or(TimeZone::UTC, ZoneName::zone);
    if let Some(until) = frozen_until(&finish.freeze, &zone, now) {
        let local = until.to_zoned_datetime(zone).strftime("%a %Y-%m-%d %H:%M %Z").to_string();
        return Some((until, WaitsFor::Freeze, format!("frozen until {local}")));
    }
    let interval = finish.min_interval?;
    let next = window.claimed_at?.saturating_add(interval.get()).unwrap_or(Timestamp::MAX);
    (next > now).then(|| (next, WaitsFor::Interval, format!("rollouts begin {interval} apart at least")))
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{decide as decide_all, *};
    use crate::rollout::Trigger;

    fn at(seconds: i64) -> Timestamp {
        // A Friday, noon.
        "2026-01-09T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn spec(more: &Value) -> SiteSpec {
        let mut spec = json!({"file_system_id": "fs-0a1b2c3d4e5f60718", "directory": "/sites/blog", "cluster": "local",
            "service": "web", "container": "web", "mount_path": "/srv"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    /// A window whose last change was made at 0.
    fn window() -> Window {
        Window { seq: 1, first_change: Some(at(0)), last_change: Some(at(0)), opened: Some(at(0)), ..Window::default() }
    }

    fn hold(until: i64) -> Word {
        let hold = SiteHold { until: at(until), reason: "the sale".into(), by: "alice".into(), at: at(0) };
        Word { hold: Some(hold), ..Word::default() }
    }

    fn decide(window: &Window, word: &Word, spec: &SiteSpec, now: Timestamp) -> Decision {
        decide_all(window, word, None, spec, now)
    }

    #[test]
    fn what_is_wanted_beside_no_changes_waits_for_a_hold_or_a_freeze_alone() {
        let wanted = Wanted { trigger: Trigger::Drift, reason: "it lacks the mount".into(), at: at(0) };
        let decide =
            |window: &Window, word: &Word, spec: &SiteSpec| decide_all(window, word, Some(&wanted), spec, at(60));
        let (nothing, nobody) = (Window::default(), Word::default());
        let careful = spec(&json!({"approval": true}));
        assert_eq!(decide(&nothing, &nobody, &careful), Decision::Claim { reason: "it lacks the mount".into() });
        assert!(matches!(decide(&window(), &nobody, &careful), Decision::Ask { .. }), "changes would go with it");
        assert!(matches!(decide(&nothing, &hold(600), &careful), Decision::Wait { waits_for: WaitsFor::Hold, .. }));
        let frozen = spec(&json!({"finish": {"freeze": ["Fri 00:00 - Mon 00:00"]}}));
        assert!(matches!(decide(&nothing, &nobody, &frozen), Decision::Wait { waits_for: WaitsFor::Freeze, .. }));
    }

    fn order() -> SiteOrder {
        SiteOrder { id: "1".into(), reason: "now".into(), by: "alice".into(), at: at(0), undoes: None }
    }

    #[test]
    fn a_hold_keeps_a_finished_window_until_it_ends() {
        let word = hold(600);
        let Decision::Wait { until, waits_for: WaitsFor::Hold, reason } =
            decide(&window(), &word, &spec(&json!({})), at(60))
        else {
            panic!()
        };
        assert_eq!((until, reason.as_str()), (at(600), "held by alice until 2026-01-09T12:10:00Z: the sale"));
        assert!(matches!(decide(&window(), &word, &spec(&json!({})), at(600)), Decision::Claim { .. }));
        assert_eq!(decide(&Window::default(), &word, &spec(&json!({})), at(60)), Decision::Nothing);
    }

    #[test]
    fn an_order_waits_for_a_hold_alone() {
        let strict =
            spec(&json!({"approval": true, "finish": {"freeze": ["Fri 00:00 - Mon 00:00"], "min_interval": "1d"}}));
        let window = Window { claimed_at: Some(at(-60)), ..window() };
        let ordered = Word { order: Some(order()), ..Word::default() };
        let expected = Decision::Claim { reason: "alice asked for it: now".into() };
        assert_eq!(decide(&window, &ordered, &strict, at(1)), expected);
        assert_eq!(
            decide(&Window::default(), &ordered, &strict, at(1)),
            expected,
            "whether anything has changed or not"
        );
        let held = Word { order: Some(order()), ..hold(600) };
        assert!(matches!(
            decide(&Window::default(), &held, &strict, at(1)),
            Decision::Wait { waits_for: WaitsFor::Hold, .. }
        ));
    }

    #[test]
    fn a_freeze_keeps_a_finished_window_and_says_until_when() {
        let frozen = spec(&json!({"finish": {"freeze": ["Fri 13:00 - Mon 08:00"], "time_zone": "Europe/Berlin"}}));
        let Decision::Wait { until, waits_for: WaitsFor::Freeze, reason } =
            decide(&window(), &Word::default(), &frozen, at(60))
        else {
            panic!()
        };
        assert_eq!(until, "2026-01-12T07:00:00Z".parse().unwrap());
        assert_eq!(reason, "frozen until Mon 2026-01-12 08:00 CET; nothing has changed for 1m");
        let gathering = decide(&window(), &Word::default(), &frozen, at(30));
        assert!(matches!(gathering, Decision::Wait { waits_for: WaitsFor::Quiet, .. }));
    }

    #[test]
    fn rollouts_begin_min_interval_apart() {
        let spaced = spec(&json!({"finish": {"min_interval": "1h"}}));
        let later = Window { claimed_at: Some(at(-600)), ..window() };
        let Decision::Wait { until, waits_for: WaitsFor::Interval, .. } =
            decide(&later, &Word::default(), &spaced, at(60))
        else {
            panic!()
        };
        assert_eq!(until, at(3_000));
        assert!(matches!(decide(&later, &Word::default(), &spaced, at(3_000)), Decision::Claim { .. }));
        assert!(
            matches!(decide(&window(), &Word::default(), &spaced, at(60)), Decision::Claim { .. }),
            "it is the first"
        );
    }

    #[test]
    fn a_finished_window_waits_for_approval_where_the_spec_wants_it() {
        let careful = spec(&json!({"approval": true}));
        let Decision::Ask { reason } = decide(&window(), &Word::default(), &careful, at(60)) else { panic!() };
        assert!(reason.contains("waits for approval"), "{reason}");
        assert!(matches!(decide(&window(), &Word::default(), &careful, at(30)), Decision::Wait { .. }));
    }

    proptest! {
        #[test]
        fn what_waits_waits_for_something_to_come(
            now in 0..1_000_000_i64, until in 0..1_000_000_i64, claimed in -10_000..0_i64, held in any::<bool>(),
        ) {
            let spec = spec(&json!({"finish": {"freeze": ["Fri 13:00 - Mon 08:00"], "min_interval": "1d"}}));
            let window = Window { claimed_at: Some(at(claimed)), ..window() };
            let word = if held { hold(until) } else { Word::default() };
            match decide(&window, &word, &spec, at(now)) {
                Decision::Wait { until, .. } => prop_assert!(until > at(now)),
                Decision::Claim { .. } => prop_assert!(closed(&window, &spec, at(now)).is_none()),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
