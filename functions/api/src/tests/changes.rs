//! Servers and users: changes, conditions, power, lists.

use jiff::Timestamp;
use serde_json::{Value, json};
use wharfinger_decisions::{
    deployment::OtherServer,
    idle::{Action, Decision},
    names::ServerName,
    server::{Asleep, Endpoint, ServerPhase, ServerStatus},
    settings::Settings,
};
use wharfinger_store::{
    servers::{self, ServerItem},
    table::{Guard, Key},
};

use super::{KEY, furnished, server, user, with};
use crate::testing::{Answer, Stage};

fn wake() -> Vec<Value> {
    vec![json!({"server": "main"})]
}

#[tokio::test]
async fn a_put_makes_a_server_and_wakes_reconcile() {
    let stage = Stage::new();
    let made = stage.ask("PUT /v1/servers/main", &server()).await.expect(201);
    assert_eq!((made.header("location"), made.header("etag")), ("/v1/servers/main", "\"1\""));
    assert_eq!(
        (&made.body["name"], &made.body["spec"], &made.body["etag"]),
        (&json!("main"), &server(), &json!("\"1\""))
    );
    assert_eq!(made.body["status"]["power"], "creating");
    assert_eq!(made.body["status"]["settled"], false);
    assert_eq!(made.body["status"]["wanted"]["power"], "online");
    assert_eq!(stage.messages(), wake());
    let read = stage.get("GET /v1/servers/main").await.expect(200);
    assert_eq!(read.body, made.body);
}

#[tokio::test]
async fn an_equal_put_changes_nothing_but_still_wakes() {
    let stage = furnished().await;
    let before = stage.get("GET /v1/servers/main").await.body;
    assert_eq!(stage.ask("PUT /v1/servers/main", &server()).await.expect(200).body, before);
    assert_eq!(stage.messages(), wake());
    let changed = with(server(), "/idle", Value::Null);
    let after = stage.ask("PUT /v1/servers/main", &changed).await.expect(200);
    assert_eq!(after.header("etag"), "\"2\"");
    assert!(after.body["spec"].get("idle").is_none());
    assert_eq!(after.body, stage.get("GET /v1/servers/main").await.body);
}

#[tokio::test]
async fn a_dry_run_answers_what_would_be_and_does_nothing() {
    let stage = furnished().await;
    let bob = json!({"public_keys": [KEY], "directory": "/home/bob"});
    let second = with(server(), "/network/address_allocation_ids", json!([]));
    let second = with(second, "/network/security_group_ids", json!(["sg-1a1b2c3d4e5f60718"]));
    for (line, body, would) in [
        ("PUT /v1/servers/second?dry_run=true", second, "create"),
        ("PUT /v1/servers/main?dry_run=true", with(server(), "/idle", Value::Null), "change"),
        ("PUT /v1/servers/main?dry_run=true", server(), "keep"),
        ("POST /v1/servers/main/stop?dry_run=true", Value::Null, "change"),
        ("DELETE /v1/servers/main?dry_run=true&with_users=true", Value::Null, "delete"),
        ("PUT /v1/servers/main/users/bob?dry_run=true", bob, "create"),
        ("DELETE /v1/servers/main/users/alice?dry_run=true", Value::Null, "delete"),
        ("PUT /v1/sites/blog?dry_run=true", with(super::site(), "/keep_revisions", json!(5)), "change"),
    ] {
        let answer = stage.ask(line, &body).await.expect(200);
        assert_eq!(answer.body["would"], would, "{line}");
        assert_eq!(answer.header("etag"), "", "{line}");
    }
    let reads = |call: &String| {
        ["GetItem", "Query"].contains(&call.as_str()) || call.starts_with("Describe") || call.starts_with("GET ")
    };
    let writes: Vec<String> = stage.calls().into_iter().filter(|call| !reads(call)).collect();
    assert_eq!(writes, Vec::<String>::new());
}

