//! A condition: something that holds of a thing and that a person or an alarm should know, in one form everywhere.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The table's item of a thing is of a form that this version does not know.
pub const UNREADABLE_RECORD: &str = "unreadable_record";

/// Parts of the table's item of a thing were written by another version and mean nothing to this one.
pub const UNKNOWN_PARTS: &str = "unknown_parts";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; nothing to do.
    Info,
    /// It works, but not as it should.
    Warning,
    /// Something that was asked for does not work.
    Error,
}

/// Something that holds of a server, a user or a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What it is, for programs: `address_missing`. One code holds at most once of a thing.
    pub code: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// What is the case, in a sentence.
    pub message: String,
    /// What to do about it, in a sentence; empty: nothing.
    #[serde(default)]
    pub remedy: String,
    /// Since when it has held without a break.
    pub since: Timestamp,
}

/// The conditions that hold now: those `found`, the ones that held `before` with the time since when they have.
/// The worst comes first, then the order of codes.
#[must_use]
pub fn carry_on(before: &[Condition], found: Vec<Condition>) -> Vec<Condition> {
    let mut held: Vec<Condition> = Vec::with_capacity(found.len());
    for mut condition in found {
        if held.iter().any(|other| other.code == condition.code) {
            continue;
        }
        if let Some(same) = before.iter().find(|other| other.code == condition.code) {
            condition.since = condition.since.min(same.since);
        }
        held.push(condition);
    }
    held.sort_by(|one, other| other.severity.cmp(&one.severity).then_with(|| one.code.cmp(&other.code)));
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(code: &'static str, severity: Severity, second: i64) -> Condition {
        let since = Timestamp::from_second(second).unwrap();
        Condition { code: code.into(), severity, message: "so it is".into(), remedy: String::new(), since }
    }

    #[test]
    fn a_condition_that_goes_on_keeps_its_time() {
        let before =
            [condition("address_missing", Severity::Error, 5), condition("users_refused", Severity::Warning, 5)];
        let now = carry_on(&before, vec![condition("address_missing", Severity::Error, 9)]);
        assert_eq!(now, [condition("address_missing", Severity::Error, 5)]);
        let again = carry_on(&now, vec![condition("users_refused", Severity::Warning, 12)]);
        assert_eq!(again, [condition("users_refused", Severity::Warning, 12)], "one that comes back begins anew");
    }

    #[test]
    fn the_worst_comes_first_and_a_code_once() {
        let found = vec![
            condition("b", Severity::Warning, 1),
            condition("a", Severity::Warning, 1),
            condition("c", Severity::Error, 1),
            condition("c", Severity::Error, 2),
        ];
        let codes: Vec<_> = carry_on(&[], found).into_iter().map(|condition| condition.code).collect();
        assert_eq!(codes, ["c", "a", "b"]);
    }
}
