//! Reading the members of an operation's input.

use serde_json::Value;

/// A member that is a text and not empty.
#[must_use]
pub fn text<'a>(input: &'a Value, member: &str) -> Option<&'a str> {
    input.get(member)?.as_str().filter(|text| !text.is_empty())
}

/// A member that is a list of texts; an absent one is empty.
#[must_use]
pub fn texts(input: &Value, member: &str) -> Vec<String> {
    let items = input.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// A member that is a list; an absent one is empty.
#[must_use]
pub fn list<'a>(input: &'a Value, member: &str) -> &'a [Value] {
    input.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A member that is a whole number, which Query sends as text.
#[must_use]
pub fn whole(input: &Value, member: &str) -> Option<i64> {
    let value = input.get(member)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The first of `members` that the input gives: null, false and empty lists are as good as absent.
#[must_use]
pub fn given<'a>(input: &Value, members: &[&'a str]) -> Option<&'a str> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    };
    members.iter().copied().find(|member| input.get(*member).is_some_and(says))
}

/// A scalar as AWS writes it into a text.
#[must_use]
pub fn plain_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
