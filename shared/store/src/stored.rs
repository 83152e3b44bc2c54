//! The stored form of records, which is more lenient than the API: what any version wrote is read as far as possible.
//!
//! Today's validation is not applied to what was accepted earlier. Missing fields have defaults. Unknown fields are
//! ignored and reported. An item is unreadable only if it lacks what this version must know to act.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

mod server;
mod site;
mod user;

/// The format of the items that this version writes. It is raised when an older version would misread newer items;
/// items of a higher format are not read.
pub const FORMAT: u64 = 1;

/// What is wanted of a resource.
pub trait Intent: Serialize + Sized {
    /// Reads what any version wrote.
    ///
    /// # Errors
    /// A sentence about what this version needs and does not understand.
    fn from_stored(value: &Value) -> Result<Self, String>;

    /// Reads what can be read, for a resource that is being deleted: that is enough to remove it.
    fn remains(value: &Value) -> Self;
}

/// Reads `value` as `T`. The error is a sentence.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

/// Reads an intent that is kept beside something else, or `None` where this version can't.
pub(crate) fn intent_beside<'de, D: Deserializer<'de>, I: Intent>(deserializer: D) -> Result<Option<I>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| I::from_stored(&value).ok()))
}

/// Reads the part of `value` at the JSON pointer `pointer`, or the default if it is missing or malformed.
pub(crate) fn part<T: DeserializeOwned + Default>(value: &Value, pointer: &str) -> T {
    value.pointer(pointer).and_then(|part| T::deserialize(part).ok()).unwrap_or_default()
}

/// Reads `value` as `T`. Fields that can't be read get their defaults.
pub(crate) fn leniently<T: DeserializeOwned + Serialize + Default>(value: Option<&Value>) -> T {
    let Some(value) = value else { return T::default() };
    if let Ok(whole) = T::deserialize(value) {
        return whole;
    }
    let mut fields = match serde_json::to_value(T::default()) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    for (name, field) in value.as_object().into_iter().flatten() {
        let before = fields.insert(name.clone(), field.clone());
        if T::deserialize(Value::Object(fields.clone())).is_err() {
            match before {
                Some(before) => fields.insert(name.clone(), before),
                None => fields.remove(name),
            };
        }
    }
    T::deserialize(Value::Object(fields)).unwrap_or_default()
}

/// The JSON pointers of the parts of `stored` that are not in `understood`.
pub(crate) fn unknown_parts(stored: &Value, understood: &impl Serialize) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut open = vec![(String::new(), stored.clone(), serde_json::to_value(understood).unwrap_or_default())];
    while let Some((pointer, stored, understood)) = open.pop() {
        match (stored, understood) {
            (Value::Object(stored), Value::Object(mut understood)) => {
                for (name, value) in stored.into_iter().filter(|(_, value)| !value.is_null()) {
                    let pointer = format!("{pointer}/{name}");
                    match understood.remove(&name) {
                        Some(same) => open.push((pointer, value, same)),
                        None => unknown.push(pointer),
                    }
                }
            }
            (Value::Array(stored), Value::Array(understood)) => {
                let pairs = stored.into_iter().zip(understood).enumerate();
                open.extend(
                    pairs.map(|(index, (stored, understood))| (format!("{pointer}/{index}"), stored, understood)),
                );
            }
            _ => {}
        }
    }
    unknown.sort();
    unknown
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharfinger_decisions::server::{ServerPhase, ServerStatus};

    use super::*;

    #[test]
    fn a_strange_field_of_a_status_costs_that_field_alone() {
        let stored = json!({"power": "hibernating", "reason": 5, "server_id": "s-1", "settled_version": 3, "new": {}});
        let status: ServerStatus = leniently(Some(&stored));
        assert_eq!((status.power, status.reason.as_str()), (ServerPhase::default(), ""));
        assert_eq!((status.server_id.as_deref(), status.settled_version), (Some("s-1"), 3));
        assert_eq!(leniently::<ServerStatus>(Some(&json!([1]))), ServerStatus::default());
    }

    #[test]
    fn what_is_left_out_of_account_is_named() {
        let stored = json!({"a": {"b": 1, "new": 2}, "list": [{"x": 1}, {"x": 1, "y": 2}], "none": null});
        let understood = json!({"a": {"b": 1}, "list": [{"x": 1}, {"x": 1}]});
        assert_eq!(unknown_parts(&stored, &understood), ["/a/new", "/list/1/y"]);
    }
}
