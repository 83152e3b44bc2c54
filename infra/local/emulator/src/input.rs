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

/// One page of `items`: those from the offset that `token` says, at most `limit`, and the token of the next page.
/// None when the token is none of ours.
#[must_use]
pub fn page<T>(items: Vec<T>, token: Option<&str>, limit: Option<usize>) -> Option<(Vec<T>, Option<String>)> {
    let start = match token {
        None => 0,
        Some(token) => token.strip_prefix("page-")?.parse::<usize>().ok()?,
    };
    let end = limit.map_or(items.len(), |limit| start.saturating_add(limit).min(items.len()));
    let next = (end < items.len()).then(|| format!("page-{end}"));
    Some((items.into_iter().take(end).skip(start).collect(), next))
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
