//! Wrong input: refused with a sentence that helps, and without a call to AWS.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{LocalRegion, blog, brisk, server};

/// What is sent, and what the refusal must say.
struct Case {
    path: &'static str,
    body: String,
    status: u16,
    says: &'static str,
}

fn case(path: &'static str, body: impl ToString, status: u16, says: &'static str) -> Case {
    Case { path, body: body.to_string(), status, says }
}

fn changed(mut value: Value, pointer: &str, to: Value) -> Value {
    match value.pointer_mut(pointer) {
        Some(place) => *place = to,
        None => value[pointer.trim_start_matches('/')] = to,
    }
    value
}

fn cases() -> Vec<Case> {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    let user = |key: &str| json!({ "public_keys": [key], "site": "blog" });
    let main = "/v1/servers/main";
    let alice = "/v1/servers/main/users/alice";
    vec![
        case(main, "{", 400, "line 1"),
        case(main, "[]", 422, "object"),
        case(main, "", 400, "JSON"),
        case(main, changed(server(None), "/file_system_id", json!(7)), 422, "/file_system_id"),
        case(main, changed(server(None), "/file_system_id", json!("vol-1")), 422, "fs-"),
        case(main, changed(server(None), "/colour", json!("red")), 422, "colour"),
        case(main, changed(server(None), "/network/subnet_ids", json!([])), 422, "/network/subnet_ids"),
        case(main, changed(server(None), "/network/allowed_cidrs", json!(["0.0.0.0/0"])), 422, "whole Internet"),
        case(main, changed(server(Some("5m")), "/idle/after", json!("soon")), 422, "30m"),
        case(main, changed(server(Some("5m")), "/idle/action", json!("nap")), 422, "sleep"),
        case(main, changed(server(None), "/hours", json!({})), 422, "not yet supported"),
        case("/v1/servers/Main", server(None), 400, "lower-case"),
        case(alice, user("ssh-ed25519 nonsense"), 422, "public key"),
        case(alice, user("-----BEGIN OPENSSH PRIVATE KEY-----"), 422, "private key"),
        case("/v1/servers/main/users/a", user(key), 400, "3 to 100"),
        case("/v1/servers/other/users/alice", user(key), 404, "other"),
        case("/v1/sites/blog", changed(blog("5s"), "/directory", json!("sites/blog")), 422, "/sites/blog"),
        case("/v1/sites/blog", changed(blog("5s"), "/directory", json!("/a/../b")), 422, ".."),
        case("/v1/sites/blog", changed(blog("5s"), "/mount_path", json!("/")), 422, "mount path"),
        case("/v1/sites/blog", blog("1h"), 422, "max_wait"),
        case("/v1/sites/blog", changed(blog("5s"), "/keep_revisions", json!(0)), 422, "2 to 100"),
        case("/v1/nowhere", json!({}), 404, "/v1/"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_refused_with_help_and_no_aws_call_is_made() {
    let local = LocalRegion::open(brisk().with("SweepSchedule", "rate(1 day)")).await;
    for case in cases() {
        let answer = local.api.ask_raw(Method::PUT, case.path, &[], case.body.clone()).await.unwrap();
        let what = format!("PUT {} {} answered {} {}", case.path, case.body, answer.status, answer.body);
        assert_eq!(answer.status.as_u16(), case.status, "{what}");
        assert!(answer.body.to_string().contains(case.says), "{what} without {:?}", case.says);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
    }
    for service in ["transfer", "ecs", "ec2", "elasticfilesystem", "secretsmanager", "sqs"] {
        let made = local.region.calls().sum(|call| call.service == service);
        assert_eq!(made, 0, "{made} calls of {service} were made");
    }
    // Everything but reading is a write, whatever the functions come to use.
    let reads = ["GetItem", "BatchGetItem", "Query", "Scan"];
    let writes =
        local.region.calls().sum(|call| call.service == "dynamodb" && !reads.contains(&call.operation.as_str()));
    assert_eq!(writes, 0, "something was stored");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_an_unknown_site_is_refused_and_not_kept() {
    let local = LocalRegion::open(brisk()).await;
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    let user = json!({ "public_keys": [local.key.public_line()], "site": "unknown" });
    let answer = local.api.ask(Method::PUT, "/v1/servers/main/users/alice", Some(&user)).await.unwrap();
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains("unknown")), "{}", answer.body);
    assert_eq!(answer.body["field"], "/site", "{}", answer.body);
    assert_eq!(local.api.get("/v1/servers/main/users/alice").await.unwrap().status, 404);
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_too_large_have_clear_answers() {
    let local = LocalRegion::open(brisk()).await;
    for path in ["/v1/servers/none", "/v1/sites/none", "/v1/servers/none/users/nobody", "/v1/sites/none/rollouts"] {
        let answer = local.api.get(path).await.unwrap();
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}: {}", answer.body);
    }
    let large = vec![b' '; 7 * 1024 * 1024];
    let answer = local.api.ask_raw(Method::PUT, "/v1/servers/main", &[], large).await.unwrap();
    assert_eq!(answer.status, 413);
    let answer = local.api.ask(Method::POST, "/v1/servers", None).await.unwrap();
    assert_eq!(answer.status, 405, "{}", answer.body);
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_etag_does_not_overwrite_and_a_dry_run_stores_nothing() {
    let local = LocalRegion::open(brisk()).await;
    let body = blog("5s").to_string();
    let dry = local.api.ask_raw(Method::PUT, "/v1/sites/blog?dry_run=true", &[], body.clone()).await.unwrap();
    assert!(dry.status.is_success(), "{}", dry.body);
    assert_eq!(local.api.get("/v1/sites/blog").await.unwrap().status, 404);
    let made = local.api.ask_raw(Method::PUT, "/v1/sites/blog", &[("if-none-match", "*")], body.clone()).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.body);
    let etag = made.headers["etag"].to_str().unwrap().to_owned();
    let other = blog("7s").to_string();
    let changed = local.api.ask_raw(Method::PUT, "/v1/sites/blog", &[("if-match", &etag)], other).await.unwrap();
    assert_eq!(changed.status, 200, "{}", changed.body);
    let stale = local.api.ask_raw(Method::PUT, "/v1/sites/blog", &[("if-match", &etag)], body).await.unwrap();
    assert_eq!(stale.status, 412, "{}", stale.body);
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_reach_neither_the_api_nor_the_aws_endpoint() {
    let local = LocalRegion::open(brisk()).await;
    let aws = wharfinger_cli::client::http::Http::new(local.region.addresses().aws);
    let origin = [("origin", "http://127.0.0.1:8080"), ("content-type", "text/plain")];
    for http in [&local.api, &aws] {
        let posted = http.ask_raw(Method::POST, "/v1/servers/main/stop", &origin, "").await.unwrap();
        assert_eq!(posted.status, 403, "a page's form: {}", posted.body);
        let rebound = http.ask_raw(Method::GET, "/v1/servers", &[("host", "evil.example")], "").await.unwrap();
        assert_eq!(rebound.status, 403, "a page's own name: {}", rebound.body);
    }
    local.close().await;
}
