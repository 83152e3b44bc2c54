//! A request as a payload format 2.0 event.

use std::net::SocketAddr;

use axum::http::{HeaderMap, header, request::Parts};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use wharfinger_emulator::{clock::Clock, ids::ACCOUNT};

use super::{auth::keys::AccessKey, route::Selected};

/// The id of the one HTTP API of a region.
const API_ID: &str = "wharfinger";

/// Who asks on a route of IAM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Caller {
    access_key: String,
    user: String,
}

impl Caller {
    /// The user whose key has signed.
    pub(super) fn verified(key: &AccessKey) -> Self {
        Self { access_key: key.id().to_owned(), user: key.user().to_owned() }
    }

    /// Where signatures are not checked: the access key that the request names, if it is signed, or `local`.
    pub(super) fn claimed(headers: &HeaderMap) -> Self {
        let signed = text_of(headers, header::AUTHORIZATION).and_then(|text| text.strip_prefix("AWS4-HMAC-SHA256 "));
        let credential =
            signed.and_then(|text| text.split("Credential=").nth(1)).and_then(|text| text.split('/').next());
        let user = credential.unwrap_or("local").to_owned();
        Self { access_key: user.clone(), user }
    }

    /// `requestContext.authorizer.iam` of payload format 2.0.
    fn to_iam(&self) -> Value {
        json!({
            "accessKey": self.access_key,
            "accountId": ACCOUNT,
            "callerId": self.user,
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:iam::{ACCOUNT}:user/{}", self.user),
            "userId": self.user,
        })
    }
}

/// The event. `caller` is there on routes of IAM.
pub(super) fn to_event(
    parts: &Parts,
    body: &[u8],
    selected: &Selected<'_>,
    caller: Option<&Caller>,
    source: SocketAddr,
    clock: &Clock,
) -> Value {
    let query = parts.uri.query().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": selected.key(),
        "rawPath": parts.uri.path(),
        "rawQueryString": query,
        "headers": join_headers(&parts.headers, parts.uri.authority().map(ToString::to_string)),
        "requestContext": request_context(parts, selected, caller, source, clock),
        "isBase64Encoded": false,
    });
    let cookies = read_cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    let parameters = read_query(query);
    if !parameters.is_empty() {
        event["queryStringParameters"] = parameters.into();
    }
    if !selected.variables.is_empty() {
        event["pathParameters"] = selected.variables.clone().into();
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(body).ok().filter(|_| is_text(&parts.headers));
        event["isBase64Encoded"] = text.is_none().into();
        event["body"] = text.map_or_else(|| STANDARD.encode(body), str::to_owned).into();
    }
    event
}

fn request_context(
    parts: &Parts,
    selected: &Selected<'_>,
    caller: Option<&Caller>,
    source: SocketAddr,
    clock: &Clock,
) -> Value {
    let now = clock.now();
    let host = text_of(&parts.headers, header::HOST).unwrap_or("localhost");
    let domain = host.rsplit_once(':').map_or(host, |(domain, _)| domain);
    let mut context = json!({
        "accountId": if caller.is_some() { ACCOUNT } else { "anonymous" },
        "apiId": API_ID,
        "domainName": domain,
        "domainPrefix": domain.split('.').next(),
        "http": {
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "protocol": format!("{:?}", parts.version),
            "sourceIp": source.ip().to_string(),
            "userAgent": text_of(&parts.headers, header::USER_AGENT).unwrap_or_default(),
        },
        "requestId": wharfinger_emulator::ids::random_uuid().to_string(),
        "routeKey": selected.key(),
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": now.as_millisecond(),
    });
    if let Some(caller) = caller {
        context["authorizer"] = json!({ "iam": caller.to_iam() });
    }
    context
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Names in lower case, several values of one joined by commas; cookies have their own place.
fn join_headers(headers: &HeaderMap, authority: Option<String>) -> Map<String, Value> {
    let mut joined = Map::new();
    for name in headers.keys().filter(|name| *name != header::COOKIE) {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        joined.insert(name.as_str().to_owned(), values.collect::<Vec<_>>().join(",").into());
    }
    if let Some(authority) = authority {
        joined.entry("host").or_insert_with(|| authority.into());
    }
    joined
}

fn read_cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split("; ")).map(str::to_owned).collect()
}

/// Decoded, several values of one name joined by commas.
fn read_query(query: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let joined = match parameters.get(name.as_ref()).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value.into_owned(),
        };
        parameters.insert(name.into_owned(), joined.into());
    }
    parameters
}

/// Whether API Gateway passes bodies of this type on as text; everything else it encodes in base64.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(content_type) = text_of(headers, header::CONTENT_TYPE) else { return true };
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let named = ["application/json", "application/xml", "application/javascript"].contains(&media_type.as_str());
    named || media_type.starts_with("text/") || media_type.ends_with("+json") || media_type.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wiring::Route;

    fn event_of(request: axum::http::Request<&[u8]>) -> Value {
        let (parts, body) = request.into_parts();
        let route =
            Route { method: "ANY".into(), path: "/v1/{proxy+}".into(), timeout: Duration::from_secs(30), iam: true };
        let variables = Map::from_iter([("proxy".to_owned(), json!("x"))]);
        let selected = Selected { function: "f", route: &route, variables };
        to_event(
            &parts,
            body,
            &selected,
            Some(&Caller::claimed(&parts.headers)),
            "127.0.0.1:5000".parse().unwrap(),
            &Clock::starting_at("2026-03-06T10:15:30Z".parse().unwrap()),
        )
    }

    #[tokio::test]
    async fn each_part_of_a_request_has_its_place() {
        let request = axum::http::Request::put("/v1/x?a=1&a=2&b=%20")
            .header("host", "api.local:9000")
            .header("content-type", "application/json")
            .header("cookie", "k=v; l=w")
            .header("x-many", "1")
            .header("x-many", "2")
            .body(b"{\"a\":1}".as_slice());
        let event = event_of(request.unwrap());
        assert_eq!(event["version"], "2.0");
        assert_eq!(event["routeKey"], "ANY /v1/{proxy+}");
        assert_eq!(event["rawPath"], "/v1/x");
        assert_eq!(event["rawQueryString"], "a=1&a=2&b=%20");
        assert_eq!(event["queryStringParameters"], json!({ "a": "1,2", "b": " " }));
        assert_eq!(event["pathParameters"], json!({ "proxy": "x" }));
        assert_eq!(event["cookies"], json!(["k=v", "l=w"]));
        assert_eq!(event["headers"]["x-many"], "1,2");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{\"a\":1}"), &json!(false)));
        let context = &event["requestContext"];
        assert_eq!(context["http"]["protocol"], "HTTP/1.1");
        assert_eq!(context["time"], "06/Mar/2026:10:15:30 +0000");
        assert_eq!(context["domainName"], "api.local");
        assert_eq!(context["authorizer"]["iam"]["userArn"], "arn:aws:iam::000000000000:user/local");
    }

    #[tokio::test]
    async fn a_body_that_is_not_text_is_encoded() {
        let request = axum::http::Request::post("/v1/x").header("content-type", "application/octet-stream");
        let event = event_of(request.body([0xff, 0x00].as_slice()).unwrap());
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }
}
