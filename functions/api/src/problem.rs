//! Errors as callers see them: the one table of statuses, and RFC 9457 bodies (`application/problem+json`).
//!
//! `detail` is a sentence that says what to do. The cause, which only operators should see, is logged once. Statuses
//! follow one rule: 400 for what can't be parsed, 422 for what can be parsed and is not allowed, 409 for what conflicts
//! with the state of something, 412 for a failed precondition.

use std::sync::Arc;

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use wharfinger_decisions::text::{Invalid, Misfit};
use wharfinger_store::{table::StoreError, unreadable::Unreadable};

use crate::context::Context;

/// The longest name that a sentence repeats, in bytes.
const LONGEST_QUOTE: usize = 64;

/// A name that a caller gave, for a sentence: in quotes, or its length alone if it is longer than any that is known.
/// Answers and log lines stay short that way.
pub(crate) fn quoted(name: &str) -> String {
    if name.len() <= LONGEST_QUOTE { format!("{name:?}") } else { format!("of {} bytes", name.len()) }
}

/// Kinds of problems. Each has one row in [`Kind::row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MalformedJson,
    InvalidName,
    InvalidQuery,
    InvalidHeader,
    NotFound,
    NoRoute,
    MethodNotAllowed,
    Deleting,
    InUse,
    Taken,
    Contended,
    TooMany,
    NothingToAdopt,
    NotNow,
    Unreadable,
    PreconditionFailed,
    TooLarge,
    UnsupportedMediaType,
    InvalidField,
    NotSupported,
    Internal,
    Unavailable,
}

impl Kind {
    /// Status, slug of the type, and title.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed-json", "The body is not JSON"),
            Self::InvalidName => (StatusCode::BAD_REQUEST, "invalid-name", "A name in the path is not allowed"),
            Self::InvalidQuery => (StatusCode::BAD_REQUEST, "invalid-query", "The query is not allowed"),
            Self::InvalidHeader => (StatusCode::BAD_REQUEST, "invalid-header", "A header can't be read"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "It does not exist"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no-such-path", "The API has no such path"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path does not take this method")
            }
            Self::Deleting => (StatusCode::CONFLICT, "being-deleted", "It is being deleted"),
            Self::InUse => (StatusCode::CONFLICT, "in-use", "Something else depends on it"),
            Self::Taken => (StatusCode::CONFLICT, "taken", "Something else has it already"),
            Self::Contended => (StatusCode::CONFLICT, "contended", "Others are changing it"),
            Self::TooMany => (StatusCode::CONFLICT, "too-many", "There is room for no more"),
            Self::NothingToAdopt => (StatusCode::CONFLICT, "nothing-to-adopt", "There is nothing to adopt"),
            Self::NotNow => (StatusCode::CONFLICT, "not-now", "It can't be done now"),
            Self::Unreadable => (StatusCode::CONFLICT, "unreadable-record", "Its record can't be read"),
            Self::PreconditionFailed => {
                (StatusCode::PRECONDITION_FAILED, "precondition-failed", "It is not as the request requires")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has another media type")
            }
            Self::InvalidField => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-field", "A field is not allowed"),
            Self::NotSupported => (StatusCode::UNPROCESSABLE_ENTITY, "not-supported", "It is not yet supported"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Wharfinger failed"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Wharfinger is busy"),
        }
    }

    /// After how many seconds the same request may succeed, where waiting alone can help.
    const fn retry_after(self) -> Option<u16> {
        match self {
            Self::Deleting => Some(10),
            Self::Contended => Some(1),
            Self::Unavailable => Some(2),
            _ => None,
        }
    }
}

/// One problem.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    pub(crate) detail: String,
    pub(crate) field: Option<String>,
    pub(crate) allowed: Vec<String>,
    /// All errors, where there are several; the first is the problem itself.
    pub(crate) errors: Vec<ListedError>,
    cause: Option<StoreError>,
}

/// Boxed, as it is much larger than what a handler returns when all goes well.
pub(crate) type Refused = Box<Problem>;

