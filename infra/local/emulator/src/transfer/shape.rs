//! Checks a call's input against its shape in AWS's model, before anything else looks at it: types, required members,
//! lengths, patterns and enumerations, with the sentence that AWS answers.

use serde_json::{Map, Value};

use crate::error::AwsError;

/// One member of a structure.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) required: bool,
    pub(super) kind: &'static Kind,
}

/// What a member may be.
pub(super) enum Kind {
    Text(Text),
    Choice(&'static [&'static str]),
    Whole(i64, i64),
    List(&'static Kind, usize, usize),
    Record(&'static [Member]),
}

/// A string's bounds, its pattern as AWS prints it, and the same as a predicate.
pub(super) struct Text {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) pattern: &'static str,
    pub(super) holds: fn(&str) -> bool,
}

/// Checks `input`, and returns its members without those that are null.
pub(super) fn check(input: Value, members: &[Member]) -> Result<Map<String, Value>, AwsError> {
    let input = without_nulls(input);
    check_record(&input, members, "")?;
    match input {
        Value::Object(object) => Ok(object),
        _ => Ok(Map::new()),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object.into_iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k, without_nulls(v))).collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

fn check_record(value: &Value, members: &[Member], path: &str) -> Result<(), AwsError> {
    let object = match value {
        Value::Object(object) => object,
        Value::Null => &Map::new(),
        _ => return Err(wrong_type("a structure", path)),
    };
    for member in members {
        let name = lower_camel(member.name);
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        match object.get(member.name) {
            Some(value) => check_value(value, member.kind, &path)?,
            None if member.required => return Err(violated("null", &path, "Member must not be null")),
            None => {}
        }
    }
    Ok(())
}

fn check_value(value: &Value, kind: &Kind, path: &str) -> Result<(), AwsError> {
    match kind {
        Kind::Text(text) => check_text(value, text, path),
        Kind::Choice(allowed) => {
            let given = value.as_str().ok_or_else(|| wrong_type("a string", path))?;
            if allowed.contains(&given) {
                return Ok(());
            }
            let allowed = allowed.join(", ");
            Err(violated(given, path, &format!("Member must satisfy enum value set: [{allowed}]")))
        }
        Kind::Whole(min, max) => {
            let given = value.as_i64().ok_or_else(|| wrong_type("an integer", path))?;
            if given < *min {
                let rule = format!("Member must have value greater than or equal to {min}");
                return Err(violated(&given.to_string(), path, &rule));
            }
            if given > *max {
                let rule = format!("Member must have value less than or equal to {max}");
                return Err(violated(&given.to_string(), path, &rule));
            }
            Ok(())
        }
        Kind::List(of, min, max) => check_list(value, of, (*min, *max), path),
        Kind::Record(members) => check_record(value, members, path),
    }
}

fn check_text(value: &Value, text: &Text, path: &str) -> Result<(), AwsError> {
    let given = value.as_str().ok_or_else(|| wrong_type("a string", path))?;
    let length = given.chars().count();
    if length < text.min {
        let rule = format!("Member must have length greater than or equal to {}", text.min);
        return Err(violated(given, path, &rule));
    }
    if length > text.max {
        let rule = format!("Member must have length less than or equal to {}", text.max);
        return Err(violated(given, path, &rule));
    }
    if !(text.holds)(given) {
        let rule = format!("Member must satisfy regular expression pattern: {}", text.pattern);
        return Err(violated(given, path, &rule));
    }
    Ok(())
}

fn check_list(value: &Value, of: &Kind, (min, max): (usize, usize), path: &str) -> Result<(), AwsError> {
    let list = value.as_array().ok_or_else(|| wrong_type("a list", path))?;
    if list.len() < min || list.len() > max {
        let bound = if list.len() < min {
            format!("greater than or equal to {min}")
        } else {
            format!("less than or equal to {max}")
        };
        return Err(violated(&value.to_string(), path, &format!("Member must have length {bound}")));
    }
    for (index, item) in list.iter().enumerate() {
        check_value(item, of, &format!("{path}.{}.member", index + 1))?;
    }
    Ok(())
}

/// AWS never repeats a private key; no value of a member with that name is shown.
fn violated(value: &str, path: &str, rule: &str) -> AwsError {
    let secret = path.ends_with("hostKey") || path.ends_with("hostKeyBody");
    let value = if value == "null" || !secret { format!("Value '{value}'") } else { "Value".to_owned() };
    let message = format!("1 validation error detected: {value} at '{path}' failed to satisfy constraint: {rule}");
    AwsError::client("InvalidRequestException", message)
}

fn wrong_type(wanted: &str, path: &str) -> AwsError {
    AwsError::client("SerializationException", format!("'{path}' must be {wanted}"))
}

fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase().to_string() + letters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::shapes, *};

    fn message(operation: &str, input: Value) -> String {
        match check(input, shapes::of(operation).unwrap()) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_missing_member_is_named() {
        assert_eq!(
            message("StopServer", json!({ "ServerId": null })),
            "InvalidRequestException: 1 validation error detected: Value 'null' at 'serverId' failed to satisfy \
             constraint: Member must not be null"
        );
    }

    #[test]
    fn a_pattern_that_does_not_hold_is_printed() {
        let answer = message("StopServer", json!({ "ServerId": "s-0123456789abcdefX" }));
        assert!(answer.ends_with("pattern: s-([0-9a-f]{17})"), "{answer}");
    }

    #[test]
    fn a_wrong_type_is_a_serialization_exception() {
        assert!(message("ListServers", json!({ "MaxResults": "ten" })).starts_with("SerializationException"));
    }

    #[test]
    fn a_nested_violation_has_its_path() {
        let user = json!({ "ServerId": "s-00000000000000000", "UserName": "alice", "Role": "arn:aws:iam::1:role/transfer",
            "PosixProfile": { "Uid": -1, "Gid": 1 } });
        assert!(message("CreateUser", user).contains("'posixProfile.uid'"));
    }

    #[test]
    fn a_private_key_is_never_repeated() {
        let key = "x".repeat(5000);
        assert!(!message("CreateServer", json!({ "HostKey": key })).contains("xxx"));
    }
}
