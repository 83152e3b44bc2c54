//! Conditions of policy statements: an operator, a key of the request's context, and the values it is compared with.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    pattern::{matches, matches_arn},
    request::Request,
};
use crate::input::plain_text;

/// The condition keys that [`super::requirements`] fill where AWS fills them; those that end in `/` are followed by a
/// tag's key.
const KEYS: [&str; 18] = [
    "aws:requestedregion",
    "aws:requesttag/",
    "aws:resourceaccount",
    "aws:resourcetag/",
    "aws:tagkeys",
    "cloudwatch:namespace",
    "ec2:resourcetag/",
    "ec2:vpceservicename",
    "ecs:cluster",
    "ecs:createaction",
    "ecs:resourcetag/",
    "ecs:task-definition",
    "iam:passedtoservice",
    "secretsmanager:name",
    "secretsmanager:resourcetag/",
    "transfer:requestserverdomain",
    "transfer:requestserverendpointtype",
    "transfer:requestserverprotocols",
];

/// Keys that hold several values, which only `ForAllValues` and `ForAnyValue` compare as AWS documents it.
const SETS: [&str; 2] = ["aws:tagkeys", "transfer:requestserverprotocols"];

/// One condition of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    operator: Operator,
    set: Option<Set>,
    if_exists: bool,
    /// In lower case: keys don't count case.
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is(Comparison),
    IsNot(Comparison),
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    Arn,
    NumberEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Reads the `Condition` of a statement.
///
/// # Errors
/// When it has an operator, a key or a value that can't be evaluated here.
pub fn read(block: &Value) -> Result<Vec<Condition>, String> {
    let block = block.as_object().ok_or("Condition must be a mapping")?;
    let mut conditions = Vec::new();
    for (operator, keys) in block {
        let keys = keys.as_object().ok_or_else(|| format!("Condition {operator} must be a mapping"))?;
        for (key, values) in keys {
            conditions.push(Condition::read(operator, key, values)?);
        }
    }
    Ok(conditions)
}

