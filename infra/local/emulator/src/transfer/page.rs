//! Pages of a sorted list: `MaxResults` and a `NextToken` that names the last key seen, so that a page stays right
//! when the list changes between two calls.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::error::AwsError;

/// The page of `items` (sorted by key) that `input` asks for, as members of an answer with the list under `name`.
pub(super) fn page<'a>(
    input: &Map<String, Value>,
    name: &str,
    items: impl Iterator<Item = (&'a str, Value)>,
) -> Result<Map<String, Value>, AwsError> {
    let limit =
        input.get("MaxResults").and_then(Value::as_u64).map_or(1000, |limit| usize::try_from(limit).unwrap_or(1000));
    let after = input.get("NextToken").and_then(Value::as_str).map(read_token).transpose()?;
    let mut rest = items.filter(|(key, _)| after.as_deref().is_none_or(|after| *key > after)).peekable();
    let mut list = Vec::new();
    let mut last = "";
    while list.len() < limit
        && let Some((key, item)) = rest.next()
    {
        last = key;
        list.push(item);
    }
    let mut answer = Map::new();
    if rest.peek().is_some() {
        answer.insert("NextToken".to_owned(), URL_SAFE_NO_PAD.encode(last).into());
    }
    answer.insert(name.to_owned(), list.into());
    Ok(answer)
}

fn read_token(token: &str) -> Result<String, AwsError> {
    let invalid =
        || AwsError::client("InvalidNextTokenException", "The NextToken parameter that was passed is invalid.");
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(input: &Value) -> Result<Map<String, Value>, AwsError> {
        let items = ["a", "b", "c"];
        page(input.as_object().unwrap(), "Items", items.iter().map(|key| (*key, json!(key))))
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let first = ask(&json!({ "MaxResults": 2 })).unwrap();
        assert_eq!(first["Items"], json!(["a", "b"]));
        let second = ask(&json!({ "MaxResults": 2, "NextToken": first["NextToken"] })).unwrap();
        assert_eq!(second["Items"], json!(["c"]));
        assert!(!second.contains_key("NextToken"));
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        assert_eq!(ask(&json!({ "NextToken": "%%" })).unwrap_err().code, "InvalidNextTokenException");
    }
}
