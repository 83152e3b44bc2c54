//! AWS's wire protocols: which one a request speaks, what it asks for, and how its answer is written.

mod cbor;
mod json;
mod query;
mod rest;

use bytes::Bytes;
use http::{Response, request::Parts};
use serde_json::Value;

use crate::error::AwsError;

/// A wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// awsJson 1.0 and 1.1: the operation in `X-Amz-Target`.
    Json,
    /// Smithy RPC v2 over CBOR: the operation in the path.
    Cbor,
    /// A form with `Action`, answered in XML.
    Query,
    /// EC2's own kind of Query.
    Ec2,
    /// restJson: method and path name the operation. EFS alone speaks it here.
    Rest,
}

/// One call, whatever protocol it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The access key id of the request; empty without one.
    pub caller: String,
    /// The service's name, e.g. `transfer`.
    pub service: String,
    /// The operation, e.g. `CreateServer`.
    pub operation: String,
    /// Its input.
    pub input: Value,
}

/// The protocol of a request.
#[must_use]
pub fn protocol(head: &Parts) -> Protocol {
    if head.headers.contains_key("x-amz-target") {
        Protocol::Json
    } else if header(head, "smithy-protocol") == Some("rpc-v2-cbor") {
        Protocol::Cbor
    } else {
        match credential(head).map(|credential| credential.service).as_deref() {
            Some("elasticfilesystem") => Protocol::Rest,
            Some("ec2") => Protocol::Ec2,
            _ => Protocol::Query,
        }
    }
}

/// What a request asks for.
///
/// # Errors
/// AWS's error for a request that can't be read.
pub fn decode(protocol: Protocol, head: &Parts, body: &Bytes) -> Result<Call, AwsError> {
    let credential = credential(head);
    let scope = credential.as_ref().map(|credential| credential.service.as_str());
    let (service, operation, input) = match protocol {
        Protocol::Json => json::decode(header(head, "x-amz-target").unwrap_or_default(), body)?,
        Protocol::Cbor => cbor::decode(head.uri.path(), body)?,
        Protocol::Query | Protocol::Ec2 => query::decode(protocol, scope, head.uri.query(), body)?,
        Protocol::Rest => rest::decode(head, body)?,
    };
    let caller = credential.map(|credential| credential.access_key).unwrap_or_default();
    Ok(Call { caller, service, operation, input })
}

/// Writes an answer.
#[must_use]
pub fn encode(
    protocol: Protocol,
    service: &str,
    operation: &str,
    request_id: &str,
    answer: Result<Value, AwsError>,
) -> Response<Bytes> {
    match protocol {
        Protocol::Json => json::encode(service, answer),
        Protocol::Cbor => cbor::encode(answer),
        Protocol::Query | Protocol::Ec2 => query::encode(protocol, service, operation, request_id, answer),
        Protocol::Rest => rest::encode(operation, answer),
    }
}

/// What a SigV4 signature says about its maker.
struct Credential {
    access_key: String,
    service: String,
}

/// Reads `Credential=AKIA…/20260801/us-east-1/ecs/aws4_request`, of the header or of a presigned URL.
fn credential(head: &Parts) -> Option<Credential> {
    let scope = match header(head, "authorization") {
        Some(authorization) => authorization.split_once("Credential=")?.1.split([',', ' ']).next()?.to_owned(),
        None => query::pairs(head.uri.query()?.as_bytes()).into_iter().find(|(key, _)| key == "X-Amz-Credential")?.1,
    };
    let mut parts = scope.split('/');
    let access_key = parts.next()?.to_owned();
    let service = parts.nth(2)?.to_owned();
    Some(Credential { access_key, service })
}

fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name)?.to_str().ok()
}

fn response(status: u16, content_type: &str, headers: &[(&str, String)], body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::builder().status(status).header("content-type", content_type);
    for (name, value) in headers {
        response = response.header(*name, value.as_str());
    }
    let body = body.into();
    response.body(body).unwrap_or_else(|_| {
        let mut plain = Response::new(Bytes::new());
        *plain.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        plain
    })
}

fn malformed(why: impl std::fmt::Display) -> AwsError {
    AwsError::client("SerializationException", format!("The request can't be read: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)], uri: &str) -> Parts {
        let mut request = http::Request::builder().method("POST").uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    const EC2: &str =
        "AWS4-HMAC-SHA256 Credential=AKIDTEST/20260801/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0";

    #[test]
    fn the_credential_scope_names_service_and_caller() {
        let head = head(&[("authorization", EC2)], "/");
        assert_eq!(protocol(&head), Protocol::Ec2);
        let call =
            decode(Protocol::Ec2, &head, &Bytes::from_static(b"Action=DescribeVpcs&Version=2016-11-15")).unwrap();
        assert_eq!((call.caller.as_str(), call.service.as_str()), ("AKIDTEST", "ec2"));
        assert_eq!(call.operation, "DescribeVpcs");
    }

    #[test]
    fn a_presigned_url_names_its_caller_too() {
        let uri = "/?Action=GetCallerIdentity&X-Amz-Credential=AK%2F20260801%2Fus-east-1%2Fsts%2Faws4_request";
        let head = head(&[], uri);
        let call = decode(protocol(&head), &head, &Bytes::new()).unwrap();
        assert_eq!((call.caller.as_str(), call.service.as_str()), ("AK", "sts"));
    }

    #[test]
    fn malformed_json_is_a_serialization_exception() {
        let head = head(&[("x-amz-target", "TransferService.ListServers")], "/");
        let error = decode(Protocol::Json, &head, &Bytes::from_static(b"{\"a\":")).unwrap_err();
        assert_eq!(error.code, "SerializationException");
    }

    #[test]
    fn a_request_without_credentials_is_told_so() {
        let head = head(&[], "/");
        let error = decode(protocol(&head), &head, &Bytes::new()).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (403, "MissingAuthenticationToken"));
    }
}
