//! What is refused before AWS is asked anything.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::{furnished, server, site, user, with};
use crate::testing::Stage;

#[tokio::test]
async fn what_is_wrong_in_itself_is_refused_without_an_aws_call() {
    let stage = Stage::new();
    let elsewhere = with(server(), "/network/address_allocation_ids", json!([]));
    for (line, body, status, field) in [
        ("PUT /v1/servers/main", json!([]), 422, ""),
        ("PUT /v1/servers/main", with(server(), "/sise", json!(1)), 422, "/sise"),
        ("PUT /v1/servers/main", with(server(), "/hours", json!({})), 422, "/hours"),
        ("PUT /v1/servers/main", with(elsewhere, "/idle/action", json!("sleep")), 422, "/idle/action"),
        ("PUT /v1/servers/main", with(server(), "/idle/after", json!(30)), 422, "/idle/after"),
        ("PUT /v1/servers/main", with(server(), "/network/subnet_ids", json!([])), 422, "/network/subnet_ids"),
        ("PUT /v1/servers/main", with(server(), "/network/vpc_id", json!("vpc")), 422, "/network/vpc_id"),
        (
            "PUT /v1/servers/main",
            with(server(), "/network/allowed_cidrs", json!(["0.0.0.0/0"])),
            422,
            "/network/allowed_cidrs/0",
        ),
        ("PUT /v1/servers/main/users/alice", with(user(), "/public_keys", json!(["x"])), 422, "/public_keys/0"),
        ("PUT /v1/servers/main/users/alice", with(user(), "/directory", json!("/a")), 422, "/directory"),
        ("PUT /v1/servers/main/users/alice", with(user(), "/site", json!("Blog")), 422, "/site"),
        ("PUT /v1/servers/main/users/alice", with(user(), "/posix", json!({"uid": 0, "gid": 0})), 422, "/posix/uid"),
        ("PUT /v1/servers/main/users/alice", with(user(), "/posix", json!({"uid": 1, "gid": 0})), 422, "/posix/gid"),
        ("PUT /v1/sites/blog", with(site(), "/directory", json!("sites/blog")), 422, "/directory"),
        ("PUT /v1/sites/blog", with(site(), "/keep_revisions", json!(1)), 422, "/keep_revisions"),
    ] {
        let answer = stage.ask(line, &body).await.expect(status);
        assert_eq!(answer.body["field"], field, "{:#}", answer.body);
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.body["instance"], line.split_once(' ').unwrap().1);
    }
    assert_eq!(stage.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let stage = Stage::new();
    let wrong = with(with(site(), "/keep_revisions", json!(1)), "/finish", json!({"marker": "a/b"}));
    let answer = stage.ask("PUT /v1/sites/blog", &wrong).await.expect(422);
    assert_eq!(answer.body["field"], "/finish/marker");
    let errors = answer.body["errors"].as_array().unwrap();
    let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["/finish/marker", "/keep_revisions"]);
    assert_eq!(errors[1]["detail"], "keep 2 to 100 revisions");
}

