//! What stands between the wire and `dynoxide`: its reader marks a refusal by a prefix of the message where DynamoDB
//! has codes, and it looks into a transaction less closely than DynamoDB does.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{error::AwsError, input::list};

/// Reads the input of an operation.
///
/// # Errors
/// `ValidationException` for values that DynamoDB refuses, `SerializationException` for JSON of another type.
pub(super) fn read<Request: DeserializeOwned>(operation: &str, input: Value) -> Result<Request, AwsError> {
    check_transaction(&input)?;
    serde_json::from_value(input).map_err(|why| unreadable(operation, &why.to_string()))
}

/// The code and message that a refusal of `dynoxide`'s reader stands for.
fn unreadable(operation: &str, why: &str) -> AwsError {
    if let Some(message) = why.strip_prefix("VALIDATION_REQUEST:") {
        return validation(enveloped(operation, message));
    }
    for (mark, code) in [
        ("VALIDATION_AS_READ:", "ValidationException"),
        ("VALIDATION:", "ValidationException"),
        ("SERIALIZATION_AS_READ:", "SerializationException"),
        ("SERIALIZATION:", "SerializationException"),
    ] {
        if let Some(message) = why.strip_prefix(mark) {
            return AwsError::client(code, message);
        }
    }
    let refused = ["missing field", "unknown variant", "invalid type: null", "Supplied AttributeValue"];
    if refused.iter().any(|sign| why.contains(sign)) {
        return validation(why);
    }
    if why.contains("empty AttributeValue") {
        return validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes");
    }
    AwsError::client("SerializationException", why)
}

/// PutItem and UpdateItem put what is wrong with a value into the sentence of their shapes' checks.
pub(super) fn enveloped(operation: &str, message: &str) -> String {
    match operation {
        "PutItem" | "UpdateItem" => format!("1 validation error detected: {message}"),
        _ => message.to_owned(),
    }
}

/// Refuses empty names and values of expressions, which `dynoxide` refuses outside of transactions only.
fn check_transaction(input: &Value) -> Result<(), AwsError> {
    let parts = list(input, "TransactItems").iter().filter_map(Value::as_object).flat_map(|item| item.values());
    for part in parts {
        for member in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            if part[member].as_object().is_some_and(serde_json::Map::is_empty) {
                return Err(validation(format!("{member} must not be empty")));
            }
        }
    }
    Ok(())
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::client("ValidationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_refusal_has_the_code_it_stands_for() {
        for (why, code, message) in [
            ("VALIDATION:bad", "ValidationException", "bad"),
            ("VALIDATION_REQUEST:bad", "ValidationException", "1 validation error detected: bad"),
            ("VALIDATION_AS_READ:bad at line 1", "ValidationException", "bad at line 1"),
            ("SERIALIZATION:bad", "SerializationException", "bad"),
            (
                "invalid type: integer `1`, expected a string",
                "SerializationException",
                "invalid type: integer `1`, expected a string",
            ),
        ] {
            assert_eq!(unreadable("PutItem", why), AwsError::client(code, message));
        }
        assert_eq!(unreadable("GetItem", "VALIDATION_REQUEST:bad").message, "bad");
    }
}
