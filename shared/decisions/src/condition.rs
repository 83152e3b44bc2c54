//! Conditions: what people or alarms should know about a resource, in one form everywhere.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// This version can't read the resource's record.
pub const UNREADABLE_RECORD: &str = "unreadable_record";

/// Another version wrote parts of the resource's record that this one does not know.
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

/// A condition of a server, a user or a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// A code for programs: `address_missing`. A resource has at most one condition of each code.
    pub code: Cow<'static, str>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it, in a sentence; empty if nothing.
    #[serde(default)]
    pub remedy: String,
    /// When it began.
    pub since: Timestamp,
}

/// Returns the conditions `found`; those that also held `before` keep the time when they began. The worst come first,
/// then in the order of codes.
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

/// Merges conditions of the same code into one.
#[must_use]
pub fn grouped(found: impl IntoIterator<Item = Condition>) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = Vec::new();
    for condition in found {
        match conditions.iter_mut().find(|other| other.code == condition.code) {
            Some(same) => same.message = format!("{}; {}", same.message, condition.message),
            None => conditions.push(condition),
        }
    }
    conditions
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