#[tokio::test]
async fn bad_names_queries_headers_and_paths_are_refused_without_an_aws_call() {
    let stage = Stage::new();
    for (line, status, problem) in [
        ("PUT /v1/servers/Main", 400, "invalid-name"),
        ("PUT /v1/servers/a%2Fb", 400, "invalid-name"),
        ("GET /v1/servers/%ff", 400, "invalid-name"),
        ("GET /v1/servers/a%0Ab", 400, "invalid-name"),
        ("PUT /v1/servers/main/users/ab", 400, "invalid-name"),
        ("PUT /v1/sites/my_site", 400, "invalid-name"),
        ("GET /v1/servers?limit=0", 400, "invalid-query"),
        ("GET /v1/sites?after=%21", 400, "invalid-query"),
        ("GET /v1/servers/main?dry_run=true", 400, "invalid-query"),
        ("DELETE /v1/servers/main?with_user=true", 400, "invalid-query"),
        ("DELETE /v1/servers/main?dry-run=true", 400, "invalid-query"),
        ("POST /v1/servers/main/start?force=1", 400, "invalid-query"),
        ("POST /v1/servers/main/stop?force=1", 400, "invalid-query"),
        ("POST /v1/servers/main/wake?now=true", 400, "invalid-query"),
        ("GET /", 404, "no-such-path"),
        ("GET /v1/servers/", 404, "no-such-path"),
        ("GET /v2/servers", 404, "no-such-path"),
        ("PUT /v1/servers/main", 400, "malformed-json"),
    ] {
        let answer = stage.get(line).await.expect(status);
        assert_eq!(answer.problem(), problem, "{line}: {:#}", answer.body);
    }
    let header = [("if-none-match", "\"3\"")];
    let answer = stage.ask_if("PUT /v1/servers/main", &server(), &header).await.expect(400);
    assert_eq!(answer.problem(), "invalid-header");
    let answer = stage.ask("POST /v1/servers/main/start", &json!({"force": true})).await.expect(422);
    assert_eq!(answer.problem(), "invalid-field");
    assert!(stage.calls().is_empty());
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let stage = Stage::new();
    for (line, allow, sentence) in [
        ("POST /v1/servers/main", "GET,HEAD,PUT,DELETE", "POST is not taken here: use GET, HEAD, PUT or DELETE"),
        ("GET /v1/servers/main/start", "POST", "GET is not taken here: use POST"),
        ("PUT /v1/sites", "GET,HEAD", "PUT is not taken here: use GET or HEAD"),
    ] {
        let answer = stage.get(line).await.expect(405);
        assert_eq!((answer.problem(), answer.header("allow")), ("method-not-allowed", allow), "{line}");
        assert_eq!(answer.body["detail"], sentence, "{line}");
        assert_eq!(answer.body["allowed"], json!(allow.split(',').collect::<Vec<_>>()), "{line}");
    }
    assert!(stage.calls().is_empty());
}

#[tokio::test]
async fn one_more_user_or_site_than_there_is_room_for_is_refused() {
    let stage = furnished().await;
    for number in 1..10_000 {
        stage.cloud.put_plain("USERS#main", &format!("user{number}"), &json!({}));
    }
    let answer = stage.ask("PUT /v1/servers/main/users/bob", &user()).await.expect(409);
    assert_eq!(answer.problem(), "too-many");
    assert!(answer.body["detail"].as_str().unwrap().contains("10000 a server"), "{}", answer.body);
    stage.ask("PUT /v1/servers/main/users/alice", &user()).await.expect(200);
    for number in 1..1_000 {
        stage.cloud.put_plain("SITES", &format!("site{number}"), &json!({}));
    }
    let another = with(site(), "/directory", json!("/sites/another"));
    let answer = stage.ask("PUT /v1/sites/another", &another).await.expect(409);
    assert_eq!(answer.problem(), "too-many");
    stage.ask("PUT /v1/sites/blog", &site()).await.expect(200);
}

#[tokio::test]
async fn large_bodies_and_other_media_are_refused_without_an_aws_call() {
    let stage = Stage::new();
    let put = || Request::builder().method("PUT").uri("/v1/sites/blog");
    let spec = site().to_string();
    let padded = format!("{spec}{}", " ".repeat(64 * 1024 - spec.len()));
    stage.send(put().body(Body::from(padded.clone())).unwrap()).await.expect(201);
    stage.calls();
    let answer = stage.send(put().body(Body::from(padded + " ")).unwrap()).await.expect(413);
    assert_eq!(answer.problem(), "body-too-large");
    assert_eq!(answer.body["detail"], "a body has at most 64 KiB");
    let answer = stage.ask_if("PUT /v1/sites/blog", &site(), &[("content-type", "text/xml")]).await.expect(415);
    assert_eq!(answer.body["allowed"], json!(["application/json"]));
    assert!(stage.calls().is_empty());
}

#[tokio::test]
async fn a_busy_table_is_a_503_with_a_time_to_come_back_and_a_broken_one_a_500_without_details() {
    let stage = Stage::new();
    stage.cloud.refuse("DynamoDB", "ProvisionedThroughputExceededException");
    let answer = stage.get("GET /v1/servers/main").await.expect(503);
    assert_eq!((answer.problem(), answer.header("retry-after")), ("unavailable", "2"));
    stage.cloud.refuse("DynamoDB", "AccessDeniedException");
    let answer = stage.get("GET /v1/servers/main").await.expect(500);
    assert_eq!(answer.problem(), "internal");
    assert!(!answer.body.to_string().contains("AccessDenied"), "{}", answer.body);
}
