use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}
fn line(second: i64, activity: &str, session: &str, (member, value): (&str, &str)) -> LogLine {
    let message = json!({ "activity-type": activity, "session-id": session, member: value });
    LogLine { at: at(second), message: message.to_string() }
}
fn connected(second: i64, session: &str, user: &str) -> LogLine {
    line(second, "CONNECTED", session, ("user", user))
}
fn disconnected(second: i64, session: &str) -> LogLine {
    line(second, "DISCONNECTED", session, ("", ""))
}
fn opened(second: i64, session: &str, path: &str) -> LogLine {
    line(second, "OPEN", session, ("path", path))
}
fn closed(second: i64, session: &str, path: &str) -> LogLine {
    line(second, "CLOSE", session, ("path", path))
}
fn users(presence: &Presence) -> Vec<&str> {
    presence.sessions.iter().map(|session| session.user.as_deref().unwrap_or("?")).collect()
}
fn paths(presence: &Presence) -> Vec<&str> {
    presence.open_files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn whoever_came_and_did_not_go_is_there() {
    let lines = [connected(0, "1", "alice"), connected(5, "2", "bob"), disconnected(9, "1")];
    let presence = Presence::read(&lines);
    let bob = Session { since: at(5), id: "2".into(), user: Some("bob".into()), last_line: at(5) };
    assert_eq!(presence.sessions, [bob]);
    assert_eq!(presence.last_sign(), Some(at(9)));
    assert!(!presence.is_nobody());
    assert!(Presence::read(&[]).is_nobody());
}

#[test]
fn a_file_is_open_until_it_is_closed_or_its_session_ends() {
    let mut lines = vec![connected(0, "1", "alice"), opened(1, "1", "/a"), opened(2, "1", "/b")];
    lines.push(line(3, "PARTIAL_CLOSE", "1", ("path", "/a")));
    let presence = Presence::read(&lines);
    let file =
        OpenFile { since: at(2), session: "1".into(), user: Some("alice".into()), path: "/b".into(), writes: true };
    assert_eq!(presence.open_files, [file]);
    lines.push(disconnected(4, "1"));
    assert_eq!(Presence::read(&lines), Presence { last_sign: Some(at(4)), ..Presence::default() });
}

#[test]
fn a_path_that_is_opened_twice_is_open_until_both_are_closed() {
    let mut lines = vec![opened(1, "1", "/a"), opened(2, "1", "/a"), closed(3, "1", "/a")];
    assert_eq!(Presence::read(&lines).open_files[0].since, at(2));
    lines.push(closed(3, "1", "/a"));
    assert_eq!(paths(&Presence::read(&lines)), ["/a"], "the same line twice is one line");
    lines.push(closed(4, "1", "/a"));
    assert_eq!(paths(&Presence::read(&lines)), [""; 0]);
    lines.extend([opened(5, "1", "/a"), closed(5, "1", "/a")]);
    assert_eq!(paths(&Presence::read(&lines)), [""; 0], "opened and closed within one moment");
}

#[test]
fn a_session_that_began_before_the_first_line_is_open_all_the_same() {
    let presence = Presence::read(&[opened(1, "1", "/a"), closed(2, "1", "/a")]);
    assert_eq!((users(&presence), presence.sessions[0].since), (vec!["?"], at(1)));
}

#[test]
fn what_is_no_line_about_a_session_is_ignored() {
    let other = |message: &str| LogLine { at: at(9), message: message.into() };
    let lines = [
        other("START"),
        other("[]"),
        other(r#"{"activity-type":"CONNECTED"}"#),
        other(r#"{"activity-type":"CONNECTED","session-id":""}"#),
        other(r#"{"activity-type":7,"session-id":"1"}"#),
        line(9, "AUTH_FAILURE", "1", ("user", "mallory")),
        line(9, "SOMETHING_NEW", "1", ("user", "alice")),
    ];
    assert_eq!(Presence::read(&lines), Presence::default());
    let number = other(r#"{"activity-type":"CONNECTED","session-id":17,"user":["alice"]}"#);
    assert_eq!(users(&Presence::read(&[number])), ["?"]);
}

#[test]
fn a_session_whose_end_got_lost_is_over_after_long_silence() {
    let lines = [connected(0, "1", "alice"), opened(1, "1", "/a"), connected(1_000, "2", "bob")];
    let there = |second: i64, traffic: Answer<Traffic>| {
        let left = Presence::read(&lines).without_lapsed(&traffic, at(second));
        (users(&left).join(" "), left.open_files.len())
    };
    let traffic = |end: Option<i64>| Answer::Known(Traffic { last_session: end.map(at), bytes: 0 });
    assert_eq!(there(2_101, traffic(None)), ("bob".into(), 0));
    assert_eq!(there(2_100, traffic(None)), ("alice bob".into(), 1), "its latest line counts");
    assert_eq!(there(2_101, traffic(Some(2))), ("alice bob".into(), 1), "a session shows in the metrics");
    assert_eq!(there(2_101, traffic(Some(1))), ("bob".into(), 0));
    for unknown in [Answer::NotAsked, Answer::Unknown("throttled".into())] {
        assert_eq!(there(9_999, unknown), ("alice bob".into(), 1));
    }
    assert!(Presence::read(&lines).has_silent_session(at(2_101)));
    assert!(!Presence::read(&lines).has_silent_session(at(2_100)));
}

#[test]
fn people_are_named_and_many_are_counted() {
    let told = |lines: &[LogLine]| Presence::read(lines).describe(at(0)).unwrap_or_default();
    assert_eq!(told(&[]), "");
    let mut lines = vec![connected(0, "1", "alice"), connected(60, "2", "bob"), connected(90, "3", "alice")];
    assert_eq!(told(&lines), "alice has been logged in since 08:00 UTC, bob since 08:01 UTC");
    lines.extend([opened(99, "1", "/a"), connected(100, "4", "carol"), connected(101, "5", "dora")]);
    assert_eq!(
        told(&lines),
        "alice has been logged in since 08:00 UTC, bob since 08:01 UTC, carol since 08:01 UTC, and 1 other (1 file \
         is open)"
    );
    let yesterday = told(&[connected(-86_400, "1", "alice")]);
    assert_eq!(yesterday, "alice has been logged in since 2027-01-14 08:00 UTC");
    assert_eq!(told(&[opened(0, "1", "/a")]), "somebody has been logged in since 08:00 UTC (1 file is open)");
}

prop_compose! {
    fn any_line()(
        second in 0i64..60, session in 0u8..4, kind in 0usize..8, path in 0u8..3, text in ".{0,12}",
    ) -> LogLine {
        let session = session.to_string();
        let path = format!("/{path}");
        match kind {
            0 => connected(second, &session, "alice"),
            1 => connected(second, &session, &text),
            2 => disconnected(second, &session),
            3 => opened(second, &session, &path),
            4 => closed(second, &session, &path),
            5 => line(second, "PARTIAL_CLOSE", &session, ("path", &path)),
            6 => line(second, &text, &session, ("user", "alice")),
            _ => LogLine { at: at(second), message: text },
        }
    }
}

proptest! {
    #[test]
    fn neither_order_nor_doubles_matter(
        lines in prop::collection::vec(any_line(), 0..40),
        order in any::<prop::sample::Index>(), again in any::<prop::sample::Index>(),
    ) {
        let first = Presence::read(&lines);
        let mut other = lines.clone();
        other.reverse();
        other.rotate_left(order.index(lines.len().max(1)));
        other.extend(lines.iter().skip(again.index(lines.len().max(1))).cloned());
        prop_assert_eq!(Presence::read(&other), first);
    }

    #[test]
    fn who_is_there_came_and_did_not_go(lines in prop::collection::vec(any_line(), 0..40)) {
        let presence = Presence::read(&lines);
        let gone = |id: &str| lines.iter().filter_map(read).any(|(session, _, activity)| session == id && activity == Activity::Disconnected);
        for (id, _, activity) in lines.iter().filter_map(read) {
            let is_there = presence.sessions.iter().any(|session| session.id == id);
            prop_assert_eq!(is_there, !gone(&id), "{} {:?}", id, activity);
        }
        for file in &presence.open_files {
            prop_assert!(presence.sessions.iter().any(|session| session.id == file.session && session.user == file.user));
        }
        prop_assert_eq!(presence.describe(at(0)).is_none(), presence.is_nobody());
        prop_assert_eq!(presence.last_sign(), lines.iter().filter_map(read).map(|(_, at, _)| at).max());
    }

    #[test]
    fn any_text_is_read(messages in prop::collection::vec(".{0,60}", 0..5)) {
        let lines: Vec<LogLine> = messages.into_iter().map(|message| LogLine { at: at(0), message }).collect();
        prop_assert!(Presence::read(&lines).describe(Timestamp::MAX).is_none());
    }
}

#[test]
fn an_upload_to_a_site_is_a_file_of_it_that_is_being_written() {
    let spec = json!({"file_system_id": "fs-0a1b2c3d", "directory": "/sites/blog", "cluster": "local", "service": "web",
        "container": "web", "mount_path": "/srv", "finish": {"ignore": ["*.tmp"]}});
    let spec: SiteSpec = serde_json::from_value(spec).unwrap();
    let open = |second: i64, path: &str, mode: &str| {
        let message = json!({"activity-type": "OPEN", "session-id": "1", "path": path, "mode": mode});
        LogLine { at: at(second), message: message.to_string() }
    };
    let uploads =
        |lines: &[LogLine]| Presence::read(lines).uploads_to(&spec).map(|file| file.path.clone()).collect::<Vec<_>>();
    let lines = [
        open(1, "/fs-0a1b2c3d/sites/blog/a", "CREATE|TRUNCATE|WRITE"),
        open(2, "/fs-0a1b2c3d/sites/blog/b", "READ"),
        open(3, "/fs-0a1b2c3d/sites/blog/c.tmp", "CREATE|TRUNCATE|WRITE"),
        open(4, "/fs-0a1b2c3d/sites/shop/d", "CREATE|TRUNCATE|WRITE"),
        open(5, "/fs-11111111/sites/blog/e", "CREATE|TRUNCATE|WRITE"),
        opened(6, "1", "/fs-0a1b2c3d/sites/blog/f"),
    ];
    assert_eq!(uploads(&lines), ["/fs-0a1b2c3d/sites/blog/a", "/fs-0a1b2c3d/sites/blog/f"]);
    let closed = [&lines[..1], &[closed(7, "1", "/fs-0a1b2c3d/sites/blog/a")]].concat();
    assert_eq!(uploads(&closed), [""; 0]);
}
