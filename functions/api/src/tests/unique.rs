//! What only one thing may have, and writers who meet.

use aws_config::retry::RetryConfig;
use serde_json::{Value, json};
use wharfinger_store::{servers::ServerItem, table::Key};

use super::{furnished, server, site, user, with};
use crate::testing::{Answer, Stage};

/// The statuses of `answers`, the lowest first.
fn statuses(answers: &[&Answer]) -> Vec<u16> {
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn of_two_servers_at_once_one_gets_the_address() {
    let own_group = |name: &str| with(server(), "/network/security_group_ids", json!([name]));
    let stage = Stage::new();
    stage.cloud.meet("TransactWriteItems", 2);
    let (one, other) = (own_group("sg-0a1b2c3d4e5f60718"), own_group("sg-1a1b2c3d4e5f60718"));
    let (one, other) = tokio::join!(stage.ask("PUT /v1/servers/one", &one), stage.ask("PUT /v1/servers/other", &other));
    assert_eq!(statuses(&[&one, &other]), [201, 409]);
    let refused = if one.status == 409 { one } else { other };
    assert_eq!((refused.problem(), &refused.body["field"]), ("taken", &json!("/network/address_allocation_ids/0")));
}

#[tokio::test]
async fn of_two_servers_at_once_one_keeps_its_rules_in_a_group() {
    let plain = with(server(), "/network/address_allocation_ids", json!([]));
    let stage = Stage::new();
    stage.cloud.meet("TransactWriteItems", 2);
    let (one, other) =
        tokio::join!(stage.ask("PUT /v1/servers/one", &plain), stage.ask("PUT /v1/servers/other", &plain));
    assert_eq!(statuses(&[&one, &other]), [201, 409]);
}

#[tokio::test]
async fn of_two_sites_at_once_one_gets_the_directory_and_the_place_in_the_container() {
    for field in ["/mount_path", "/directory"] {
        let stage = Stage::new();
        stage.cloud.meet("TransactWriteItems", 2);
        let (first, second) = (site(), with(site(), field, json!("/second")));
        let (one, other) =
            tokio::join!(stage.ask("PUT /v1/sites/one", &first), stage.ask("PUT /v1/sites/two", &second));
        assert_eq!(statuses(&[&one, &other]), [201, 409], "{field} alone differs");
    }
}

#[tokio::test]
async fn what_is_given_up_is_free_for_others() {
    let stage = furnished().await;
    stage.ask("PUT /v1/sites/blog", &with(site(), "/directory", json!("/sites/moved"))).await.expect(200);
    let second = with(site(), "/mount_path", json!("/second"));
    stage.ask("PUT /v1/sites/second", &second).await.expect(201);
    stage.get("DELETE /v1/sites/second").await.expect(204);
    stage.ask("PUT /v1/sites/third", &second).await.expect(201);
}

#[tokio::test]
async fn a_forgotten_server_leaves_its_address_to_others() {
    let stage = furnished().await;
    let item: ServerItem = stage.table.get(&Key::new("SERVERS", "main")).await.unwrap().unwrap();
    let name = wharfinger_decisions::names::ServerName::parse("main").unwrap();
    stage.table.forget_server(&name, &item.record).await.unwrap();
    assert!(
        stage.table.get::<Value>(&Key::new("UNIQUE", "address#eipalloc-0a1b2c3d4e5f60718")).await.unwrap().is_none()
    );
    stage.ask("PUT /v1/servers/second", &server()).await.expect(201);
}

#[tokio::test]
async fn a_claim_that_an_earlier_version_left_behind_is_taken_over() {
    let stage = furnished().await;
    let record: wharfinger_store::sites::SiteRecord =
        stage.table.get(&Key::new("SITES", "blog")).await.unwrap().unwrap();
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    stage.table.forget(&Key::new("SITES", "blog"), record.version).await.unwrap();
    stage.ask("PUT /v1/sites/second", &site()).await.expect(201);
    assert_eq!(stage.ask("PUT /v1/sites/third", &site()).await.expect(409).problem(), "taken");
}

#[tokio::test]
async fn a_record_without_claims_of_its_own_is_protected_and_gets_them_with_its_next_write() {
    let stage = Stage::new();
    let at = "2026-01-01T00:00:00Z";
    let old =
        json!({"intent": site(), "status": {}, "version": 1, "deleting": false, "created_at": at, "updated_at": at});
    stage.plant("SITES", "old", &old).await;
    assert_eq!(stage.ask("PUT /v1/sites/new", &site()).await.expect(409).problem(), "taken");
    stage.ask("PUT /v1/sites/old", &with(site(), "/keep_revisions", json!(5))).await.expect(200);
    let claim = Key::new("UNIQUE", "directory#fs-0a1b2c3d4e5f60718#/sites/blog");
    assert_eq!(stage.table.get::<Value>(&claim).await.unwrap().unwrap()["held_by"], "SITES/old");
}

#[tokio::test]
async fn what_an_unreadable_server_holds_stays_its_own() {
    let stage = furnished().await;
    stage.plant("SERVERS", "main", &json!({"version": 7, "intent": "lost"})).await;
    let answer = stage.ask("PUT /v1/servers/second", &server()).await.expect(409);
    assert_eq!((answer.problem(), &answer.body["field"]), ("taken", &json!("/network")));
}

#[tokio::test]
async fn a_user_who_is_added_while_the_site_goes_never_loses_it() {
    let stage = furnished().await;
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    stage.cloud.meet("TransactWriteItems", 2);
    let bob = user();
    let (added, removed) =
        tokio::join!(stage.ask("PUT /v1/servers/main/users/bob", &bob), stage.get("DELETE /v1/sites/blog"));
    match (added.status.as_u16(), removed.status.as_u16()) {
        (201, 409) => assert_eq!(removed.problem(), "in-use"),
        (422, 204) => assert_eq!(added.body["field"], "/site"),
        other => panic!("{other:?}: {:#} {:#}", added.body, removed.body),
    }
}

#[tokio::test]
async fn a_lost_answer_to_our_own_write_is_not_another_writers_change() {
    let stage = Stage::with_retries(RetryConfig::standard());
    for (operation, line, body, status) in [
        ("TransactWriteItems", "PUT /v1/servers/main", server(), 201),
        ("TransactWriteItems", "PUT /v1/servers/main", with(server(), "/idle", Value::Null), 200),
        ("UpdateItem", "POST /v1/servers/main/stop", Value::Null, 202),
        ("UpdateItem", "DELETE /v1/servers/main", Value::Null, 202),
    ] {
        stage.cloud.lose_answer_to(operation, "");
        let before = stage.get("GET /v1/servers/main").await;
        let headers = [("if-match", before.header("etag").to_owned())];
        let headers: Vec<(&str, &str)> = match before.status.as_u16() {
            200 => headers.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            _ => Vec::new(),
        };
        stage.calls();
        let answer = stage.ask_if(line, &body, &headers).await.expect(status);
        let sent = stage.calls().iter().filter(|call| call.ends_with(operation)).count();
        assert_eq!(sent, 2, "{line}: it was sent again");
        assert_eq!(answer.body, stage.get("GET /v1/servers/main").await.body, "{line}");
    }
}
