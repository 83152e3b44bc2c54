//! The boundary to API Gateway: turns its events (payload format 2.0) into requests, and our responses into its
//! results.
//!
//! Nothing that a caller sends makes the function fail: an event that is no valid request is answered with 400. A
//! request's URI is path and query alone. Headers such as `Host` and `Forwarded` are never interpreted, because callers
//! can write anything into them.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::{Body, to_bytes},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use wharfinger_runtime::Moment;

use crate::{
    context::Context,
    handle,
    problem::{Kind, Problem, Refused, finish, quoted},
};

/// What is not encoded in a path: RFC 3986's `pchar`, the slash, and what is encoded already.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    .remove(b'%');

/// What is not encoded in a query.
const QUERY: &AsciiSet = &PATH.remove(b'?');

/// An event of an HTTP API, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    /// A header that came several times has its values joined by commas.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request_context: Context,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// A response in the gateway's format.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: String,
    is_base64_encoded: bool,
}

/// Answers an event.
pub async fn answer(router: Router, event: Event, moment: Moment) -> Answer {
    let (context, path) = (event.request_context.clone(), event.raw_path.clone());
    let response = match event.into_request() {
        Ok(request) => handle(router, request, moment).await.unwrap_or_else(|never| match never {}),
        Err(refused) => finish(refused.into_response(), &context.http.method, &path, context.request_id.as_deref()),
    };
    Answer::of(response).await
}

impl Event {
    fn into_request(self) -> Result<Request<Body>, Refused> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::from_bytes(self.request_context.http.method.as_bytes()).map_err(|_| {
            Problem::new(Kind::MethodNotAllowed, "the method can't be read: use GET, PUT, POST or DELETE")
        })?;
        *request.uri_mut() = self.uri()?;
        *request.headers_mut() = self.headers.iter().map(header).collect::<Result<_, _>>()?;
        request.extensions_mut().insert(self.request_context);
        if let Some(body) = self.body {
            *request.body_mut() = if self.is_base64_encoded { decode(&body)?.into() } else { body.into() };
        }
        Ok(request)
    }

    fn uri(&self) -> Result<Uri, Refused> {
        let mut text = utf8_percent_encode(&self.raw_path, PATH).to_string();
        if !self.raw_query_string.is_empty() {
            text.push('?');
            text.extend(utf8_percent_encode(&self.raw_query_string, QUERY));
        }
        let absolute = Some(text).filter(|text| text.starts_with('/'));
        let parsed = absolute.and_then(|text| PathAndQuery::try_from(text).ok());
        let sentence =
            "the path and the query can't be read: the path begins with a slash, and both have less than 64 KiB";
        parsed.map(Uri::from).ok_or_else(|| Problem::new(Kind::InvalidName, sentence))
    }
}

/// An invalid header is refused rather than dropped: without its `If-Match`, a request would mean something else.
fn header((name, value): (&String, &String)) -> Result<(HeaderName, HeaderValue), Refused> {
    let read = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
    let sentence = || format!("the header {} can't be read: leave control characters out", quoted(name));
    read.ok_or_else(|| Problem::new(Kind::InvalidHeader, sentence()))
}

fn decode(body: &str) -> Result<Vec<u8>, Refused> {
    STANDARD
        .decode(body)
        .map_err(|_| Problem::new(Kind::MalformedJson, "the body can't be read: send it as plain JSON"))
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body in memory is read without errors");
        let (body, is_base64_encoded) = match std::str::from_utf8(&body) {
            Ok(text) => (text.to_owned(), false),
            Err(_) => (STANDARD.encode(&body), true),
        };
        Self { status_code: parts.status.as_u16(), headers: joined(&parts.headers), body, is_base64_encoded }
    }
}

fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let values = |name| headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    headers.keys().map(|name| (name.to_string(), values(name).collect::<Vec<_>>().join(", "))).collect()
}
