use proptest::prelude::*;

use super::*;
use crate::presence::LogLine;

const PERIOD: SignedDuration = SignedDuration::from_mins(5);
const NOT_ASKED: Answer<Presence> = Answer::NotAsked;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn lines(lines: &[(i64, &str)]) -> Answer<Presence> {
    let line = |(second, activity): &(i64, &str)| {
        let message = format!(r#"{{"activity-type":"{activity}","session-id":"1","user":"alice"}}"#);
        LogLine { at: at(*second), message }
    };
    Answer::Known(Presence::read(&lines.iter().map(line).collect::<Vec<_>>()))
}
fn alice() -> Answer<Presence> {
    lines(&[(-480, "CONNECTED")])
}
fn nobody() -> Answer<Presence> {
    Answer::Known(Presence::default())
}
fn traffic(last_session: Option<i64>) -> Answer<Traffic> {
    Answer::Known(Traffic { last_session: last_session.map(at), bytes: 0 })
}
fn decision(action: Action) -> Decision {
    Decision { action, ..Decision::keep("its files were used 2m ago", at(0)) }
}

/// What happens `passed` seconds after the rules were withdrawn.
fn told(
    cause: Cause,
    sessions: &Answer<Presence>,
    traffic: &Answer<Traffic>,
    idle: Option<Action>,
    passed: i64,
) -> String {
    let decision = idle.map(decision);
    let drain_for = SignedDuration::from_mins(10);
    let idle = decision.as_ref();
    let facts = Facts { cause, since: at(0), asked_at: None, drain_for, period: PERIOD, sessions, traffic, idle };
    match decide(&facts, at(passed)) {
        Verdict::Wait { reason, until } => format!("wait {}: {reason}", until.duration_since(at(0)).as_secs()),
        Verdict::Shut { reason } => format!("shut: {reason}"),
        Verdict::Reopen { reason } => format!("reopen: {reason}"),
    }
}
fn idle(sessions: &Answer<Presence>, action: Action, passed: i64) -> String {
    told(Cause::Idle, sessions, &traffic(None), Some(action), passed)
}
fn person(sessions: &Answer<Presence>, traffic: &Answer<Traffic>, passed: i64) -> String {
    told(Cause::Person, sessions, traffic, None, passed)
}

#[test]
fn an_idle_server_is_shut_when_its_log_is_complete() {
    assert_eq!(
        idle(&nobody(), Action::Close, 59),
        "wait 60: nobody is logged in; it shuts at 08:01 UTC, when the log is complete"
    );
    assert_eq!(idle(&nobody(), Action::Close, 60), "shut: nobody is logged in");
}

#[test]
fn an_idle_server_without_a_log_is_shut_when_metrics_have_come() {
    for unknown in [NOT_ASKED, Answer::Unknown("throttled".into())] {
        assert_eq!(
            idle(&unknown, Action::Close, 599),
            "wait 600: nobody seems to be there; metrics can tell at 08:10 UTC"
        );
        assert_eq!(idle(&unknown, Action::Close, 600), "shut: nobody was there while the door was shut to newcomers");
    }
}

#[test]
fn whoever_is_on_an_idle_server_opens_it_again() {
    assert_eq!(idle(&alice(), Action::Close, 1), "reopen: alice has been logged in since 07:52 UTC");
    let left = lines(&[(-480, "CONNECTED"), (3, "DISCONNECTED")]);
    assert_eq!(idle(&left, Action::Close, 90), "reopen: somebody has only just left");
    let left_before = lines(&[(-480, "CONNECTED"), (-3, "DISCONNECTED")]);
    assert_eq!(idle(&left_before, Action::Close, 90), "shut: nobody is logged in");
}

#[test]
fn what_is_not_idle_any_more_is_opened_again() {
    assert_eq!(idle(&nobody(), Action::Keep, 90), "reopen: its files were used 2m ago");
    let unasked = told(Cause::Idle, &nobody(), &traffic(None), None, 90);
    assert_eq!(unasked, "reopen: it is not known whether it is idle");
}

#[test]
fn what_a_person_asks_for_is_done_at_once_where_nobody_is_logged_in() {
    assert!(person(&nobody(), &traffic(None), 59).starts_with("wait 60: "));
    assert_eq!(person(&nobody(), &traffic(None), 60), "shut: nobody is logged in");
    let interrupted = told(Cause::Interruption, &nobody(), &traffic(None), Some(Action::Keep), 60);
    assert_eq!(interrupted, "shut: nobody is logged in");
}

#[test]
fn a_session_of_which_only_the_metrics_tell_is_waited_for() {
    let left = lines(&[(-480, "CONNECTED"), (-300, "DISCONNECTED")]);
    assert_eq!(person(&left, &traffic(Some(300)), 60), "shut: nobody is logged in", "the log tells of it");
    for silent in [&left, &nobody()] {
        let waits = person(silent, &traffic(Some(301)), 60);
        assert_eq!(waits, "wait 600: nobody seems to be logged in; it shuts at 08:10 UTC at the latest");
        assert_eq!(person(silent, &traffic(Some(301)), 600), "shut: nobody is logged in");
    }
    assert!(
        person(&nobody(), &traffic(Some(-200)), 60).starts_with("wait 400: "),
        "the next datapoint would have come"
    );
    assert!(person(&nobody(), &Answer::Unknown("throttled".into()), 60).starts_with("wait 600: "));
}

#[test]
fn whoever_is_logged_in_is_waited_for_until_drain_for_is_over() {
    assert_eq!(
        person(&alice(), &traffic(None), 120),
        "wait 600: alice has been logged in since 07:52 UTC; it shuts at 08:10 UTC at the latest"
    );
    assert_eq!(
        person(&alice(), &traffic(None), 600),
        "shut: alice has been logged in since 07:52 UTC, but drain_for of 10m is over"
    );
}

#[test]
fn an_order_gives_its_time_also_to_whoever_is_on_a_server_that_drains_already() {
    let (sessions, traffic) = (alice(), traffic(None));
    let facts = |asked_at| Facts {
        cause: Cause::Person,
        since: at(0),
        asked_at,
        drain_for: SignedDuration::from_mins(10),
        period: PERIOD,
        sessions: &sessions,
        traffic: &traffic,
        idle: None,
    };
    assert!(!is_shut(&decide(&facts(Some(at(540))), at(1_139))));
    assert!(is_shut(&decide(&facts(Some(at(540))), at(1_140))));
    assert!(is_shut(&decide(&facts(Some(at(-540))), at(600))), "an order that it drains for");
}

#[test]
fn without_a_log_metrics_tell_a_person_s_server() {
    let silent = traffic(Some(300));
    assert_eq!(
        person(&NOT_ASKED, &silent, 599),
        "wait 600: metrics can tell at 08:10 UTC whether anybody is logged in"
    );
    assert_eq!(person(&NOT_ASKED, &silent, 600), "shut: no session shows in its metrics any more");
    assert_eq!(
        person(&NOT_ASKED, &traffic(Some(301)), 599),
        "wait 600: a session shows in its metrics; it shuts at 08:10 UTC at the latest"
    );
    assert_eq!(
        person(&NOT_ASKED, &Answer::Unknown("throttled".into()), 600),
        "shut: it is not known whether anybody is logged in, and drain_for of 10m is over"
    );
}

#[test]
fn metrics_that_come_after_drain_for_are_not_waited_for() {
    let (sessions, traffic) = (NOT_ASKED, traffic(None));
    let drain_for = SignedDuration::from_secs(30);
    let facts = Facts {
        cause: Cause::Person,
        since: at(0),
        asked_at: None,
        drain_for,
        period: PERIOD,
        sessions: &sessions,
        traffic: &traffic,
        idle: None,
    };
    let Verdict::Shut { reason } = decide(&facts, at(30)) else { panic!("it waits") };
    assert!(reason.starts_with("it is not known"), "{reason}");
}

#[derive(Clone, Debug)]
struct Case {
    cause: Cause,
    drain_for: SignedDuration,
    period: SignedDuration,
    sessions: Answer<Presence>,
    traffic: Answer<Traffic>,
    idle: Option<Decision>,
}

impl Case {
    fn facts(&self) -> Facts<'_> {
        Facts {
            cause: self.cause,
            since: at(0),
            asked_at: None,
            drain_for: self.drain_for,
            period: self.period,
            sessions: &self.sessions,
            traffic: &self.traffic,
            idle: self.idle.as_ref(),
        }
    }
}