#[tokio::test]
async fn conditions_guard_a_change() {
    let stage = furnished().await;
    let changed = with(server(), "/idle", Value::Null);
    for (line, header) in [
        ("PUT /v1/servers/main", ("if-match", "\"7\"")),
        ("PUT /v1/servers/main", ("if-none-match", "*")),
        ("PUT /v1/servers/other", ("if-match", "*")),
        ("DELETE /v1/servers/main?with_users=true", ("if-match", "\"7\"")),
        ("POST /v1/servers/main/stop", ("if-match", "\"7\"")),
    ] {
        let body = if line.starts_with("PUT") { &changed } else { &Value::Null };
        let answer = stage.ask_if(line, body, &[header]).await.expect(412);
        assert_eq!(answer.problem(), "precondition-failed", "{line}");
    }
    assert!(stage.messages().is_empty());
    stage.ask_if("PUT /v1/servers/main", &changed, &[("if-match", "\"1\"")]).await.expect(200);
}

#[tokio::test]
async fn what_aws_cannot_change_is_refused() {
    let stage = furnished().await;
    let moved = with(server(), "/file_system_id", json!("fs-1a1b2c3d4e5f60718"));
    let answer = stage.ask("PUT /v1/servers/main", &moved).await.expect(422);
    assert_eq!(answer.body["field"], "/file_system_id");
    let answer = stage.ask("PUT /v1/servers/second", &server()).await.expect(409);
    assert_eq!((answer.problem(), &answer.body["field"]), ("taken", &json!("/network/address_allocation_ids/0")));
}

#[tokio::test]
async fn an_order_changes_no_version_and_counts_from_when_it_was_given_last() {
    let stage = furnished().await;
    let stopped = stage.get("POST /v1/servers/main/stop").await.expect(202);
    assert_eq!(stopped.body["status"]["wanted"]["power"], "stopped");
    assert_eq!(stopped.body["status"]["wanted"]["reason"], "stopped by anonymous");
    assert_eq!((&stopped.body["etag"], &stopped.body["status"]["settled"]), (&json!("\"1\""), &json!(false)));
    let again = stage.get("POST /v1/servers/main/stop").await.expect(202);
    assert_eq!(again.body, stopped.body);
    let wider = with(server(), "/network/allowed_cidrs", json!(["198.51.100.0/24"]));
    let changed = stage.ask("PUT /v1/servers/main", &wider).await.expect(200);
    assert_eq!(changed.body["status"]["wanted"], stopped.body["status"]["wanted"]);
    let started = stage.get("POST /v1/servers/main/start").await.expect(202);
    assert_eq!(started.body["status"]["wanted"]["power"], "online");
    let renewed = stage.get("POST /v1/servers/main/start").await.expect(202);
    assert_eq!((&renewed.body["etag"], renewed.header("etag")), (&changed.body["etag"], changed.header("etag")));
    let until =
        |answer: &Answer| -> Timestamp { answer.body["status"]["wanted"]["until"].as_str().unwrap().parse().unwrap() };
    assert!(until(&renewed) > until(&started), "the idle sweep waits from then on");
    assert_eq!(stage.get("GET /v1/servers/main").await.expect(200).body, renewed.body);
    assert_eq!(stage.get("POST /v1/servers/none/start").await.expect(404).problem(), "not-found");
}

#[tokio::test]
async fn a_server_is_put_to_sleep_and_woken_by_orders() {
    let stage = furnished().await;
    for (action, power) in [("sleep", "asleep"), ("wake", "online"), ("sleep?now=true", "asleep"), ("start", "online")]
    {
        let answer = stage.get(&format!("POST /v1/servers/main/{action}")).await.expect(202);
        assert_eq!(answer.body["status"]["wanted"]["power"], power, "{action}");
    }
    for action in ["start?now=true", "wake?now=true", "sleep?now=1"] {
        stage.get(&format!("POST /v1/servers/main/{action}")).await.expect(400);
    }
    let second = with(server(), "/network/address_allocation_ids", json!([]));
    let second = with(second, "/network/security_group_ids", json!(["sg-1a1b2c3d4e5f60718"]));
    stage.ask("PUT /v1/servers/second", &second).await.expect(201);
    let answer = stage.get("POST /v1/servers/second/sleep").await.expect(422);
    assert!(answer.body["detail"].as_str().unwrap().contains("Elastic IP"), "{}", answer.body);
}

