//! Event patterns, matched as EventBridge does: every field of the pattern must match, a field matches if one of its
//! alternatives does, and an array in the event matches if one of its items does.
//!
//! Alternatives: exact values, `prefix`, `suffix`, `equals-ignore-case` (also inside `prefix` and `suffix`),
//! `wildcard`, `anything-but` (values, or with the former), `numeric`, `exists`, and `$or` over fields.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::wildcard::Wildcard;

/// Why a pattern is none that EventBridge would take.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct PatternError {
    field: String,
    problem: String,
}

/// A pattern, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Fields);

#[derive(Clone, Debug, Default, PartialEq)]
struct Fields {
    fields: Vec<(String, Field)>,
    /// Each `$or`: one of its alternatives must match.
    any_of: Vec<Vec<Fields>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Nested(Fields),
    Alternatives(Vec<Matcher>),
}

#[derive(Clone, Debug, PartialEq)]
enum Matcher {
    Exact(Value),
    Prefix { text: String, ignore_case: bool },
    Suffix { text: String, ignore_case: bool },
    EqualsIgnoreCase(String),
    Wildcard(Wildcard),
    AnythingBut(Vec<Matcher>),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Pattern {
    /// Reads a pattern in EventBridge's JSON form.
    ///
    /// # Errors
    /// If it is not a mapping, is empty, or has an operator that EventBridge doesn't know.
    pub fn parse(pattern: &Value) -> Result<Self, PatternError> {
        parse_fields(pattern, "the pattern").map(Self)
    }

    /// Whether the event, in EventBridge's envelope, matches.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        self.0.matches(Some(event))
    }
}

impl Fields {
    fn matches(&self, value: Option<&Value>) -> bool {
        match value {
            Some(Value::Array(items)) if !items.is_empty() => items.iter().any(|item| self.matches(Some(item))),
            _ => self.matches_object(value.and_then(Value::as_object)),
        }
    }

    fn matches_object(&self, members: Option<&Map<String, Value>>) -> bool {
        let member = |name: &str| members.and_then(|members| members.get(name));
        self.fields.iter().all(|(name, field)| field.matches(member(name)))
            && self.any_of.iter().all(|alternatives| alternatives.iter().any(|fields| fields.matches_object(members)))
    }
}

impl Field {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Nested(fields) => fields.matches(value),
            Self::Alternatives(matchers) => matchers.iter().any(|matcher| matcher.matches_field(value)),
        }
    }
}

impl Matcher {
    fn matches_field(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            // Only leaves exist: EventBridge flattens events, and an object has no value of its own.
            (Self::Exists(wanted), value) => value.is_some_and(|value| !value.is_object()) == *wanted,
            (_, Some(Value::Array(items))) => items.iter().any(|item| self.matches_leaf(item)),
            (_, Some(value)) => self.matches_leaf(value),
            (_, None) => false,
        }
    }

    fn matches_leaf(&self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Exact(expected) => same(expected, value),
            Self::Prefix { text: prefix, ignore_case } => {
                text.is_some_and(|text| fold(text, *ignore_case).starts_with(&fold(prefix, *ignore_case)))
            }
            Self::Suffix { text: suffix, ignore_case } => {
                text.is_some_and(|text| fold(text, *ignore_case).ends_with(&fold(suffix, *ignore_case)))
            }
            Self::EqualsIgnoreCase(expected) => text.is_some_and(|text| fold(text, true) == fold(expected, true)),
            Self::Wildcard(pattern) => text.is_some_and(|text| pattern.matches(text)),
            Self::AnythingBut(matchers) => {
                !value.is_object() && !matchers.iter().any(|matcher| matcher.matches_leaf(value))
            }
            Self::Numeric(bounds) => value
                .as_f64()
                .is_some_and(|number| bounds.iter().all(|(comparison, bound)| comparison.holds(number, *bound))),
            Self::Exists(wanted) => *wanted,
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Equal => (number - bound).abs() < f64::EPSILON,
            Self::GreaterOrEqual => number >= bound,
            Self::Greater => number > bound,
        }
    }
}

fn same(expected: &Value, value: &Value) -> bool {
    match (expected.as_f64(), value.as_f64()) {
        (Some(expected), Some(value)) => Comparison::Equal.holds(value, expected),
        _ => expected == value,
    }
}

fn fold(text: &str, ignore_case: bool) -> String {
    if ignore_case { text.to_lowercase() } else { text.to_owned() }
}

