//! Pages as Transfer Family takes and gives them.

use serde_json::{Map, Value};

use crate::{error::AwsError, page};

/// The page of `items` (sorted by key) that `input` asks for, as members of an answer with the list under `name`.
pub(super) fn page<'a>(
    input: &Map<String, Value>,
    name: &str,
    items: impl Iterator<Item = (&'a str, Value)>,
) -> Result<Map<String, Value>, AwsError> {
    let limit =
        input.get("MaxResults").and_then(Value::as_u64).map_or(1000, |limit| usize::try_from(limit).unwrap_or(1000));
    let keyed = items.map(|(key, item)| (key.to_owned(), item));
    let page = page::page(keyed, input.get("NextToken").and_then(Value::as_str), limit).ok_or_else(|| {
        AwsError::client("InvalidNextTokenException", "The NextToken parameter that was passed is invalid.")
    })?;
    let mut answer = Map::new();
    if let Some(next) = page.next {
        answer.insert("NextToken".to_owned(), next.into());
    }
    answer.insert(name.to_owned(), page.items.into());
    Ok(answer)
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
