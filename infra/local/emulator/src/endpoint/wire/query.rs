//! Query: a form with `Action` in, XML out. EC2 numbers list items without `member` and has its own XML for errors
//! and lists. Here EC2's values carry the names that are on the wire (`GroupId`, `securityGroupInfo`), because its
//! models rename nearly every member.

use std::{collections::BTreeMap, fmt::Write};

use bytes::Bytes;
use http::Response;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Protocol, cbor, malformed, response};
use crate::{error::AwsError, query_code::query_code};

/// How deep a form's names may nest: `IpPermissions.1.IpRanges.1.CidrIp` has five parts.
const DEPTH: usize = 12;

pub(super) fn decode(
    protocol: Protocol,
    service: Option<&str>,
    uri_query: Option<&str>,
    body: &Bytes,
) -> Result<(String, String, Value), AwsError> {
    let Some(service) = service else {
        let message = "Request is missing Authentication Token: this is the AWS endpoint of a local region. Use an \
                       AWS SDK or the aws CLI with --endpoint-url, and any access key.";
        return Err(AwsError::client("MissingAuthenticationToken", message).with_status(403));
    };
    let mut pairs = pairs(uri_query.unwrap_or_default().as_bytes());
    pairs.extend(self::pairs(body));
    // Without an Action the operation is empty: the front then knows whether at least the service is one of ours.
    let operation = match pairs.iter().position(|(key, _)| key == "Action") {
        Some(at) => pairs.swap_remove(at).1,
        None => String::new(),
    };
    let mut root = Node::default();
    for (key, text) in pairs {
        if key != "Version" && !key.starts_with("X-Amz-") {
            root.put(&key, text, protocol == Protocol::Query)?;
        }
    }
    let input = if root.members.is_empty() { Value::Object(Map::new()) } else { root.into_value() };
    Ok((service.to_owned(), operation, input))
}

/// The pairs of a form, in order.
pub(super) fn pairs(form: &[u8]) -> Vec<(String, String)> {
    form.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            (unescape(halves.next().unwrap_or_default()), unescape(halves.next().unwrap_or_default()))
        })
        .collect()
}

fn unescape(text: &[u8]) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            (byte, ..) => bytes.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A part of a form: a text, or parts by name or number.
#[derive(Default)]
struct Node {
    text: Option<String>,
    members: BTreeMap<String, Node>,
}

impl Node {
    fn put(&mut self, key: &str, text: String, skip_member: bool) -> Result<(), AwsError> {
        let mut node = self;
        for (depth, part) in key.split('.').enumerate() {
            if depth >= DEPTH {
                return Err(malformed("a parameter's name has too many parts"));
            }
            if !(skip_member && part == "member") {
                node = node.members.entry(part.to_owned()).or_default();
            }
        }
        node.text = Some(text);
        Ok(())
    }

    fn into_value(self) -> Value {
        if self.members.is_empty() {
            return Value::String(self.text.unwrap_or_default());
        }
        let numbers: Option<BTreeMap<u32, &String>> =
            self.members.keys().map(|key| Some((key.parse().ok()?, key))).collect();
        let Some(order) = numbers.map(|numbers| numbers.into_values().cloned().collect::<Vec<String>>()) else {
            return Value::Object(self.members.into_iter().map(|(key, node)| (key, node.into_value())).collect());
        };
        let mut members = self.members;
        order.iter().filter_map(|key| members.remove(key)).map(Node::into_value).collect()
    }
}