#[tokio::test]
async fn what_another_deployment_has_is_adopted_as_the_status_shows_it() {
    let stage = furnished().await;
    assert_eq!(stage.get("POST /v1/servers/main/adopt").await.expect(409).problem(), "nothing-to-adopt");
    let name = ServerName::parse("main").unwrap();
    let other = OtherServer { server_id: "s-1".into(), deployment: "another".into() };
    let status = ServerStatus { other_deployment: Some(other.clone()), ..ServerStatus::default() };
    stage.show(&name, &status, None).await;
    let read = async || stage.table.get::<ServerItem>(&servers::key(&name)).await.unwrap().unwrap();
    let _ = stage.messages();

    let would = stage.get("POST /v1/servers/main/adopt?dry_run=true").await.expect(200);
    assert_eq!((&would.body["would"], read().await.adopt), (&json!("change"), None));
    let adopted = stage.get("POST /v1/servers/main/adopt").await.expect(202);

    assert_eq!((stage.messages(), adopted.header("etag")), (wake(), "\"1\""));
    assert_eq!(read().await.adopt.map(|order| (order.server, order.by)), Some((other, "anonymous".into())));
    stage.get("DELETE /v1/servers/main?with_users=true").await.expect(202);
    assert_eq!(stage.get("POST /v1/servers/main/adopt").await.expect(409).problem(), "being-deleted");
}

#[tokio::test]
async fn an_order_and_a_change_of_the_spec_do_not_undo_each_other() {
    let stage = furnished().await;
    stage.get("POST /v1/servers/main/sleep").await.expect(202);
    let changed = with(server(), "/drain_for", json!("5m"));
    let put = stage.ask_if("PUT /v1/servers/main", &changed, &[("if-match", "\"1\"")]).await.expect(200);
    assert_eq!(put.body["status"]["wanted"]["power"], "asleep");
    assert_eq!(put.body["spec"]["drain_for"], "5m");
}

#[tokio::test]
async fn a_user_is_shown_and_removed_whatever_became_of_the_record_of_the_server() {
    let stage = furnished().await;
    stage.cloud.throttle("GetItem", "SERVERS");
    stage.get("GET /v1/servers/main/users/alice").await.expect(200);
    let gone = stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    assert_eq!(gone.body["status"]["state"], "deleting");
}

#[tokio::test]
async fn a_server_with_users_is_deleted_only_when_they_are_meant() {
    let stage = furnished().await;
    let answer = stage.get("DELETE /v1/servers/main").await.expect(409);
    assert!(answer.body["detail"].as_str().unwrap().contains("alice"), "{}", answer.body);
    let gone = stage.get("DELETE /v1/servers/main?with_users=true").await.expect(202);
    assert_eq!(gone.body["status"]["power"], "deleting");
    assert_eq!(stage.messages(), wake());
    let alice = stage.get("GET /v1/servers/main/users/alice").await.expect(200);
    assert_eq!(alice.body["status"]["state"], "deleting");
    stage.get("DELETE /v1/servers/main").await.expect(202);
    for (line, body) in [
        ("PUT /v1/servers/main", server()),
        ("PUT /v1/servers/main/users/bob", user()),
        ("POST /v1/servers/main/start", Value::Null),
    ] {
        let answer = stage.ask(line, &body).await.expect(409);
        assert_eq!((answer.problem(), answer.header("retry-after")), ("being-deleted", "10"), "{line}");
    }
}

