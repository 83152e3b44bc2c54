//! Records that this version did not write: they hold up nobody, are shown, and can be replaced and removed.

use serde_json::{Value, json};
use wharfinger_decisions::server::{ServerIntent, ServerStatus};
use wharfinger_store::{record::Record, servers::ServerItem, sites::SiteRecord, table::Key, users::UserRecord};

use super::{furnished, server, site, user, with};

const AT: &str = "2026-01-01T00:00:00Z";

/// An item as an earlier version wrote it, with `intent`.
fn item(intent: &Value) -> Value {
    json!({"intent": intent, "status": {}, "version": 4, "deleting": false, "created_at": AT, "updated_at": AT})
}

fn server_item(spec: &Value) -> Value {
    let power = json!({"power": "online", "by": {"person": "alice"}, "reason": "created by alice", "at": AT});
    let status = json!({"power": "online", "reason": "online", "server_id": "s-0123456789abcdef0"});
    with(item(&json!({"spec": spec, "power": power})), "/status", status)
}

/// A server's spec that shares nothing with [`server`].
fn second() -> Value {
    let second = with(server(), "/network/address_allocation_ids", json!([]));
    with(second, "/network/security_group_ids", json!(["sg-1a1b2c3d4e5f60718"]))
}

fn codes(thing: &Value) -> Vec<&str> {
    let conditions = thing["status"]["conditions"].as_array().unwrap();
    conditions.iter().map(|condition| condition["code"].as_str().unwrap()).collect()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_field_of_a_newer_version_is_left_out_of_account_and_told() {
    let stage = furnished().await;
    let newer = with(with(site(), "/publish", json!({"mode": "releases"})), "/directory", json!("/sites/docs"));
    stage.plant("SITES", "docs", &item(&with(newer, "/mount_path", json!("/docs")))).await;
    let list = stage.get("GET /v1/sites").await.expect(200).body;
    assert_eq!(names(&list), ["blog", "docs"]);
    assert_eq!(codes(&list["items"][0]), [""; 0]);
    assert_eq!(codes(&list["items"][1]), ["unknown_parts"]);
    let condition = &list["items"][1]["status"]["conditions"][0];
    assert!(condition["message"].as_str().unwrap().contains("/publish"), "{condition}");
    assert_eq!(stage.get("GET /v1/sites/docs").await.expect(200).body, list["items"][1]);
    stage.ask("PUT /v1/sites/blog", &with(site(), "/keep_revisions", json!(5))).await.expect(200);
    stage.ask("PUT /v1/servers/main/users/bob", &with(user(), "/site", json!("docs"))).await.expect(201);
}

#[tokio::test]
async fn a_server_that_a_tighter_rule_would_refuse_goes_on() {
    let stage = furnished().await;
    let wide = with(second(), "/network/allowed_cidrs", json!(["64.0.0.0/7"]));
    stage.plant("SERVERS", "wide", &server_item(&wide)).await;
    let list = stage.get("GET /v1/servers").await.expect(200).body;
    assert_eq!((names(&list), codes(&list["items"][1])), (vec!["main", "wide"], vec![]));
    assert_eq!(list["items"][1]["spec"]["network"]["allowed_cidrs"], json!(["64.0.0.0/7"]));
    stage.ask("PUT /v1/servers/main", &with(server(), "/idle", Value::Null)).await.expect(200);
    let stopped = stage.get("POST /v1/servers/wide/stop").await.expect(202).body;
    assert_eq!(stopped["status"]["wanted"]["power"], "stopped");
    assert_eq!(stopped["etag"], "\"4\"");
    stage.ask("PUT /v1/servers/wide", &wide).await.expect(422);
    stage.get("DELETE /v1/servers/wide").await.expect(202);
    let gone: ServerItem = stage.table.get(&Key::new("SERVERS", "wide")).await.unwrap().unwrap();
    assert!(gone.record.deleting);
    assert_eq!(gone.record.intent.spec.network.allowed_cidrs[0].as_str(), "64.0.0.0/7", "its rules are to be found");
}

#[tokio::test]
async fn a_start_leaves_what_a_newer_version_wants_as_it_is() {
    let stage = furnished().await;
    stage
        .plant("SERVERS", "newer", &server_item(&with(second(), "/hours", json!({"open": ["Mon-Fri 08:00-18:00"]}))))
        .await;
    stage.get("POST /v1/servers/newer/start").await.expect(202);
    let raw: Value = stage.table.get(&Key::new("SERVERS", "newer")).await.unwrap().unwrap();
    assert_eq!(raw["intent"]["spec"]["hours"], json!({"open": ["Mon-Fri 08:00-18:00"]}));
    assert_eq!(raw["intent"]["power"]["reason"], "opened by anonymous");
}

/// Strange shapes, of which each must be shown, replaced and removed.
fn strange() -> [Value; 6] {
    [
        json!({}),
        json!({"version": "three", "intent": 5, "status": [1], "deleting": "perhaps", "armed": 7}),
        with(server_item(&second()), "/intent/power/power", json!("hibernating")),
        with(server_item(&second()), "/intent/spec/network", json!("everywhere")),
        with(server_item(&second()), "/intent", Value::Null),
        with(server_item(&second()), "/format", json!(2)),
    ]
}

#[tokio::test]
async fn a_server_of_a_strange_shape_is_shown_and_holds_up_no_other() {
    for item in strange() {
        let stage = furnished().await;
        stage.plant("SERVERS", "odd", &item).await;
        let list = stage.get("GET /v1/servers").await.expect(200).body;
        assert_eq!(names(&list), ["main", "odd"], "{item}");
        let odd = &list["items"][1];
        assert_eq!((codes(odd), &odd["spec"]), (vec!["unreadable_record"], &Value::Null), "{item}");
        let condition = &odd["status"]["conditions"][0];
        assert_eq!(condition["severity"], "error");
        assert!(condition["remedy"].as_str().unwrap().contains("PUT"), "{condition}");
        assert_eq!(stage.get("GET /v1/servers/odd").await.expect(200).body["status"]["wanted"], Value::Null);
        stage.ask("PUT /v1/servers/main", &with(server(), "/idle", Value::Null)).await.expect(200);
        stage.ask("PUT /v1/servers/main/users/bob", &user()).await.expect(201);
        for action in ["start", "stop"] {
            let answer = stage.get(&format!("POST /v1/servers/odd/{action}")).await.expect(409);
            assert_eq!(answer.problem(), "unreadable-record", "{item}");
        }
    }
}

#[tokio::test]
async fn a_server_of_a_strange_shape_is_replaced_by_put() {
    for item in strange() {
        let stage = furnished().await;
        stage.plant("SERVERS", "odd", &item).await;
        let etag = stage.get("GET /v1/servers/odd").await.expect(200).header("etag").to_owned();
        stage.ask_if("PUT /v1/servers/odd", &second(), &[("if-none-match", "*")]).await.expect(412);
        stage.ask_if("PUT /v1/servers/odd", &second(), &[("if-match", "\"77\"")]).await.expect(412);
        let put = stage.ask_if("PUT /v1/servers/odd", &second(), &[("if-match", &etag)]).await.expect(200).body;
        assert_eq!(put["spec"], second(), "{item}");
        let read = stage.get("GET /v1/servers/odd").await.expect(200).body;
        assert_eq!((&read, codes(&read)), (&put, vec![]), "{item}");
    }
}

#[tokio::test]
async fn a_server_of_a_strange_shape_is_removed_with_what_is_known_of_it() {
    for item in strange() {
        let stage = furnished().await;
        stage.plant("SERVERS", "odd", &item).await;
        let gone = stage.get("DELETE /v1/servers/odd").await.expect(202).body;
        assert_eq!(gone["status"]["power"], "deleting", "{item}");
        assert_eq!(stage.messages(), [json!({"server": "odd"})]);
        let record: Record<ServerIntent, ServerStatus> =
            stage.table.get(&Key::new("SERVERS", "odd")).await.unwrap().unwrap();
        assert!(record.deleting, "{item}");
        let known = item["status"]["server_id"].as_str();
        assert_eq!(record.status.server_id.as_deref(), known, "what is billed is found by its id");
    }
}

#[tokio::test]
async fn users_and_sites_of_strange_shapes_are_shown_replaced_and_removed() {
    let stage = furnished().await;
    let docs = with(with(site(), "/directory", json!("/sites/docs")), "/mount_path", json!("/docs"));
    for odd in [json!({}), item(&json!({"public_keys": 5})), json!({"version": [], "deleting": 1, "intent": "x"})] {
        for (list, path, spec) in [
            ("GET /v1/servers/main/users", "/v1/servers/main/users/odd", user()),
            ("GET /v1/sites", "/v1/sites/odd", docs.clone()),
        ] {
            let pk = if list.ends_with("users") { "USERS#main" } else { "SITES" };
            stage.plant(pk, "odd", &odd).await;
            let shown = stage.get(list).await.expect(200).body;
            assert_eq!((names(&shown)[1], codes(&shown["items"][1])), ("odd", vec!["unreadable_record"]), "{odd}");
            assert_eq!(codes(&stage.get(&format!("GET {path}")).await.expect(200).body), ["unreadable_record"]);
            let put = stage.ask(&format!("PUT {path}"), &spec).await.expect(200).body;
            assert_eq!((&put["spec"]["site"], codes(&put)), (&spec["site"], vec![]), "{odd}");
            stage.plant(pk, "odd", &odd).await;
            let status = if pk == "SITES" { 204 } else { 202 };
            stage.get(&format!("DELETE {path}")).await.expect(status);
        }
        let gone: Option<UserRecord> = stage.table.get(&Key::new("USERS#main", "odd")).await.unwrap();
        assert!(gone.unwrap().deleting, "{odd}");
        assert!(stage.table.get::<SiteRecord>(&Key::new("SITES", "odd")).await.unwrap().is_none(), "{odd}");
    }
}

#[tokio::test]
async fn a_window_that_can_not_be_read_is_told_of_its_site_alone() {
    let stage = furnished().await;
    stage.plant("WINDOWS", "blog", &json!({"window": "broken", "version": 1})).await;
    stage.plant("ROLLOUTS#blog", "01890000-0000-7000-8000-000000000001", &json!({"rollout": 5})).await;
    let list = stage.get("GET /v1/sites").await.expect(200).body;
    assert_eq!(codes(&list["items"][0]), ["unreadable_record"]);
    assert_ne!(list["items"][0]["spec"], Value::Null);
    let rollouts = stage.get("GET /v1/sites/blog/rollouts").await.expect(200).body;
    assert_eq!(rollouts["items"][0]["conditions"][0]["code"], "unreadable_record");
}

#[tokio::test]
async fn a_site_whose_window_can_not_be_read_is_not_removed() {
    let stage = furnished().await;
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    stage.plant("WINDOW#blog", "current", &json!({"window": "broken", "version": 1})).await;
    for line in ["DELETE /v1/sites/blog", "DELETE /v1/sites/blog?dry_run=true"] {
        let refused = stage.get(line).await.expect(409);
        assert_eq!(refused.problem(), "unreadable-record", "{line}");
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.starts_with("the window of the site \"blog\" can't be read by this version ("), "{detail}");
    }
    stage.get("GET /v1/sites/blog").await.expect(200);
}

