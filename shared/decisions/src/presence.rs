//! Who is on a server, from the structured log of its sessions.
//!
//! Transfer Family writes CONNECTED and DISCONNECTED for a session, and OPEN and CLOSE or PARTIAL_CLOSE for a file. The
//! lines come in any order, late, and sometimes twice; only CONNECTED names the user. A session is open until its end
//! is known, also if its beginning is older than the lines that were read.
//! <https://docs.aws.amazon.com/transfer/latest/userguide/cw-structure-logs.html>

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::Value;

/// So many people are named in a sentence; the others are counted.
const NAMED: usize = 3;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// Its text, which is JSON.
    pub message: String,
}

/// Who is on a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// The open sessions, the oldest first.
    pub sessions: Vec<Session>,
    /// The files that are open in them, the one that was opened first first.
    pub open_files: Vec<OpenFile>,
    last_sign: Option<Timestamp>,
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// When it began, or its first line if its beginning was not read.
    pub since: Timestamp,
    /// Transfer Family's id.
    pub id: String,
    /// Who, if its beginning was read.
    pub user: Option<String>,
}

/// A file that is being read or written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenFile {
    /// When it was opened.
    pub since: Timestamp,
    /// The id of its session.
    pub session: String,
    /// Who, if the session's beginning was read.
    pub user: Option<String>,
    /// Its path on the file system.
    pub path: String,
}

/// What a line says. At one moment, a file is opened before it is closed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Activity {
    Connected(Option<String>),
    Open(Option<String>),
    Close(Option<String>),
    Disconnected,
}

/// The lines of one session, in order and each once.
type Course = BTreeSet<(Timestamp, Activity)>;

impl Presence {
    /// Who is there according to `lines`. What is no line about a session is ignored.
    #[must_use]
    pub fn read(lines: &[LogLine]) -> Self {
        let mut courses: BTreeMap<String, Course> = BTreeMap::new();
        for (session, at, activity) in lines.iter().filter_map(read) {
            courses.entry(session).or_default().insert((at, activity));
        }
        let last_sign = courses.values().filter_map(BTreeSet::last).map(|(at, _)| *at).max();
        courses.retain(|_, course| !course.iter().any(|(_, activity)| *activity == Activity::Disconnected));
        let mut open_files: Vec<OpenFile> = courses.iter().flat_map(|(id, course)| files(id, course)).collect();
        let mut sessions: Vec<Session> = courses.into_iter().filter_map(|(id, course)| session(id, &course)).collect();
        sessions.sort();
        open_files.sort();
        Self { sessions, open_files, last_sign }
    }

    /// The time of the latest line about a session, also of one that has ended.
    #[must_use]
    pub fn last_sign(&self) -> Option<Timestamp> {
        self.last_sign
    }

    /// Who is there, in a clause for people: `alice has been logged in since 14:02 UTC, bob since 14:05 UTC`. `None` if
    /// nobody is. Times of another day than `now` bear their date.
    #[must_use]
    pub fn describe(&self, now: Timestamp) -> Option<String> {
        let mut people: Vec<(&str, Timestamp)> = Vec::new();
        for session in &self.sessions {
            let name = session.user.as_deref().unwrap_or("somebody");
            if session.user.is_none() || people.iter().all(|(other, _)| *other != name) {
                people.push((name, session.since));
            }
        }
        let (first, since) = *people.first()?;
        let mut clause = format!("{first} has been logged in since {}", clock(since, now));
        for (name, since) in people.iter().skip(1).take(NAMED - 1) {
            clause += &format!(", {name} since {}", clock(*since, now));
        }
        match people.len().saturating_sub(NAMED) {
            0 => {}
            1 => clause += ", and 1 other",
            others => clause += &format!(", and {others} others"),
        }
        match self.open_files.len() {
            0 => {}
            1 => clause += " (1 file is open)",
            files => clause += &format!(" ({files} files are open)"),
        }
        Some(clause)
    }
}

/// A time for people, to the minute; with its date if it is not on the day of `now`.
pub(crate) fn clock(at: Timestamp, now: Timestamp) -> String {
    let is_today = at.strftime("%F").to_string() == now.strftime("%F").to_string();
    at.strftime(if is_today { "%H:%M UTC" } else { "%F %H:%M UTC" }).to_string()
}

fn read(line: &LogLine) -> Option<(String, Timestamp, Activity)> {
    let message: Value = serde_json::from_str(&line.message).ok()?;
    let session = text(&message["session-id"])?;
    let activity = match message["activity-type"].as_str()? {
        "CONNECTED" => Activity::Connected(text(&message["user"])),
        "DISCONNECTED" => Activity::Disconnected,
        "OPEN" => Activity::Open(text(&message["path"])),
        "CLOSE" | "PARTIAL_CLOSE" => Activity::Close(text(&message["path"])),
        _ => return None,
    };
    Some((session, line.at, activity))
}

/// A text that is not empty; a number is taken as one.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn session(id: String, course: &Course) -> Option<Session> {
    let connected = course.iter().find(|(_, activity)| matches!(activity, Activity::Connected(_)));
    let (since, _) = connected.or(course.first())?;
    Some(Session { since: *since, id, user: user(course) })
}

fn user(course: &Course) -> Option<String> {
    course.iter().find_map(|(_, activity)| match activity {
        Activity::Connected(user) => user.clone(),
        _ => None,
    })
}

/// The files that are still open at the end of a session's lines. A client may open one path several times: each close
/// ends the oldest.
fn files(session: &str, course: &Course) -> Vec<OpenFile> {
    let mut open: BTreeMap<&str, VecDeque<Timestamp>> = BTreeMap::new();
    for (at, activity) in course {
        match activity {
            Activity::Open(Some(path)) => open.entry(path).or_default().push_back(*at),
            Activity::Close(Some(path)) => drop(open.get_mut(path.as_str()).and_then(VecDeque::pop_front)),
            _ => {}
        }
    }
    let file = |(path, opened): (&str, VecDeque<Timestamp>)| {
        let since = *opened.front()?;
        Some(OpenFile { since, session: session.to_owned(), user: user(course), path: path.to_owned() })
    };
    open.into_iter().filter_map(file).collect()
}

#[cfg(test)]
mod tests {
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
        assert_eq!(presence.sessions, [Session { since: at(5), id: "2".into(), user: Some("bob".into()) }]);
        assert_eq!(presence.last_sign(), Some(at(9)));
        assert_eq!(Presence::read(&[]).sessions, []);
    }

    #[test]
    fn a_file_is_open_until_it_is_closed_or_its_session_ends() {
        let mut lines = vec![connected(0, "1", "alice"), opened(1, "1", "/a"), opened(2, "1", "/b")];
        lines.push(line(3, "PARTIAL_CLOSE", "1", ("path", "/a")));
        let presence = Presence::read(&lines);
        let file = OpenFile { since: at(2), session: "1".into(), user: Some("alice".into()), path: "/b".into() };
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
            prop_assert_eq!(presence.describe(at(0)).is_none(), presence.sessions.is_empty());
            prop_assert_eq!(presence.last_sign(), lines.iter().filter_map(read).map(|(_, at, _)| at).max());
        }

        #[test]
        fn any_text_is_read(messages in prop::collection::vec(".{0,60}", 0..5)) {
            let lines: Vec<LogLine> = messages.into_iter().map(|message| LogLine { at: at(0), message }).collect();
            prop_assert!(Presence::read(&lines).describe(Timestamp::MAX).is_none());
        }
    }
}