impl Problem {
    /// A problem of `kind`; `detail` says what to do.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Refused {
        Box::new(Self {
            kind,
            detail: detail.into(),
            field: None,
            allowed: Vec::new(),
            errors: Vec::new(),
            cause: None,
        })
    }

    /// A value that is not allowed at the JSON pointer `field`.
    pub(crate) fn field(field: impl Into<String>, sentence: impl std::fmt::Display) -> Refused {
        Self::at(Kind::InvalidField, field, sentence)
    }

    /// A problem of `kind` with the value at the JSON pointer `field`.
    pub(crate) fn at(kind: Kind, field: impl Into<String>, sentence: impl std::fmt::Display) -> Refused {
        let field = field.into();
        let place = if field.is_empty() { "the body" } else { &field };
        let mut problem = Self::new(kind, format!("{place}: {sentence}"));
        problem.field = Some(field);
        problem
    }

    /// Adds the values that are allowed.
    pub(crate) fn allowing(mut self: Box<Self>, allowed: Vec<String>) -> Refused {
        self.allowed = allowed;
        self
    }

    /// Lists `others` with this problem, which is the first of them.
    pub(crate) fn among(mut self: Box<Self>, others: impl IntoIterator<Item = Refused>) -> Refused {
        let others: Vec<ListedError> = others.into_iter().map(|other| other.listed()).collect();
        if !others.is_empty() {
            self.errors = std::iter::once(self.listed()).chain(others).collect();
        }
        self
    }

    fn listed(&self) -> ListedError {
        let field = self.field.clone().unwrap_or_default();
        let detail = self.detail.strip_prefix(&format!("{field}: ")).unwrap_or(&self.detail).to_owned();
        ListedError { field, detail }
    }

    /// `what`, such as `the server "main"`, does not exist.
    pub(crate) fn not_found(what: &str) -> Refused {
        Self::new(Kind::NotFound, format!("{what} does not exist"))
    }

    /// The name in the path at `part`, such as `server`, is not allowed.
    pub(crate) fn invalid_name(part: &str, invalid: &Invalid) -> Refused {
        Self::new(Kind::InvalidName, format!("the {part} in the path: {invalid}"))
    }

    /// `what` is being deleted.
    pub(crate) fn deleting(what: &str) -> Refused {
        Self::new(
            Kind::Deleting,
            format!("{what} is being deleted: wait until a GET answers 404, then send the request again"),
        )
    }

    /// The record of `what` can't be read by this version.
    pub(crate) fn unreadable(what: &str, unreadable: &Unreadable) -> Refused {
        Self::new(
            Kind::Unreadable,
            format!(
                "the record of {what} can't be read by this version ({}): replace it with a PUT, remove it with a DELETE, or deploy the version that wrote it",
                unreadable.reason
            ),
        )
    }

    /// The same problem, naming the `methods` of an `Allow` header.
    fn naming(&self, methods: &str) -> Refused {
        let methods: Vec<String> = methods.split(',').map(|method| method.trim().to_owned()).collect();
        let choice = match methods.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        };
        Self::new(self.kind, format!("{}: use {choice}", self.detail)).allowing(methods)
    }

    fn body(&self, instance: &str, request_id: Option<&str>) -> Vec<u8> {
        let (status, slug, title) = self.kind.row();
        let body = Body {
            kind: format!("urn:wharfinger:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance,
            field: self.field.as_deref(),
            allowed: &self.allowed,
            errors: &self.errors,
            request_id,
        };
        serde_json::to_vec(&body).expect("strings and numbers are JSON")
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    allowed: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ListedError],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// One of several things that are wrong with a body.
#[derive(Debug, Serialize)]
pub(crate) struct ListedError {
    pub(crate) field: String,
    detail: String,
}

impl From<Vec<Misfit>> for Refused {
    /// The first error is the problem's own; if there are more, all are listed.
    fn from(misfits: Vec<Misfit>) -> Self {
        let first = misfits.first().expect("a refusal has a reason");
        let problem = Problem::field(first.field, &first.invalid);
        problem.among(misfits.iter().skip(1).map(|misfit| Problem::field(misfit.field, &misfit.invalid)))
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        let (kind, detail) = match &error {
            StoreError::Conflict => {
                (Kind::Contended, "others changed it at the same moment, several times: send the request again")
            }
            StoreError::Busy { .. } => (
                Kind::Unavailable,
                "the table did not answer in time: send the request again, it may or may not have been done",
            ),
            StoreError::Unreadable(unreadable) => return Problem::unreadable(unreadable.name(), unreadable),
            _ => (Kind::Internal, "the request could not be carried out: the function's log has the cause"),
        };
        let mut problem = Problem::new(kind, detail);
        problem.cause = Some(error);
        problem
    }
}

impl IntoResponse for Refused {
    /// The status, with the problem for `answer` to write out.
    fn into_response(self) -> Response {
        let mut response = self.kind.row().0.into_response();
        response.extensions_mut().insert(Arc::<Problem>::from(self));
        response
    }
}

/// The layer around all routes: finishes each answer with the request's path and id.
pub(crate) async fn answer(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let request_id = request.extensions().get::<Context>().and_then(|context| context.request_id.clone());
    finish(next.run(request).await, method.as_str(), &path, request_id.as_deref())
}

/// Writes out the problem that `response` may carry, and logs the request, once.
pub(crate) fn finish(mut response: Response, method: &str, path: &str, request_id: Option<&str>) -> Response {
    let status = response.status().as_u16();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() else {
        tracing::info!(method, path, status, "answered");
        return response;
    };
    if let (true, Some(cause)) = (response.status().is_server_error(), &problem.cause) {
        let cause = chain(cause);
        tracing::error!(method, path, status, cause, request_id, "a request failed");
    } else {
        tracing::info!(method, path, status, detail = problem.detail, "refused");
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.kind.retry_after() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    headers.remove(header::CONTENT_LENGTH);
    let allowed = headers.get(header::ALLOW).and_then(|methods| methods.to_str().ok());
    let body = match (problem.kind, allowed) {
        (Kind::MethodNotAllowed, Some(methods)) => problem.naming(methods).body(path, request_id),
        _ => problem.body(path, request_id),
    };
    *response.body_mut() = body.into();
    response
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 22] = [
        Kind::MalformedJson,
        Kind::InvalidName,
        Kind::InvalidQuery,
        Kind::InvalidHeader,
        Kind::NotFound,
        Kind::NoRoute,
        Kind::MethodNotAllowed,
        Kind::Deleting,
        Kind::InUse,
        Kind::Taken,
        Kind::Contended,
        Kind::TooMany,
        Kind::NotNow,
        Kind::NothingToAdopt,
        Kind::Unreadable,
        Kind::PreconditionFailed,
        Kind::TooLarge,
        Kind::UnsupportedMediaType,
        Kind::InvalidField,
        Kind::NotSupported,
        Kind::Internal,
        Kind::Unavailable,
    ];

    #[test]
    fn each_kind_has_a_type_of_its_own() {
        let slugs: std::collections::BTreeSet<_> = ALL.iter().map(|kind| kind.row().1).collect();
        assert_eq!(slugs.len(), ALL.len());
    }

    #[test]
    fn the_body_names_field_and_instance() {
        let problem = Problem::field("/idle/after", "write a duration").allowing(vec!["30m".into()]);
        let body: serde_json::Value = serde_json::from_slice(&problem.body("/v1/servers/main", Some("r-1"))).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:wharfinger:problem:invalid-field",
                "title": "A field is not allowed",
                "status": 422,
                "detail": "/idle/after: write a duration",
                "instance": "/v1/servers/main",
                "field": "/idle/after",
                "allowed": ["30m"],
                "request_id": "r-1",
            })
        );
    }

    #[test]
    fn a_busy_table_is_temporary_and_an_unreadable_item_is_not() {
        let busy = StoreError::Busy { what: "read an item", source: "throttled".into() };
        assert_eq!(Refused::from(busy).kind, Kind::Unavailable);
        let form = serde_dynamo_error();
        assert_eq!(Refused::from(form).kind, Kind::Internal);
        assert_eq!(Refused::from(StoreError::Conflict).kind, Kind::Contended);
    }

    fn serde_dynamo_error() -> StoreError {
        StoreError::Table { what: "read an item", source: "denied".into() }
    }

    #[test]
    fn the_log_has_the_whole_chain_of_causes() {
        let error = StoreError::Table { what: "read an item", source: "access denied".into() };
        assert_eq!(chain(&error), "DynamoDB could not read an item: access denied");
    }
}