pub(super) fn encode(
    protocol: Protocol,
    service: &str,
    operation: &str,
    request_id: &str,
    answer: Result<Value, AwsError>,
) -> Response<Bytes> {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let ec2 = protocol == Protocol::Ec2;
    let status = match &answer {
        Ok(output) if ec2 => {
            let _ = write!(xml, "<{operation}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">");
            element(&mut xml, "requestId", &request_id.into(), "item");
            members(&mut xml, output, "item");
            let _ = write!(xml, "</{operation}Response>");
            200
        }
        Ok(output) => {
            let _ = write!(xml, "<{operation}Response><{operation}Result>");
            members(&mut xml, output, "member");
            let _ = write!(xml, "</{operation}Result><ResponseMetadata>");
            element(&mut xml, "RequestId", &request_id.into(), "member");
            let _ = write!(xml, "</ResponseMetadata></{operation}Response>");
            200
        }
        Err(error) => {
            write_error(&mut xml, ec2, query_code(service, &error.code), error, request_id);
            error.status
        }
    };
    response(status, "text/xml;charset=UTF-8", &[], xml)
}

fn write_error(xml: &mut String, ec2: bool, code: &str, error: &AwsError, request_id: &str) {
    let (code, message) = if error.code == "UnknownOperationException" {
        ("InvalidAction", format!("The action is not valid for this web service: {}.", error.message))
    } else {
        (code, error.message.clone())
    };
    let kind = if error.status < 500 { "Sender" } else { "Receiver" };
    let (open, close, id) = if ec2 {
        ("<Response><Errors><Error>".to_owned(), "</Error></Errors>", ("RequestID", "</Response>"))
    } else {
        (format!("<ErrorResponse><Error><Type>{kind}</Type>"), "</Error>", ("RequestId", "</ErrorResponse>"))
    };
    xml.push_str(&open);
    element(xml, "Code", &code.into(), "");
    element(xml, "Message", &message.into(), "");
    xml.push_str(close);
    element(xml, id.0, &request_id.into(), "");
    xml.push_str(id.1);
}

fn members(xml: &mut String, value: &Value, item: &str) {
    if let Value::Object(members) = value {
        for (name, member) in members {
            element(xml, name, member, item);
        }
    }
}

fn element(xml: &mut String, name: &str, value: &Value, item: &str) {
    let text = match value {
        Value::Null => return,
        Value::Bool(value) => value.to_string(),
        // EC2's names begin in lower case, so no member of EC2 is mistaken for one of CloudWatch's.
        Value::Number(number) if cbor::TIMESTAMPS.contains(&name) => iso_8601(number.as_f64().unwrap_or_default()),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quick_xml::escape::escape(text.as_str()).into_owned(),
        Value::Array(items) => {
            let _ = write!(xml, "<{name}>");
            for value in items {
                element(xml, item, value, item);
            }
            let _ = write!(xml, "</{name}>");
            return;
        }
        Value::Object(_) => {
            let _ = write!(xml, "<{name}>");
            members(xml, value, item);
            let _ = write!(xml, "</{name}>");
            return;
        }
    };
    let _ = write!(xml, "<{name}>{text}</{name}>");
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are far from the limits of i64")]
fn iso_8601(seconds: f64) -> String {
    Timestamp::from_millisecond((seconds * 1000.0) as i64).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_becomes_lists_and_members() {
        let body =
            Bytes::from_static(b"Action=X&Filter.1.Name=a%20b&Filter.1.Value.2=2&Filter.1.Value.1=1&Id.10=k&Id.9=j");
        let (_, operation, input) = decode(Protocol::Ec2, Some("ec2"), None, &body).unwrap();
        assert_eq!(operation, "X");
        assert_eq!(input, json!({"Filter": [{"Name": "a b", "Value": ["1", "2"]}], "Id": ["j", "k"]}));
    }

    #[test]
    fn query_lists_are_numbered_under_member() {
        let body = Bytes::from_static(b"Action=X&Dimensions.member.1.Name=n");
        let (_, _, input) = decode(Protocol::Query, Some("monitoring"), None, &body).unwrap();
        assert_eq!(input, json!({"Dimensions": [{"Name": "n"}]}));
    }

    #[test]
    fn text_is_escaped_in_xml() {
        let answer = encode(Protocol::Ec2, "ec2", "X", "id", Ok(json!({"a": "<&>", "set": ["1"]})));
        let xml = String::from_utf8(answer.into_body().to_vec()).unwrap();
        assert!(xml.contains("<a>&lt;&amp;&gt;</a><set><item>1</item></set>"), "{xml}");
    }
}