fn error(field: &str, problem: impl Into<String>) -> PatternError {
    PatternError { field: field.to_owned(), problem: problem.into() }
}

fn parse_fields(pattern: &Value, at: &str) -> Result<Fields, PatternError> {
    let members = pattern.as_object().ok_or_else(|| error(at, "must be a mapping of fields"))?;
    if members.is_empty() {
        return Err(error(at, "must name at least one field"));
    }
    let mut fields = Fields::default();
    for (name, value) in members {
        match value {
            Value::Array(alternatives) if name == "$or" && alternatives.iter().all(Value::is_object) => {
                let alternatives = alternatives.iter().map(|fields| parse_fields(fields, name));
                fields.any_of.push(alternatives.collect::<Result<_, _>>()?);
            }
            Value::Array(alternatives) if !alternatives.is_empty() => {
                let matchers = alternatives.iter().map(|alternative| parse_matcher(alternative, name));
                fields.fields.push((name.clone(), Field::Alternatives(matchers.collect::<Result<_, _>>()?)));
            }
            Value::Object(_) => fields.fields.push((name.clone(), Field::Nested(parse_fields(value, name)?))),
            _ => return Err(error(name, "must be a list of alternatives that isn't empty, or a mapping of fields")),
        }
    }
    Ok(fields)
}

fn parse_matcher(value: &Value, field: &str) -> Result<Matcher, PatternError> {
    let Value::Object(members) = value else {
        return if value.is_array() {
            Err(error(field, "a list can't be an alternative"))
        } else {
            Ok(Matcher::Exact(value.clone()))
        };
    };
    let mut operators = members.iter();
    let (Some((operator, argument)), None) = (operators.next(), operators.next()) else {
        return Err(error(field, "an alternative has exactly one operator"));
    };
    let text = || argument.as_str().map(str::to_owned).ok_or_else(|| error(field, format!("{operator} needs a text")));
    match operator.as_str() {
        "prefix" => {
            parse_affix(argument, field, operator).map(|(text, ignore_case)| Matcher::Prefix { text, ignore_case })
        }
        "suffix" => {
            parse_affix(argument, field, operator).map(|(text, ignore_case)| Matcher::Suffix { text, ignore_case })
        }
        "equals-ignore-case" => text().map(Matcher::EqualsIgnoreCase),
        "wildcard" => text().map(|pattern| Matcher::Wildcard(Wildcard::of_event(&pattern))),
        "anything-but" => parse_anything_but(argument, field),
        "numeric" => parse_numeric(argument, field),
        "exists" => argument.as_bool().map(Matcher::Exists).ok_or_else(|| error(field, "exists needs true or false")),
        other => Err(error(field, format!("the local region doesn't know the operator {other}"))),
    }
}

fn parse_affix(argument: &Value, field: &str, operator: &str) -> Result<(String, bool), PatternError> {
    match (argument, argument.get("equals-ignore-case")) {
        (Value::String(text), _) => Ok((text.clone(), false)),
        (_, Some(Value::String(text))) => Ok((text.clone(), true)),
        _ => Err(error(field, format!("{operator} needs a text"))),
    }
}

fn parse_anything_but(argument: &Value, field: &str) -> Result<Matcher, PatternError> {
    let Value::Object(members) = argument else {
        let values = argument.as_array().cloned().unwrap_or_else(|| vec![argument.clone()]);
        let matchers = values.iter().map(|value| parse_matcher(value, field)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Matcher::AnythingBut(matchers));
    };
    let (operator, inner) = members.iter().next().ok_or_else(|| error(field, "anything-but is empty"))?;
    let values = inner.as_array().cloned().unwrap_or_else(|| vec![inner.clone()]);
    let wrap = |value: Value| parse_matcher(&Value::Object(Map::from_iter([(operator.clone(), value)])), field);
    values.into_iter().map(wrap).collect::<Result<Vec<_>, _>>().map(Matcher::AnythingBut)
}

