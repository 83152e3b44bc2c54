//! awsJson 1.0 and 1.1.

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};

use super::{malformed, response};
use crate::{error::AwsError, query_code::query_code};

/// The prefixes of `X-Amz-Target`, with the services that they mean, and those services' awsJson version.
const TARGETS: [(&str, &str, &str); 7] = [
    ("TransferService", "transfer", "1.1"),
    ("AmazonEC2ContainerServiceV20141113", "ecs", "1.1"),
    ("AmazonSQS", "sqs", "1.0"),
    ("secretsmanager", "secretsmanager", "1.1"),
    ("DynamoDB_20120810", "dynamodb", "1.0"),
    ("Logs_20140328", "logs", "1.1"),
    ("GraniteServiceVersion20100801", "monitoring", "1.0"),
];

pub(super) fn decode(target: &str, body: &Bytes) -> Result<(String, String, Value), AwsError> {
    let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
    let service = TARGETS.iter().find(|(known, ..)| *known == prefix).map_or(prefix, |(_, service, _)| service);
    let input =
        if body.is_empty() { Value::Object(Map::new()) } else { serde_json::from_slice(body).map_err(malformed)? };
    if !input.is_object() {
        return Err(malformed("the input must be a JSON object"));
    }
    Ok((service.to_owned(), operation.to_owned(), input))
}

pub(super) fn encode(service: &str, answer: Result<Value, AwsError>) -> Response<Bytes> {
    let version = TARGETS.iter().find(|(_, known, _)| *known == service).map_or("1.1", |(.., version)| version);
    let content_type = format!("application/x-amz-json-{version}");
    match answer {
        Ok(Value::Null) => response(200, &content_type, &[], "{}"),
        Ok(output) => response(200, &content_type, &[], output.to_string()),
        Err(error) => {
            let mut headers = vec![("x-amzn-errortype", error.code.clone())];
            if matches!(service, "sqs" | "monitoring") {
                headers.push(("x-amzn-query-error", query_error(service, &error)));
            }
            response(error.status, &content_type, &headers, error_body(&error).to_string())
        }
    }
}

/// An error as a JSON document. `Message` in the members wins: some errors of DynamoDB are spelt so.
pub(super) fn error_body(error: &AwsError) -> Value {
    let mut body = Map::new();
    body.insert("__type".to_owned(), error.code.clone().into());
    if !error.members.contains_key("Message") {
        body.insert("message".to_owned(), error.message.clone().into());
    }
    body.extend(error.members.clone());
    Value::Object(body)
}

/// What `x-amzn-query-error` says: the code that the service had in its Query days, and whose fault it is.
pub(super) fn query_error(service: &str, error: &AwsError) -> String {
    let code = query_code(service, &error.code);
    let fault = if error.status < 500 { "Sender" } else { "Receiver" };
    format!("{code};{fault}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(service: &str, code: &str) -> String {
        let answer = encode(service, Err(AwsError::client(code, "no")));
        answer.headers()["x-amzn-query-error"].to_str().unwrap().to_owned()
    }

    #[test]
    fn an_error_of_a_service_that_once_spoke_query_names_the_code_it_had_then() {
        for (code, query) in [
            ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender"),
            ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight;Sender"),
            ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation;Sender"),
            ("InvalidParameterValueException", "InvalidParameterValue;Sender"),
            ("MissingRequiredParameterException", "MissingParameter;Sender"),
            ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid;Sender"),
        ] {
            assert_eq!(header("sqs", code), query);
        }
        assert_eq!(header("monitoring", "ValidationException"), "ValidationError;Sender");
    }
}
