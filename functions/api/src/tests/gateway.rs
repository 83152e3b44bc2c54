//! Events as API Gateway sends them, with what callers put into them.

use jiff::Timestamp;
use proptest::{collection::btree_map, prelude::*};
use serde_json::{Value, json};
use wharfinger_runtime::Moment;

use super::{server, site};
use crate::{gateway, testing::Stage};

fn event(method: &str, path: &str, headers: &Value) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "ANY /v1/{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "stage": "$default", "timeEpoch": 0, "requestId": "r-1",
            "domainName": "api.execute-api.us-east-1.amazonaws.com",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1" },
        },
        "isBase64Encoded": false,
    })
}

/// The status of the answer to `event`, its content type and its body.
async fn answer(stage: &Stage, event: Value) -> (u64, String, Value) {
    let now: Timestamp = "2026-03-06T10:00:00Z".parse().unwrap();
    let event = serde_json::from_value(event).unwrap();
    let answer = gateway::answer(stage.router.clone(), event, Moment::new(now, now)).await;
    let answer = serde_json::to_value(answer).unwrap();
    assert_eq!(answer["isBase64Encoded"], false);
    let content_type = answer["headers"]["content-type"].as_str().unwrap_or_default();
    let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap_or_default();
    (answer["statusCode"].as_u64().unwrap(), content_type.to_owned(), body)
}

#[tokio::test]
async fn hosts_and_schemes_that_do_not_exist_change_nothing() {
    let stage = Stage::new();
    for headers in [
        json!({ "host": "127.0.0.1:9000,127.0.0.1:9000" }),
        json!({ "host": "127.0.0.1:99999" }),
        json!({ "host": "127.0.0.1", "x-forwarded-proto": "gopher!" }),
    ] {
        let (status, _, body) = answer(&stage, event("GET", "/v1/servers", &headers)).await;
        assert_eq!(status, 200, "{headers}: {body}");
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_refused_by_name() {
    let headers = json!({ "if-match": "\"1\u{1}\"" });
    let (status, content_type, body) = answer(&Stage::new(), event("PUT", "/v1/sites/blog", &headers)).await;
    assert_eq!((status, content_type.as_str()), (400, "application/problem+json"), "{body}");
    assert_eq!(body["type"], "urn:wharfinger:problem:invalid-header");
    assert!(body["detail"].as_str().unwrap().contains("if-match"), "{body}");
    assert_eq!((&body["instance"], &body["request_id"]), (&json!("/v1/sites/blog"), &json!("r-1")));
}

#[tokio::test]
async fn a_long_header_name_is_not_repeated() {
    let headers = json!({ "x".repeat(9_000): "\u{1}" });
    let (status, _, body) = answer(&Stage::new(), event("PUT", "/v1/sites/blog", &headers)).await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(body["detail"], "the header of 9000 bytes can't be read: leave control characters out");
}

#[tokio::test]
async fn a_header_in_another_language_is_no_trouble() {
    let (status, ..) = answer(&Stage::new(), event("GET", "/v1/servers", &json!({ "x-name": "Müller" }))).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_path_that_is_too_long_is_refused() {
    let path = format!("/v1/sites/{}", "a".repeat(70_000));
    let (status, _, body) = answer(&Stage::new(), event("GET", &path, &json!({}))).await;
    assert_eq!((status, &body["type"]), (400, &json!("urn:wharfinger:problem:invalid-name")));
}

#[tokio::test]
async fn path_query_headers_and_body_arrive() {
    let stage = Stage::new();
    let json = json!({ "content-type": "application/json" });
    let mut put = event("PUT", "/v1/sites/blog", &json);
    put["body"] = site().to_string().into();
    put["rawQueryString"] = "dry_run=true".into();
    assert_eq!(answer(&stage, put.clone()).await.0, 200);
    put["rawQueryString"] = "".into();
    assert_eq!(answer(&stage, put.clone()).await.0, 201, "the dry run has stored nothing");
    put["headers"]["if-none-match"] = "*".into();
    assert_eq!(answer(&stage, put).await.0, 412);
}

#[tokio::test]
async fn a_body_in_base64_is_decoded_and_a_broken_one_refused() {
    let stage = Stage::new();
    let mut put = event("PUT", "/v1/servers/main", &json!({ "content-type": "application/json" }));
    put["isBase64Encoded"] = true.into();
    put["body"] = "{}".into();
    assert_eq!(answer(&stage, put.clone()).await.0, 400);
    put["body"] = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, server().to_string()).into();
    assert_eq!(answer(&stage, put).await.0, 201);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_caller_sends_is_answered(
        path in ".{0,20}",
        query in ".{0,20}",
        headers in btree_map("host|x-forwarded-proto|if-match|content-type|.{0,8}", ".{0,12}", 0..4),
        method in "GET|PUT|DELETE|.{0,5}",
        body in ".{0,10}",
        is_base64_encoded in any::<bool>(),
    ) {
        let mut event = event(&method, &path, &json!(headers));
        event["rawQueryString"] = query.into();
        event["body"] = body.into();
        event["isBase64Encoded"] = is_base64_encoded.into();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (status, ..) = runtime.block_on(answer(&Stage::new(), event));
        prop_assert!((200..500).contains(&status), "{status}");
    }
}