fn parse_numeric(argument: &Value, field: &str) -> Result<Matcher, PatternError> {
    let parts = argument.as_array().filter(|parts| !parts.is_empty() && parts.len() % 2 == 0);
    let parts = parts.ok_or_else(|| error(field, "numeric needs pairs of a comparison and a number"))?;
    let pair = |pair: &[Value]| {
        let comparison = match pair[0].as_str() {
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some("=") => Comparison::Equal,
            Some(">=") => Comparison::GreaterOrEqual,
            Some(">") => Comparison::Greater,
            _ => return Err(error(field, "numeric compares with <, <=, =, >= or >")),
        };
        let bound = pair[1].as_f64().ok_or_else(|| error(field, "numeric needs a number after each comparison"))?;
        Ok((comparison, bound))
    };
    parts.chunks(2).map(pair).collect::<Result<_, _>>().map(Matcher::Numeric)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_match_as_eventbridge_documents() {
        let event = json!({
            "source": "aws.transfer",
            "resources": ["arn:a", "arn:b"],
            "detail": {
                "user-name": "alice", "bytes": 1200, "ratio": 0.5, "ok": true, "none": null, "empty": [],
                "path": "/sites/Blog/index.HTML", "files": [{ "name": "a" }, { "name": "b" }], "nested": { "x": 1 },
            },
        });
        let table = [
            (json!({ "source": ["aws.transfer"] }), true),
            (json!({ "source": ["aws.ecs", "aws.transfer"] }), true),
            (json!({ "source": ["aws.ecs"] }), false),
            (json!({ "resources": ["arn:b"] }), true),
            (json!({ "detail": { "bytes": [1200.0] } }), true),
            (json!({ "detail": { "bytes": ["1200"] } }), false),
            (json!({ "detail": { "ok": [true] } }), true),
            (json!({ "detail": { "none": [null] } }), true),
            (json!({ "detail": { "files": { "name": ["b"] } } }), true),
            (json!({ "detail": { "files": { "name": ["c"] } } }), false),
            (json!({ "detail": { "user-name": [{ "prefix": "al" }] } }), true),
            (json!({ "detail": { "user-name": [{ "prefix": "AL" }] } }), false),
            (json!({ "detail": { "user-name": [{ "prefix": { "equals-ignore-case": "AL" } }] } }), true),
            (json!({ "detail": { "path": [{ "suffix": ".html" }] } }), false),
            (json!({ "detail": { "path": [{ "suffix": { "equals-ignore-case": ".html" } }] } }), true),
            (json!({ "detail": { "user-name": [{ "equals-ignore-case": "ALICE" }] } }), true),
            (json!({ "detail": { "path": [{ "wildcard": "/sites/*/index.*" }] } }), true),
            (json!({ "detail": { "path": [{ "wildcard": "/sites/*.css" }] } }), false),
            (json!({ "detail": { "user-name": [{ "anything-but": "bob" }] } }), true),
            (json!({ "detail": { "user-name": [{ "anything-but": ["bob", "alice"] }] } }), false),
            (json!({ "detail": { "user-name": [{ "anything-but": { "prefix": "al" } }] } }), false),
            (json!({ "detail": { "user-name": [{ "anything-but": { "prefix": ["bo", "ca"] } }] } }), true),
            (json!({ "detail": { "missing": [{ "anything-but": "bob" }] } }), false),
            (json!({ "detail": { "missing": [{ "exists": false }] } }), true),
            (json!({ "detail": { "user-name": [{ "exists": false }] } }), false),
            (json!({ "detail": { "user-name": [{ "exists": true }] } }), true),
            (json!({ "detail": { "nested": [{ "exists": true }] } }), false),
            (json!({ "gone": { "deep": [{ "exists": false }] } }), true),
            (json!({ "detail": { "bytes": [{ "numeric": [">", 1000, "<=", 1200] }] } }), true),
            (json!({ "detail": { "bytes": [{ "numeric": ["<", 1200] }] } }), false),
            (json!({ "detail": { "ratio": [{ "numeric": ["=", 0.5] }] } }), true),
            (json!({ "detail": { "$or": [{ "bytes": [1] }, { "user-name": ["alice"] }] } }), true),
            (json!({ "detail": { "$or": [{ "bytes": [1] }, { "user-name": ["bob"] }] } }), false),
            (json!({ "source": ["aws.transfer"], "detail": { "user-name": ["bob"] } }), false),
        ];
        for (pattern, expected) in table {
            assert_eq!(Pattern::parse(&pattern).unwrap().matches(&event), expected, "{pattern}");
        }
    }

    #[test]
    fn what_eventbridge_refuses_is_refused() {
        for pattern in [
            json!({}),
            json!({ "source": "aws.transfer" }),
            json!({ "source": [] }),
            json!({ "source": [{ "regex": "x" }] }),
            json!({ "source": [{ "numeric": ["~", 1] }] }),
            json!({ "source": [{ "exists": "yes" }] }),
            json!({ "detail": { "a": [["b"]] } }),
        ] {
            assert!(Pattern::parse(&pattern).is_err(), "{pattern}");
        }
    }
}