impl Condition {
    fn read(written: &str, key: &str, values: &Value) -> Result<Self, String> {
        let (set, name) = match written.split_once(':') {
            Some(("ForAllValues", name)) => (Some(Set::All), name),
            Some(("ForAnyValue", name)) => (Some(Set::Any), name),
            _ => (None, written),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let operator =
            operator(name).ok_or_else(|| format!("the condition operator {written} can't be evaluated here"))?;
        let lower = key.to_ascii_lowercase();
        let known = KEYS.iter().any(|known| match known.strip_suffix('/') {
            Some(_) => lower.strip_prefix(known).is_some_and(|tag| !tag.is_empty()),
            None => lower == *known,
        });
        if !known {
            return Err(format!("the condition key {key} can't be evaluated here"));
        }
        if set.is_none() && operator != Operator::Null && SETS.contains(&lower.as_str()) {
            return Err(format!("the condition key {key} has several values: use ForAllValues: or ForAnyValue:"));
        }
        let values: Vec<String> = match values {
            Value::Array(values) => values.iter().map(plain_text).collect(),
            Value::Object(_) => return Err(format!("the values of the condition key {key} must be texts")),
            value => vec![plain_text(value)],
        };
        if values.is_empty() || values.iter().any(|value| value.contains("${")) {
            return Err(format!("the condition key {key} needs values without policy variables"));
        }
        Ok(Self { operator, set, if_exists, key: lower, values })
    }

    /// Whether the condition holds of `request`.
    #[must_use]
    pub fn holds(&self, request: &Request) -> bool {
        let present = request.context.get(&self.key);
        if self.operator == Operator::Null {
            return self.values.iter().any(|value| (value == "true") == present.is_none());
        }
        let Some(present) = present else { return self.holds_when_absent() };
        match self.set {
            Some(Set::All) => present.iter().all(|value| self.admits(value)),
            Some(Set::Any) => present.iter().any(|value| self.admits(value)),
            None => self.holds_of(present),
        }
    }

    fn holds_when_absent(&self) -> bool {
        self.if_exists
            || match self.set {
                Some(set) => set == Set::All,
                None => matches!(self.operator, Operator::IsNot(_)),
            }
    }

    fn holds_of(&self, present: &BTreeSet<String>) -> bool {
        present.iter().all(|value| self.admits(value))
    }

    /// Whether one value of the context is as the policy's values say: one of them, or none of them.
    fn admits(&self, value: &str) -> bool {
        let any = |comparison: Comparison| self.values.iter().any(|wanted| comparison.holds(wanted, value));
        match self.operator {
            Operator::Is(comparison) => any(comparison),
            Operator::IsNot(comparison) => !any(comparison),
            Operator::Null => false,
        }
    }
}

impl Comparison {
    fn holds(self, wanted: &str, value: &str) -> bool {
        let numbers = || Some((value.parse::<f64>().ok()?, wanted.parse::<f64>().ok()?));
        let number = |holds: fn(f64, f64) -> bool| numbers().is_some_and(|(value, wanted)| holds(value, wanted));
        match self {
            Self::Equal => wanted == value,
            Self::EqualIgnoringCase => wanted.eq_ignore_ascii_case(value),
            Self::Like => matches(wanted, value),
            Self::Arn => matches_arn(wanted, value),
            Self::NumberEqual => number(|value, wanted| value.total_cmp(&wanted).is_eq()),
            Self::Less => number(|value, wanted| value < wanted),
            Self::LessOrEqual => number(|value, wanted| value <= wanted),
            Self::Greater => number(|value, wanted| value > wanted),
            Self::GreaterOrEqual => number(|value, wanted| value >= wanted),
        }
    }
}

fn operator(name: &str) -> Option<Operator> {
    use Comparison::{Arn, Equal, EqualIgnoringCase, Greater, GreaterOrEqual, Less, LessOrEqual, Like, NumberEqual};
    Some(match name {
        "StringEquals" => Operator::Is(Equal),
        "StringNotEquals" => Operator::IsNot(Equal),
        "StringEqualsIgnoreCase" | "Bool" => Operator::Is(EqualIgnoringCase),
        "StringNotEqualsIgnoreCase" => Operator::IsNot(EqualIgnoringCase),
        "StringLike" => Operator::Is(Like),
        "StringNotLike" => Operator::IsNot(Like),
        "ArnEquals" | "ArnLike" => Operator::Is(Arn),
        "ArnNotEquals" | "ArnNotLike" => Operator::IsNot(Arn),
        "NumericEquals" => Operator::Is(NumberEqual),
        "NumericNotEquals" => Operator::IsNot(NumberEqual),
        "NumericLessThan" => Operator::Is(Less),
        "NumericLessThanEquals" => Operator::Is(LessOrEqual),
        "NumericGreaterThan" => Operator::Is(Greater),
        "NumericGreaterThanEquals" => Operator::Is(GreaterOrEqual),
        "Null" => Operator::Null,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(block: &Value, request: &Request) -> bool {
        read(block).unwrap().iter().all(|condition| condition.holds(request))
    }

    #[test]
    fn each_operator_decides_as_iam_does() {
        let tags = json!([{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "x/y" }]);
        let request = Request::new("transfer:CreateServer", "*").giving(&tags).with("ecs:cluster", ["arn:a:b:c:d:e/f"]);
        for (block, expected) in [
            (json!({ "StringEquals": { "aws:RequestTag/a": "1" } }), true),
            (json!({ "StringEquals": { "aws:requesttag/a": ["2", "1"] } }), true),
            (json!({ "StringEquals": { "aws:RequestTag/a": "2" } }), false),
            (json!({ "StringEquals": { "aws:RequestTag/c": "1" } }), false),
            (json!({ "StringEqualsIfExists": { "aws:RequestTag/c": "1" } }), true),
            (json!({ "StringEqualsIfExists": { "aws:RequestTag/a": "2" } }), false),
            (json!({ "StringNotEquals": { "aws:RequestTag/a": ["2", "3"] } }), true),
            (json!({ "StringNotEquals": { "aws:RequestTag/a": ["2", "1"] } }), false),
            (json!({ "StringNotEquals": { "aws:RequestTag/c": "1" } }), true),
            (json!({ "StringLike": { "aws:RequestTag/b": "x/*" } }), true),
            (json!({ "StringNotLike": { "aws:RequestTag/b": "x/*" } }), false),
            (json!({ "ArnEquals": { "ecs:cluster": "arn:a:b:c:*:e/*" } }), true),
            (json!({ "ArnLike": { "ecs:cluster": "arn:a:b:c:*:g/*" } }), false),
            (json!({ "ArnNotLike": { "ecs:cluster": "arn:a:b:c:*:g/*" } }), true),
            (json!({ "Null": { "aws:RequestTag/a": false } }), true),
            (json!({ "Null": { "aws:RequestTag/a": "true" } }), false),
            (json!({ "Null": { "aws:RequestTag/c": true } }), true),
            (json!({ "NumericLessThan": { "aws:RequestTag/a": 2 } }), true),
            (json!({ "NumericGreaterThanEquals": { "aws:RequestTag/a": 2 } }), false),
            (json!({ "NumericEquals": { "aws:RequestTag/b": 2 } }), false),
            (json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["a", "b", "c"] } }), true),
            (json!({ "ForAllValues:StringEquals": { "aws:TagKeys": ["a"] } }), false),
            (json!({ "ForAnyValue:StringEquals": { "aws:TagKeys": ["a"] } }), true),
            (json!({ "ForAnyValue:StringEquals": { "transfer:RequestServerProtocols": ["SFTP"] } }), false),
            (json!({ "ForAllValues:StringEquals": { "transfer:RequestServerProtocols": ["SFTP"] } }), true),
            (json!({ "StringEquals": { "aws:RequestTag/a": "1", "aws:RequestTag/b": "no" } }), false),
            (json!({ "StringEquals": { "aws:ResourceAccount": "000000000000" } }), true),
            (json!({ "StringEquals": { "aws:RequestedRegion": "us-east-1" } }), true),
            (json!({ "StringEquals": { "aws:RequestedRegion": "eu-west-1" } }), false),
        ] {
            assert_eq!(holds(&block, &request), expected, "{block}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_an_error_that_names_it() {
        for (block, says) in [
            (json!({ "StringMatches": { "aws:RequestTag/a": "1" } }), "StringMatches"),
            (json!({ "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } }), "IpAddress"),
            (json!({ "StringEquals": { "aws:PrincipalOrgID": "o-1" } }), "aws:PrincipalOrgID"),
            (json!({ "StringEquals": { "aws:RequestTag/": "1" } }), "aws:RequestTag/"),
            (json!({ "StringEquals": { "aws:TagKeys": "a" } }), "ForAllValues"),
            (json!({ "StringEquals": { "aws:RequestTag/a": "${aws:username}" } }), "variables"),
            (json!({ "StringEquals": { "aws:RequestTag/a": [] } }), "needs values"),
            (json!({ "StringEquals": "a" }), "mapping"),
        ] {
            let error = read(&block).unwrap_err();
            assert!(error.contains(says), "{block}: {error}");
        }
    }
}