#[tokio::test]
async fn a_key_is_taken_away_whatever_became_of_the_site() {
    let stage = furnished().await;
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbSfrehlROvn3DQTmEqERm/mVQCIaB4CZNxzMDejUkD alice@desktop";
    let both = with(user(), "/public_keys", json!([user()["public_keys"][0], other]));
    stage.ask("PUT /v1/servers/main/users/alice", &both).await.expect(200);
    stage.messages();
    stage.plant("SITES", "blog", &json!({"version": "three"})).await;
    let taken = stage.ask("PUT /v1/servers/main/users/alice", &user()).await.expect(200).body;
    assert_eq!(taken["spec"]["public_keys"], user()["public_keys"]);
    assert_eq!(stage.messages(), [json!({"server": "main"})]);
    let wider = [("alice", both), ("alice", with(user(), "/posix", json!({"uid": 7, "gid": 7}))), ("bob", user())];
    for (name, spec) in wider {
        let refused = stage.ask(&format!("PUT /v1/servers/main/users/{name}"), &spec).await.expect(409);
        assert_eq!(refused.problem(), "unreadable-record", "{spec}");
    }
}

#[tokio::test]
async fn a_name_that_was_allowed_once_is_shown_and_removed() {
    let stage = furnished().await;
    let intent = json!({"public_keys": user()["public_keys"], "directory": "/home/root"});
    stage.plant("USERS#main", "root", &item(&intent)).await;
    assert_eq!(names(&stage.get("GET /v1/servers/main/users").await.expect(200).body), ["alice", "root"]);
    stage.get("GET /v1/servers/main/users/root").await.expect(200);
    assert_eq!(stage.ask("PUT /v1/servers/main/users/root", &user()).await.expect(400).problem(), "invalid-name");
    stage.get("DELETE /v1/servers/main/users/root").await.expect(202);
    for line in ["GET /v1/servers/Main", "GET /v1/sites/my_site", "DELETE /v1/servers/main/users/ab"] {
        assert_eq!(stage.get(line).await.expect(400).problem(), "invalid-name", "{line}");
    }
}
