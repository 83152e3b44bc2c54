//! The MD5 sums that SQS sends along and SDKs check, as its developer guide lays them out.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// The sum of a message's body.
pub(super) fn of_body(body: &str) -> String {
    format!("{:x}", md5::compute(body))
}

/// The sum of a message's attributes: each by name, with name, type and value behind their lengths.
pub(super) fn of_attributes(attributes: &Map<String, Value>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut bytes = Vec::new();
    for (name, attribute) in sorted {
        let data_type = attribute["DataType"].as_str().unwrap_or_default();
        append(&mut bytes, name.as_bytes());
        append(&mut bytes, data_type.as_bytes());
        bytes.push(if data_type.starts_with("Binary") { 2 } else { 1 });
        append(&mut bytes, &value_bytes(attribute));
    }
    Some(format!("{:x}", md5::compute(bytes)))
}

/// How many bytes an attribute adds to a message, apart from its name.
pub(super) fn size(attribute: &Value) -> usize {
    attribute["DataType"].as_str().map_or(0, str::len) + value_bytes(attribute).len()
}

fn value_bytes(attribute: &Value) -> Vec<u8> {
    match (attribute["StringValue"].as_str(), attribute["BinaryValue"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(blob)) => STANDARD.decode(blob).unwrap_or_default(),
        (None, None) => Vec::new(),
    }
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend(u32::try_from(part.len()).expect("a message has at most 1 MiB").to_be_bytes());
    bytes.extend(part);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The sums were computed by Python's hashlib over the layout in the developer guide.
    #[test]
    fn sums_are_those_that_sdks_compute() {
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
        let attributes = json!({ "kind": { "DataType": "String", "StringValue": "tick" } });
        assert_eq!(of_attributes(attributes.as_object().unwrap()).as_deref(), Some("721e5e99c6ea64e9ce05de74a2e5e47b"));
    }
}
