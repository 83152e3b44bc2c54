//! The release before this one reads what this one wrote, so that it can be deployed again.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wharfinger_decisions::{
    condition::{Condition, Severity},
    names::ServerName,
    server::{ServerPhase, ServerStatus},
};
use wharfinger_previous as previous;
use wharfinger_store::{servers, table::Key};

use super::{furnished, server, site, user, with};

fn condition() -> Condition {
    Condition {
        code: "address_missing".into(),
        severity: Severity::Error,
        message: "an Elastic IP is gone".into(),
        remedy: "give another one".into(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

#[tokio::test]
async fn the_previous_release_reads_what_this_one_wrote() {
    let stage = furnished().await;
    let name = ServerName::parse("main").unwrap();
    let status = ServerStatus { power: ServerPhase::Online, conditions: vec![condition()], ..ServerStatus::default() };
    stage.table.write_status(&servers::key(&name), &status).await.unwrap();
    stage.ask("PUT /v1/servers/main", &with(server(), "/idle", Value::Null)).await.expect(200);
    stage.get("POST /v1/servers/main/stop").await.expect(202);
    stage.ask("PUT /v1/sites/blog", &with(site(), "/keep_revisions", json!(5))).await.expect(200);
    stage.plant("SITES", "odd", &json!({"version": "strange"})).await;
    let second = with(with(site(), "/directory", json!("/second")), "/mount_path", json!("/second"));
    stage.ask("PUT /v1/sites/odd", &second).await.expect(200);
    stage.plant("USERS#main", "odd", &json!({})).await;
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);

    let server: previous::ServerItem = read(&stage.table, "SERVERS", "main").await;
    assert_eq!((server.record.version, server.record.status.power), (3, previous::server::ServerPhase::Online));
    assert_eq!(server.record.intent.power.power, previous::server::Power::Stopped);
    let blog: previous::SiteRecord = read(&stage.table, "SITES", "blog").await;
    assert_eq!(blog.intent.keep_revisions, 5);
    let odd: previous::SiteRecord = read(&stage.table, "SITES", "odd").await;
    assert_eq!(odd.intent.mount_path.as_str(), "/second", "what was replaced can be read again");
    let alice: previous::UserRecord = read(&stage.table, "USERS#main", "alice").await;
    assert!(alice.deleting && alice.intent.public_keys.len() == 1);
}

async fn read<T: DeserializeOwned>(table: &wharfinger_store::table::Table, pk: &str, sk: &str) -> T {
    table.get(&Key::new(pk, sk)).await.unwrap().unwrap()
}

#[test]
fn the_previous_release_is_as_strict_as_it_was() {
    let spec = with(user(), "/site", json!("Blog"));
    assert!(serde_json::from_value::<previous::user::UserSpec>(spec).is_err());
    assert!(serde_json::from_value::<previous::site::SiteSpec>(with(site(), "/new", json!(1))).is_err());
}