fn any_sessions() -> impl Strategy<Value = Answer<Presence>> {
    let line = (-1_000i64..1_000, prop::sample::select(vec!["CONNECTED", "DISCONNECTED", "OPEN", "CLOSE"]));
    prop_oneof![
        Just(NOT_ASKED),
        Just(Answer::Unknown("throttled".into())),
        Just(nobody()),
        Just(alice()),
        prop::collection::vec(line, 0..4).prop_map(|all| lines(&all)),
    ]
}

fn any_traffic() -> impl Strategy<Value = Answer<Traffic>> {
    let known = prop::option::of(-1_000i64..5_000).prop_map(traffic);
    prop_oneof![Just(Answer::NotAsked), Just(Answer::Unknown("throttled".into())), known]
}

prop_compose! {
    fn any_case()(
        cause in prop::sample::select(vec![Cause::Idle, Cause::Person, Cause::Interruption]),
        drain_for in prop_oneof![0i64..30, 0i64..3_000], period in 1i64..1_000, sessions in any_sessions(), traffic in any_traffic(),
        idle in prop::option::of(prop::sample::select(vec![Action::Keep, Action::Close])),
    ) -> Case {
        let (drain_for, period) = (SignedDuration::from_secs(drain_for), SignedDuration::from_secs(period));
        Case { cause, drain_for, period, sessions, traffic, idle: idle.map(decision) }
    }
}