#[tokio::test]
async fn a_user_shows_fingerprints_and_needs_a_server_and_a_site() {
    let stage = furnished().await;
    let alice = stage.get("GET /v1/servers/main/users/alice").await.expect(200).body;
    assert_eq!((&alice["server"], &alice["status"]["state"]), (&json!("main"), &json!("pending")));
    assert!(alice["status"]["key_fingerprints"][0].as_str().unwrap().starts_with("SHA256:"));
    assert_eq!(stage.ask("PUT /v1/servers/none/users/alice", &user()).await.expect(404).problem(), "not-found");
    let answer = stage.ask("PUT /v1/servers/main/users/bob", &with(user(), "/site", json!("none"))).await.expect(422);
    assert_eq!(answer.body["field"], "/site");
    let elsewhere = with(super::site(), "/file_system_id", json!("fs-1a1b2c3d4e5f60718"));
    stage.ask("PUT /v1/sites/far", &with(elsewhere, "/mount_path", json!("/far"))).await.expect(201);
    let answer = stage.ask("PUT /v1/servers/main/users/bob", &with(user(), "/site", json!("far"))).await.expect(422);
    assert!(answer.body["detail"].as_str().unwrap().contains("fs-1a1b2c3d4e5f60718"), "{}", answer.body);
    let renamed = with(user(), "/public_keys", json!([KEY.replace("laptop", "desk")]));
    let answer = stage.ask("PUT /v1/servers/main/users/alice", &renamed).await.expect(200);
    assert_eq!(answer.body["spec"]["public_keys"], renamed["public_keys"], "a changed comment is kept");
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    assert_eq!(stage.ask("PUT /v1/servers/main/users/alice", &user()).await.expect(409).problem(), "being-deleted");
}

#[tokio::test]
async fn a_lost_wake_up_does_not_fail_the_request() {
    let stage = Stage::new();
    stage.cloud.refuse("AmazonSQS", "AccessDenied");
    stage.ask("PUT /v1/servers/main", &server()).await.expect(201);
    stage.get("GET /v1/servers/main").await.expect(200);
}

#[tokio::test]
async fn lists_come_in_pages_and_the_last_one_says_so() {
    let stage = furnished().await;
    for name in ["bob", "carol"] {
        stage.ask(&format!("PUT /v1/servers/main/users/{name}"), &user()).await.expect(201);
    }
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = stage.get("GET /v1/servers/main/users?limit=3").await.expect(200).body;
    assert_eq!((names(&all), &all["next"]), (vec!["alice".into(), "bob".into(), "carol".into()], &Value::Null));
    let first = stage.get("GET /v1/servers/main/users?limit=2").await.expect(200).body;
    assert_eq!(names(&first), ["alice", "bob"]);
    let next = first["next"].as_str().unwrap();
    let last = stage.get(&format!("GET /v1/servers/main/users?limit=2&after={next}")).await.expect(200).body;
    assert_eq!((names(&last), &last["next"]), (vec!["carol".into()], &Value::Null));
    stage.get("GET /v1/servers/none/users").await.expect(404);
    assert_eq!(names(&stage.get("GET /v1/servers").await.expect(200).body), ["main"]);
}

#[tokio::test]
async fn a_server_that_an_order_keeps_is_shown_as_kept_and_until_when() {
    let stage = furnished().await;
    let started = stage.get("POST /v1/servers/main/start").await.expect(202).body["status"].clone();
    let until = started["wanted"]["until"].clone();
    let key: Key = servers::key(&ServerName::parse("main").unwrap());
    let decision = json!({
        "action": "stop", "reason": "nobody was here for 31m", "at": "2100-01-01T00:00:00Z", "possible_at": until,
    });
    let condition = Guard::none().value(":decision", &decision).unwrap();
    stage.table.update(&key, "SET decision = :decision", condition).await.unwrap();

    let status = stage.get("GET /v1/servers/main").await.expect(200).body["status"].clone();

    assert_eq!((&status["idle"]["action"], &status["wanted"]["power"]), (&json!("keep"), &json!("online")), "{status}");
    let reason = status["idle"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("nobody was here for 31m, but it is kept until 2"), "{reason}");
    assert_eq!((&status["next"]["power"], &status["next"]["at"]), (&json!("stopped"), &until));
}

