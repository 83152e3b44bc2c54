use proptest::prelude::*;

use super::*;
use crate::{duration::HumanDuration, ids::FileSystemId, names::SiteName, server::IdleAction};

const PERIOD: SignedDuration = SignedDuration::from_secs(300);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn policy(seconds: u32) -> IdlePolicy {
    IdlePolicy { after: HumanDuration::from_secs(seconds), action: IdleAction::Stop }
}
/// Online since second 0, and nobody came.
fn quiet() -> Signs {
    Signs {
        phase: ServerPhase::Online,
        online_since: Some(at(0)),
        asked_at: None,
        traffic: Answer::Known(Traffic::default()),
        last_event: Answer::Known(None),
        sites: Answer::Known(Vec::new()),
    }
}
fn session(until: i64, bytes: u64) -> Answer<Traffic> {
    Answer::Known(Traffic { last_session: Some(at(until)), bytes })
}
fn site(last_change: Option<i64>) -> SiteSign {
    SiteSign {
        site: SiteName::parse("blog").unwrap(),
        file_system_id: FileSystemId::parse("fs-0a1b2c3d").unwrap(),
        last_change: last_change.map(at),
        window_open: false,
        rollout_in_flight: false,
    }
}
fn told(policy: &IdlePolicy, signs: &Signs, now: i64) -> String {
    decide(Some(policy), PERIOD, signs, at(now)).to_string()
}

#[test]
fn a_server_where_nobody_was_is_closed() {
    assert_eq!(told(&policy(1800), &quiet(), 2520), "close: nobody was here for 42m");
}

#[test]
fn an_open_session_keeps_the_server_online_also_when_nothing_moves() {
    let signs = Signs { traffic: session(9760, 0), ..quiet() };
    assert_eq!(told(&policy(1800), &signs, 10_000), "keep: a session was open 4m ago");
    let signs = Signs { traffic: session(9760, 3_140_000), ..quiet() };
    assert_eq!(
        told(&policy(1800), &signs, 10_000),
        "keep: 3.1 MB moved in the last 30m, in a session that was open 4m ago"
    );
}

#[test]
fn a_server_gets_its_time_after_a_start() {
    assert_eq!(told(&policy(1800), &quiet(), 180), "keep: online for only 3m, idle.after is 30m");
    let signs = Signs { asked_at: Some(at(9000)), ..quiet() };
    assert_eq!(told(&policy(1800), &signs, 9300), "keep: a person asked for it 5m ago");
}

#[test]
fn a_short_policy_waits_until_metrics_can_tell() {
    assert_eq!(told(&policy(10), &quiet(), 300), "keep: online for only 5m, three metric periods are 15m");
    assert_eq!(told(&policy(10), &quiet(), 900), "close: nobody was here for 15m");
}

#[test]
fn a_question_without_an_answer_is_not_idle() {
    for signs in [
        Signs { traffic: Answer::Unknown("throttled".into()), ..quiet() },
        Signs { last_event: Answer::Unknown("throttled".into()), ..quiet() },
        Signs { sites: Answer::Unknown("throttled".into()), ..quiet() },
        Signs { sites: Answer::NotAsked, ..quiet() },
        Signs { online_since: None, ..quiet() },
    ] {
        assert!(told(&policy(10), &signs, 100_000).contains("not known"));
    }
}

#[test]
fn a_window_or_a_rollout_keeps_it() {
    let signs = |site| Signs { sites: Answer::Known(vec![site]), ..quiet() };
    let open = SiteSign { window_open: true, ..site(None) };
    assert_eq!(told(&policy(10), &signs(open), 9000), "keep: site blog has uploads waiting for their rollout");
    let rolling = SiteSign { rollout_in_flight: true, ..site(None) };
    assert_eq!(told(&policy(10), &signs(rolling), 9000), "keep: site blog is being rolled out");
    assert_eq!(told(&policy(1800), &signs(site(Some(8400))), 9000), "keep: site blog was changed 10m ago");
}