fn is_shut(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Shut { .. })
}

fn is_reopened(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Reopen { .. })
}

fn far() -> impl Strategy<Value = SignedDuration> {
    prop::sample::select(vec![SignedDuration::MIN, SignedDuration::ZERO, SignedDuration::MAX])
}

proptest! {
    #[test]
    fn every_verdict_has_a_reason_and_a_wait_an_end(case in any_case(), now in -1_000i64..5_000) {
        match decide(&case.facts(), at(now)) {
            Verdict::Wait { reason, until } => {
                prop_assert!(!reason.is_empty() && until > at(now));
                prop_assert!(is_shut(&decide(&case.facts(), until)), "time alone ends a wait");
            }
            Verdict::Shut { reason } | Verdict::Reopen { reason } => prop_assert!(!reason.is_empty()),
        }
    }

    #[test]
    fn no_time_is_too_far(case in any_case(), drain_for in far(), period in far(), now in prop::bool::ANY) {
        let case = Case { drain_for, period, ..case };
        let edge = if now { Timestamp::MAX } else { Timestamp::MIN };
        for verdict in [decide(&case.facts(), edge), decide(&Facts { since: edge, ..case.facts() }, at(0))] {
            let (Verdict::Wait { reason, .. } | Verdict::Shut { reason } | Verdict::Reopen { reason }) = verdict;
            prop_assert!(!reason.is_empty());
        }
    }

    #[test]
    fn shut_stays_shut(case in any_case(), now in -1_000i64..5_000, later in 0i64..5_000) {
        if is_shut(&decide(&case.facts(), at(now))) {
            prop_assert!(is_shut(&decide(&case.facts(), at(now + later))));
        }
    }

    #[test]
    fn an_idle_server_is_never_shut_while_a_session_is_known_to_be_open(case in any_case(), now in -1_000i64..50_000) {
        let case = Case { cause: Cause::Idle, sessions: alice(), ..case };
        prop_assert!(is_reopened(&decide(&case.facts(), at(now))));
    }

    #[test]
    fn a_person_s_drain_ends_when_drain_for_is_over(case in any_case(), late in prop_oneof![Just(0), 0i64..5_000]) {
        prop_assume!(case.cause != Cause::Idle);
        let end = at(late) + case.drain_for;
        prop_assert!(is_shut(&decide(&case.facts(), end)));
    }

    #[test]
    fn what_a_person_asks_for_is_never_undone(case in any_case(), now in -1_000i64..5_000) {
        prop_assume!(case.cause != Cause::Idle);
        prop_assert!(!is_reopened(&decide(&case.facts(), at(now))));
    }
}
