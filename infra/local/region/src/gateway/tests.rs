//! The front over real HTTP, with a function in this process.

use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::lambda::testing::{Recorder, context, function};

/// A front with one route and a function that answers so after `duration`; its address.
async fn start(answer: Result<Value, FunctionError>, duration: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let route = wiring::Route {
        method: "ANY".to_owned(),
        path: "/v1/{proxy+}".to_owned(),
        timeout: Duration::from_millis(500),
        iam: false,
    };
    let functions = vec![wiring::Function { routes: vec![route], ..function("api") }];
    let lambda = Recorder::new(vec![answer], duration).lambda(functions.clone());
    tokio::spawn(async move {
        serve(listener, &functions, lambda, context().clock, None, CancellationToken::new()).await.unwrap();
    });
    format!("http://{address}")
}

async fn put(address: &str, path: &str, body: Vec<u8>) -> (u16, Value) {
    let sent = reqwest::Client::new().put(format!("{address}{path}")).body(body).send().await.unwrap();
    (sent.status().as_u16(), sent.json().await.unwrap())
}

#[tokio::test]
async fn the_functions_answer_is_the_answer() {
    let answer = json!({ "statusCode": 201, "headers": { "etag": "\"1\"" }, "body": "{\"a\":1}" });
    let address = start(Ok(answer), Duration::ZERO).await;
    assert_eq!(put(&address, "/v1/x", b"{}".to_vec()).await, (201, json!({ "a": 1 })));
}

#[tokio::test]
async fn a_path_without_a_route_is_not_found() {
    let address = start(Ok(json!({})), Duration::ZERO).await;
    assert_eq!(put(&address, "/v2/x", vec![]).await, (404, json!({ "message": "Not Found" })));
}

#[tokio::test]
async fn a_body_over_six_megabytes_is_refused() {
    let address = start(Ok(json!({ "a": 1 })), Duration::ZERO).await;
    let refusal = (413, json!({ "message": "Request Entity Too Large" }));
    assert_eq!(put(&address, "/v1/x", vec![b'x'; PAYLOAD_LIMIT + 1]).await, refusal);
    assert_eq!(put(&address, "/v1/x", vec![b'x'; PAYLOAD_LIMIT - 10_000]).await, (200, json!({ "a": 1 })));
}

#[tokio::test]
async fn a_function_that_fails_is_an_internal_error() {
    let address = start(Err(FunctionError::Exited("signal: 9".to_owned())), Duration::ZERO).await;
    assert_eq!(put(&address, "/v1/x", vec![]).await, (500, json!({ "message": "Internal Server Error" })));
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_unavailable() {
    let address = start(Ok(json!({})), Duration::from_secs(60)).await;
    assert_eq!(put(&address, "/v1/x", vec![]).await, (503, json!({ "message": "Service Unavailable" })));
}

/// A front whose one route is of IAM or not, and which asks for signatures of one key.
async fn start_guarded(iam: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (method, path) = ("ANY".to_owned(), "/v1/{proxy+}".to_owned());
    let route = wiring::Route { method, path, timeout: Duration::from_secs(5), iam };
    let functions = vec![wiring::Function { routes: vec![route], ..function("api") }];
    let answer = json!({ "statusCode": 200, "body": "{\"a\":1}" });
    let lambda = Recorder::new(vec![Ok(answer)], Duration::ZERO).lambda(functions.clone());
    let keys = Some(vec!["AKIAME:secret".parse().unwrap()]);
    tokio::spawn(async move {
        serve(listener, &functions, lambda, context().clock, keys, CancellationToken::new()).await.unwrap();
    });
    format!("http://{address}")
}

#[tokio::test]
async fn only_routes_of_iam_ask_for_a_signature() {
    let guarded = start_guarded(true).await;
    assert_eq!(put(&guarded, "/v1/x", vec![]).await, (403, json!({ "message": "Forbidden" })));
    assert_eq!(put(&guarded, "/v2/x", vec![]).await, (404, json!({ "message": "Not Found" })), "there is no route");
    let open = start_guarded(false).await;
    assert_eq!(put(&open, "/v1/x", vec![]).await, (200, json!({ "a": 1 })));
}