#[test]
fn only_an_online_server_with_a_policy_is_closed() {
    assert_eq!(decide(None, PERIOD, &quiet(), at(90_000)).to_string(), "keep: it has no idle policy");
    for phase in [ServerPhase::Starting, ServerPhase::Stopping, ServerPhase::Stopped, ServerPhase::Failed] {
        assert_eq!(told(&policy(10), &Signs { phase, ..quiet() }, 90_000), "keep: it is not online");
    }
}

#[test]
fn sizes_read_well() {
    for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_140_000, "3.1 MB"), (999_999, "999.9 kB")] {
        assert_eq!(size(bytes), text);
    }
    assert!(size(u64::MAX).ends_with(" PB"));
}

prop_compose! {
    fn any_signs()(
        online in prop::bool::weighted(0.9), since in prop::option::weighted(0.9, -50_000i64..50_000),
        asked in prop::option::of(-50_000i64..50_000), session in prop::option::of(-50_000i64..50_000), bytes in any::<u64>(),
        event in prop::option::of(-50_000i64..50_000), failed in prop::bool::weighted(0.1),
        site_change in prop::option::of(-50_000i64..50_000), window_open in prop::bool::weighted(0.1), rollout in prop::bool::weighted(0.1),
    ) -> Signs {
        Signs {
            phase: if online { ServerPhase::Online } else { ServerPhase::Stopped },
            online_since: since.map(at),
            asked_at: asked.map(at),
            traffic: if failed { Answer::Unknown("no answer".into()) } else { Answer::Known(Traffic { last_session: session.map(at), bytes }) },
            last_event: Answer::Known(event.map(at)),
            sites: Answer::Known(vec![SiteSign { window_open, rollout_in_flight: rollout, ..site(site_change) }]),
        }
    }
}

proptest! {
    #[test]
    fn close_stays_close_while_nobody_comes(signs in any_signs(), after in 1u32..90_000, now in 0i64..100_000, later in 0i64..100_000) {
        let first = decide(Some(&policy(after)), PERIOD, &signs, at(now));
        prop_assert_eq!(&first, &decide(Some(&policy(after)), PERIOD, &signs, at(now)));
        prop_assert!(!first.reason.is_empty());
        if first.action == Action::Close {
            prop_assert_eq!(decide(Some(&policy(after)), PERIOD, &signs, at(now + later)).action, Action::Close);
        }
    }

    #[test]
    fn a_longer_policy_closes_no_earlier(signs in any_signs(), after in 1u32..90_000, more in 0u32..90_000, now in 0i64..100_000) {
        if decide(Some(&policy(after)), PERIOD, &signs, at(now)).action == Action::Keep {
            prop_assert_eq!(decide(Some(&policy(after + more)), PERIOD, &signs, at(now)).action, Action::Keep);
        }
    }

    #[test]
    fn more_signs_of_use_never_turn_keep_into_close(signs in any_signs(), after in 1u32..90_000, now in 0i64..100_000, sign in -50_000i64..50_000, which in 0..4) {
        let mut more = signs.clone();
        match which {
            0 => {
                if let Answer::Known(event) = &mut more.last_event {
                    *event = (*event).max(Some(at(sign)));
                }
            }
            1 => more.asked_at = more.asked_at.max(Some(at(sign))),
            2 => {
                if let Answer::Known(traffic) = &mut more.traffic {
                    traffic.last_session = traffic.last_session.max(Some(at(sign)));
                }
            }
            _ => more.sites = Answer::Unknown("no answer".into()),
        }
        if decide(Some(&policy(after)), PERIOD, &signs, at(now)).action == Action::Keep {
            prop_assert_eq!(decide(Some(&policy(after)), PERIOD, &more, at(now)).action, Action::Keep);
        }
    }

    #[test]
    fn a_session_within_the_window_keeps_it(signs in any_signs(), after in 1u32..90_000, now in 0i64..100_000, passed in 0i64..90_000) {
        let passed = passed.min(i64::from(after.max(900)) - 1);
        let signs = Signs { traffic: session(now - passed, 0), ..signs };
        prop_assert_eq!(decide(Some(&policy(after)), PERIOD, &signs, at(now)).action, Action::Keep);
    }
}