#[tokio::test]
async fn the_idle_decision_is_shown() {
    let stage = furnished().await;
    let key: Key = servers::key(&ServerName::parse("main").unwrap());
    let decision = json!({"action": "keep", "reason": "a session is open", "at": "2026-01-01T00:00:00Z"});
    let condition = Guard::none().value(":decision", &decision).unwrap();
    stage.table.update(&key, "SET decision = :decision", condition).await.unwrap();
    assert_eq!(stage.get("GET /v1/servers/main").await.expect(200).body["status"]["idle"], decision);
    assert_eq!(stage.get("GET /v1/servers").await.expect(200).body["items"][0]["status"]["idle"], decision);
}

#[tokio::test]
async fn a_user_who_is_put_while_the_server_sleeps_is_told_when_it_takes_effect() {
    let stage = furnished().await;
    let key = servers::key(&ServerName::parse("main").unwrap());
    let asleep =
        json!({ "power": "stopped", "reason": "asked by alice", "asleep": { "since": "2026-01-01T00:00:00Z" } });
    stage.table.write_status(&key, &asleep).await.unwrap();
    assert_eq!(stage.get("GET /v1/servers/main").await.body["status"]["power"], "asleep");

    let bob = stage.ask("PUT /v1/servers/main/users/bob", &user()).await.expect(201);

    let waits = json!("it was accepted, and is in effect when the server wakes");
    assert_eq!((&bob.body["status"]["reason"], &bob.body["status"]["settled"]), (&waits, &json!(false)));
    for shown in [
        stage.get("GET /v1/servers/main/users/bob").await.body,
        stage.get("GET /v1/servers/main/users").await.body["items"][1].clone(),
    ] {
        assert_eq!(shown["status"]["reason"], waits, "{shown}");
    }
    stage.table.write_status(&key, &json!({ "power": "online", "reason": "asked by alice" })).await.unwrap();
    let told = stage.get("GET /v1/servers/main/users/bob").await.body;
    assert_eq!(told["status"]["reason"], "it was accepted; work on it is about to begin");
}

/// Online, at version 1, as reconcile left it.
fn online() -> ServerStatus {
    let host = "203.0.113.7".to_owned();
    let endpoint = Endpoint { addresses: vec![host.clone()], host, port: 22 };
    let (server_id, endpoint) = (Some("s-1".into()), Some(endpoint));
    ServerStatus { power: ServerPhase::Online, settled_version: 1, server_id, endpoint, ..ServerStatus::default() }
}

#[tokio::test]
async fn a_server_that_is_to_be_closed_because_nobody_is_there_is_not_settled_before_it_is() {
    let (stage, name) = (furnished().await, ServerName::parse("main").unwrap());
    stage.show(&name, &online(), None).await;
    let shown = async || stage.get("GET /v1/servers/main").await.body["status"].clone();
    assert_eq!(shown().await["settled"], true);
    let close = Decision {
        action: Action::Close,
        ..Decision::keep("nobody was here", "2026-01-01T00:00:00Z".parse().unwrap())
    };
    stage.table.note_decision(&name, &close).await.unwrap();

    let told = shown().await;

    assert_eq!((&told["wanted"]["power"], &told["settled"]), (&json!("stopped"), &json!(false)), "{told}");
    stage.show(&name, &ServerStatus { power: ServerPhase::Stopped, ..online() }, None).await;
    assert_eq!(shown().await["settled"], true);
}

#[tokio::test]
async fn the_endpoint_is_told_of_a_server_that_is_online_though_it_is_recorded_for_a_sleep() {
    let (stage, name) = (furnished().await, ServerName::parse("main").unwrap());
    let asleep = Asleep { since: Timestamp::UNIX_EPOCH, settings: Settings::default() };
    let phases = [(ServerPhase::Online, true), (ServerPhase::Starting, false), (ServerPhase::Creating, false)];
    for (power, is_told) in phases {
        stage.show(&name, &ServerStatus { power, ..online() }, Some(&asleep)).await;
        let told = stage.get("GET /v1/servers/main").await.body["status"]["endpoint"].clone();
        assert_eq!(told.is_object(), is_told, "{power:?}: {told}");
    }
}
