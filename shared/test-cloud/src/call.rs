//! A call as the SDK sends it, in the protocol of its service: JSON, EC2's form with XML for answers, or CBOR, of which
//! only the operation is read.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::cbor;

/// What a refusal says where no test says anything else.
const NO_ANSWER: &str = "the test gives no answer";

/// One call.
#[derive(Clone)]
pub(crate) struct Call {
    /// As in the request's target, such as `DynamoDB_20120810`. Empty in other protocols than JSON.
    service: String,
    pub(crate) operation: String,
    /// Null in other protocols than JSON.
    pub(crate) input: Value,
    pub(crate) body: String,
    is_cbor: bool,
}

impl Call {
    pub(crate) fn read(request: &HttpRequest) -> Self {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        if let Some((service, operation)) = request.headers().get("x-amz-target").and_then(|it| it.split_once('.')) {
            let input = serde_json::from_str(&body).expect("the SDK speaks JSON");
            return Self { service: service.to_owned(), operation: operation.to_owned(), input, body, is_cbor: false };
        }
        if let Some((_, operation)) = request.uri().split_once("/operation/") {
            let operation = operation.to_owned();
            return Self { service: String::new(), operation, input: Value::Null, body, is_cbor: true };
        }
        let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
        let operation = action.map_or_else(|| format!("{} {}", request.method(), request.uri()), str::to_owned);
        Self { service: String::new(), operation, input: Value::Null, body, is_cbor: false }
    }

    /// `answer` as it is sent. What is no JSON is sent as it is, which a service that speaks CBOR never does.
    pub(crate) fn encoded(&self, answer: String) -> SdkBody {
        match serde_json::from_str(&answer) {
            Ok(answer) if self.is_cbor => SdkBody::from(cbor::encode(&answer)),
            _ => SdkBody::from(answer),
        }
    }

    /// Whether it goes to `service`, such as `DynamoDB`.
    pub(crate) fn is_of(&self, service: &str) -> bool {
        self.service.starts_with(service)
    }

    pub(crate) fn throttled(&self) -> (u16, String) {
        self.refused(if self.is_json() { "ThrottlingException" } else { "RequestLimitExceeded" }, NO_ANSWER)
    }

    pub(crate) fn denied(&self) -> (u16, String) {
        self.refused(if self.is_json() { "AccessDeniedException" } else { "UnauthorizedOperation" }, NO_ANSWER)
    }

    /// A refusal in the call's protocol.
    pub(crate) fn refused(&self, code: &str, message: &str) -> (u16, String) {
        if self.is_json() {
            return (400, json!({ "__type": code, "message": message }).to_string());
        }
        let error = format!("<Code>{code}</Code><Message>{message}</Message>");
        (400, format!("<Response><Errors><Error>{error}</Error></Errors><RequestID>1</RequestID></Response>"))
    }

    fn is_json(&self) -> bool {
        !self.service.is_empty()
    }
}
