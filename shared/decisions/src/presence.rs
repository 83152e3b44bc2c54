//! Who is on a server, from the structured log of its sessions.
//!
//! Transfer Family writes CONNECTED and DISCONNECTED for a session, and OPEN and CLOSE or PARTIAL_CLOSE for a file. The
//! lines come in any order, late, and sometimes twice; only CONNECTED names the user. A session is open until its end
//! is known, also if its beginning is older than the lines that were read. An end whose line got lost is known from long
//! silence.
//! <https://docs.aws.amazon.com/transfer/latest/userguide/cw-structure-logs.html>

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    directory::split_event_path,
    idle::{Answer, Traffic},
    site::SiteSpec,
};

/// So many people are named in a sentence; the others are counted.
const NAMED: usize = 3;

/// After so long without a line, and without a trace in the metrics, a session is over. AWS ends one that does nothing
/// after 30 minutes, and one whose client does not answer after 5. A long upload writes no line before its end, but shows
/// in the metrics, which are complete a period of 5 minutes later.
/// <https://docs.aws.amazon.com/transfer/latest/userguide/transfer-file.html>
pub const LAPSES_AFTER: SignedDuration = SignedDuration::from_mins(35);

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
    /// Its latest line.
    pub last_line: Timestamp,
}

impl Session {
    fn is_silent(&self, now: Timestamp) -> bool {
        now.duration_since(self.last_line) >= LAPSES_AFTER
    }
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
    /// It is being written, as far as is known.
    pub writes: bool,
}

/// What a line says. At one moment, a file is opened before it is closed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Activity {
    Connected(Option<String>),
    Open(Option<String>, bool),
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

    /// Whether a session is open that has written nothing for so long that it may be over.
    #[must_use]
    pub fn has_silent_session(&self, now: Timestamp) -> bool {
        self.sessions.iter().any(|session| session.is_silent(now))
    }

    /// Who is there if the silent sessions are over. They are not while `traffic`, of the last [`LAPSES_AFTER`] or longer,
    /// shows a session or is not known.
    #[must_use]
    pub fn without_lapsed(mut self, traffic: &Answer<Traffic>, now: Timestamp) -> Self {
        let Answer::Known(traffic) = traffic else { return self };
        if traffic.last_session.is_some_and(|end| now.duration_since(end) < LAPSES_AFTER) {
            return self;
        }
        let lapsed: BTreeSet<String> =
            self.sessions.iter().filter(|session| session.is_silent(now)).map(|session| session.id.clone()).collect();
        self.sessions.retain(|session| !lapsed.contains(&session.id));
        self.open_files.retain(|file| !lapsed.contains(&file.session));
        self
    }

    /// The files of the site `spec` that are being uploaded.
    pub fn uploads_to<'a>(&'a self, spec: &'a SiteSpec) -> impl Iterator<Item = &'a OpenFile> {
        let is_of_it = |file: &&OpenFile| {
            split_event_path(&file.path).is_some_and(|(file_system, path)| {
                let is_there = file_system == spec.file_system_id && spec.directory.contains(path);
                is_there && !spec.finish.ignores(path.strip_prefix(spec.directory.as_str()).unwrap_or(path))
            })
        };
        self.open_files.iter().filter(|file| file.writes).filter(is_of_it)
    }

    /// The time of the latest line about a session, also of one that has ended.
    #[must_use]
    pub fn last_sign(&self) -> Option<Timestamp> {
        self.last_sign
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.sessions.is_empty()
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
        "OPEN" => {
            Activity::Open(text(&message["path"]), message["mode"].as_str().is_none_or(|it| it.contains("WRITE")))
        }
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
    let (last_line, _) = course.last()?;
    Some(Session { since: *since, id, user: user(course), last_line: *last_line })
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
    let mut open: BTreeMap<&str, VecDeque<(Timestamp, bool)>> = BTreeMap::new();
    for (at, activity) in course {
        match activity {
            Activity::Open(Some(path), writes) => open.entry(path).or_default().push_back((*at, *writes)),
            Activity::Close(Some(path)) => drop(open.get_mut(path.as_str()).and_then(VecDeque::pop_front)),
            _ => {}
        }
    }
    let file = |(path, opened): (&str, VecDeque<(Timestamp, bool)>)| {
        let (since, _) = *opened.front()?;
        let writes = opened.iter().any(|(_, writes)| *writes);
        Some(OpenFile { since, session: session.to_owned(), user: user(course), path: path.to_owned(), writes })
    };
    open.into_iter().filter_map(file).collect()
}

#[cfg(test)]
mod tests;
