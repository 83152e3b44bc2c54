//! AWS on a bad day: throttling, lost answers, endpoints that are not ready.

use serde_json::json;
use wharfinger_emulator::endpoint::faults::Fault;

use crate::support::{LocalRegion, blog, brisk, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_create_server_leaves_one_server() {
    let local = LocalRegion::open(brisk()).await;
    local.region.faults().inject("transfer", "CreateServer", 1, Fault::LoseAnswer);
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();

    local.until_power("online").await;

    let servers = local.region.call("transfer", "ListServers", json!({})).await.unwrap();
    assert_eq!(servers["Servers"].as_array().map(Vec::len), Some(1), "{servers}");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_on_aws_is_tried_again() {
    let local = LocalRegion::open(brisk()).await;
    local.region.faults().inject("transfer", "StartServer", 1, Fault::FailLater);
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    local.until_power("online").await;
    assert_eq!(local.calls("transfer", "StartServer"), 2);
    assert_eq!(local.calls("transfer", "CreateServer"), 1);
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_create_user_fails_no_user() {
    let local = LocalRegion::open(brisk()).await;
    local.region.faults().inject("transfer", "CreateUser", 1, Fault::LoseAnswer);
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    local.api.put("/v1/sites/blog", &blog("1s")).await.unwrap();
    local.put_alice().await;
    local.until_power("online").await;

    local.until_alice_is_ready().await;

    local.log_in().await.log_out().await.unwrap();
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_delays_and_loses_nothing() {
    let local = LocalRegion::open(brisk()).await;
    for (service, operation) in [
        ("transfer", "CreateServer"),
        ("transfer", "CreateUser"),
        ("transfer", "ImportSshPublicKey"),
        ("transfer", "UpdateServer"),
        ("ecs", "RegisterTaskDefinition"),
        ("ecs", "UpdateService"),
        ("ecs", "DescribeServices"),
    ] {
        local.region.faults().throttle(service, operation, 4);
    }
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    local.api.put("/v1/sites/blog", &blog("1s")).await.unwrap();
    local.put_alice().await;
    local.until_power("online").await;
    local.until_alice_is_ready().await;
    let alice = local.log_in().await;
    alice.put("index.html", b"late, and whole").await.unwrap();
    alice.log_out().await.unwrap();

    let rollouts = local.until_rolled_out("succeeded").await;

    assert_eq!(rollouts.len(), 1);
    assert_eq!(local.page("/").await, "late, and whole");
    let revisions = local.region.call("ecs", "ListTaskDefinitions", json!({})).await.unwrap();
    assert_eq!(revisions["taskDefinitionArns"].as_array().map(Vec::len), Some(2), "{revisions}");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_register_or_update_makes_no_second_revision() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    local.region.faults().inject("ecs", "RegisterTaskDefinition", 1, Fault::LoseAnswer);
    local.region.faults().inject("ecs", "UpdateService", 1, Fault::LoseAnswer);
    let alice = local.log_in().await;
    alice.put("index.html", b"once").await.unwrap();
    alice.log_out().await.unwrap();

    local.until_rolled_out("succeeded").await;

    let revisions = local.region.call("ecs", "ListTaskDefinitions", json!({})).await.unwrap();
    assert_eq!(revisions["taskDefinitionArns"].as_array().map(Vec::len), Some(2), "{revisions}");
    assert_eq!(local.page("/").await, "once");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_deleted_by_hand_is_made_again_with_its_host_key() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let before = local.server().await.unwrap();
    let id = before["status"]["server_id"].clone();
    local
        .until("the server is deleted by hand", || async {
            Ok(local.region.call("transfer", "DeleteServer", json!({ "ServerId": id })).await.ok())
        })
        .await;
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    let after = local
        .until("there is a new server", || async {
            let server = local.server().await?;
            let new = server["status"]["server_id"] != id && server["status"]["power"] == "online";
            Ok(new.then_some(server))
        })
        .await;
    assert_eq!(after["status"]["host_key_fingerprints"], before["status"]["host_key_fingerprints"]);
    local.until_alice_is_ready().await;
    local
        .until("alice can log in to it", || async {
            let address = local.region.addresses().sftp;
            Ok(wharfinger_cli::client::sftp::Visitor::log_in(address, "alice", &local.key).await.ok())
        })
        .await;
    local.close().await;
}
