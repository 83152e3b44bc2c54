//! Signed requests: a region that asks for them is used as a deployed API is, and refuses what that refuses.

use std::{process::Stdio, time::Duration, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use wharfinger_cli::client::http::Answer;
use wharfinger_region::{
    gateway::auth::keys::AccessKey,
    options::{Auth, Options},
};

use crate::support::{LocalRegion, brisk, program, server};

/// Asks as an SDK would: signed with `key` for `signed_body`, and sent with `body`.
async fn ask(
    local: &LocalRegion,
    key: &AccessKey,
    method: Method,
    path: &str,
    signed_body: &str,
    body: &str,
) -> Answer {
    let identity =
        Credentials::new(key.id(), key.secret(), key.session_token().map(str::to_owned), None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("execute-api")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .expect("all parameters are set")
        .into();
    let url = format!("http://{}{path}", local.region.addresses().api);
    let body_to_sign = SignableBody::Bytes(signed_body.as_bytes());
    let request =
        SignableRequest::new(method.as_str(), url, std::iter::empty(), body_to_sign).expect("it is a request");
    let (signature, _) = sign(request, &params).expect("it can be signed").into_parts();
    let headers: Vec<_> = signature.headers().collect();
    local.api.ask_raw(method, path, &headers, body.to_owned()).await.expect("the API answers")
}

async fn open(keys: Vec<AccessKey>) -> LocalRegion {
    let options = Options { auth: Auth::Iam, access_keys: keys, ..brisk().with("SweepSchedule", "rate(1 day)") };
    LocalRegion::open(options).await
}

fn assert_forbidden(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), &answer.body), (403, &json!({ "message": "Forbidden" })), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_signs_rightly_is_let_in() {
    let local = open(vec![]).await;
    let key = local.region.keys().first().expect("the region has made a key").clone();
    let main = server(None).to_string();
    for (method, path) in
        [(Method::GET, "/v1/servers"), (Method::PUT, "/v1/servers/main"), (Method::DELETE, "/v1/servers/main")]
    {
        let answer = local.api.ask(method, path, Some(&server(None))).await.unwrap();
        assert_forbidden(&answer, path);
    }
    let wrong = format!("{}:wrong:{}", key.id(), key.session_token().expect("it is temporary")).parse().unwrap();
    assert_forbidden(&ask(&local, &wrong, Method::GET, "/v1/servers", "", "").await, "a wrong secret");
    let changed = main.replace("127.0.0.0/8", "127.0.0.0/9");
    assert_forbidden(&ask(&local, &key, Method::PUT, "/v1/servers/main", &main, &changed).await, "a changed body");
    let servers = ask(&local, &key, Method::GET, "/v1/servers", "", "").await.taken("servers").unwrap();
    assert_eq!(servers["items"], json!([]), "nothing of what was refused has been done");

    let put = ask(&local, &key, Method::PUT, "/v1/servers/main?dry_run=false", &main, &main).await;
    assert_eq!(put.status.as_u16(), 201, "{}", put.body);
    let servers = ask(&local, &key, Method::GET, "/v1/servers?limit=1", "", "").await.taken("servers").unwrap();
    assert_eq!(servers["items"].as_array().map(Vec::len), Some(1), "{servers}");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_knows_who_has_signed() {
    let keys: Vec<AccessKey> = vec!["ALICE:one".parse().unwrap(), "BORIS:two:token".parse().unwrap()];
    let local = open(keys.clone()).await;
    let main = server(None).to_string();
    let put = ask(&local, &keys[0], Method::PUT, "/v1/servers/main", &main, &main).await;
    assert_eq!(put.status.as_u16(), 201, "{}", put.body);
    for (key, asked, path) in
        [(&keys[0], "stop", "/v1/servers/main/stop"), (&keys[1], "start", "/v1/servers/main/start")]
    {
        let answer: Value = ask(&local, key, Method::POST, path, "", "").await.taken(path).unwrap();
        let user = format!("arn:aws:iam::000000000000:user/{}", key.id());
        assert!(answer.to_string().contains(&user), "{asked} by {user}: {answer}");
    }
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_options_say_what_is_right() {
    for (arguments, says) in [
        (&["--auth", "basic"][..], "[possible values: none, iam]"),
        (&["--auth", "iam", "--access-key", "AKIAME"], "ID:SECRET"),
        (&["--access-key", "AKIAME:secret"], "--auth iam"),
        (&["--auth", "iam", "--access-key", "AKIAME:one", "--access-key", "AKIAME:two"], "once"),
    ] {
        let run = Command::new(program()).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
        let ended = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends by itself").unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && told.contains(says), "{arguments:?}: {told}");
        let secret = ["secret", "one", "two"].iter().any(|secret| told.contains(&format!(":{secret}")));
        assert!(!secret, "{arguments:?} shows a secret: {told}");
    }
}
