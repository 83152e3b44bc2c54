//! AWS on a bad day: throttling, lost answers, endpoints that are not ready.

use serde_json::json;
use wharfinger_emulator::endpoint::faults::Fault;

use crate::support::{Wharf, blog, brisk, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_create_server_leaves_one_server() {
    let wharf = Wharf::open(brisk()).await;
    wharf.region.faults().inject("transfer", "CreateServer", 1, Fault::LoseAnswer);
    wharf.api.put("/v1/servers/main", &server(None)).await.unwrap();

    wharf.until_power("online").await;

    let servers = wharf.region.call("transfer", "ListServers", json!({})).await.unwrap();
    assert_eq!(servers["Servers"].as_array().map(Vec::len), Some(1), "{servers}");
    wharf.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_on_aws_is_tried_again() {
    let wharf = Wharf::open(brisk()).await;
    wharf.region.faults().inject("transfer", "StartServer", 1, Fault::FailLater);
    wharf.api.put("/v1/servers/main", &server(None)).await.unwrap();
    wharf.until_power("online").await;
    assert_eq!(wharf.calls("transfer", "StartServer"), 2);
    assert_eq!(wharf.calls("transfer", "CreateServer"), 1);
    wharf.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_create_user_fails_no_user() {
    let wharf = Wharf::open(brisk()).await;
    wharf.region.faults().inject("transfer", "CreateUser", 1, Fault::LoseAnswer);
    wharf.api.put("/v1/servers/main", &server(None)).await.unwrap();
    wharf.api.put("/v1/sites/blog", &blog("1s")).await.unwrap();
    wharf.put_alice().await;
    wharf.until_power("online").await;

    wharf.until_alice_is_ready().await;

    wharf.log_in().await.log_out().await.unwrap();
    wharf.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_delays_and_loses_nothing() {
    let wharf = Wharf::open(brisk()).await;
    for (service, operation) in [
        ("transfer", "CreateServer"),
        ("transfer", "CreateUser"),
        ("transfer", "ImportSshPublicKey"),
        ("transfer", "UpdateServer"),
        ("ecs", "RegisterTaskDefinition"),
        ("ecs", "UpdateService"),
        ("ecs", "DescribeServices"),
    ] {
        wharf.region.faults().throttle(service, operation, 4);
    }
    wharf.api.put("/v1/servers/main", &server(None)).await.unwrap();
    wharf.api.put("/v1/sites/blog", &blog("1s")).await.unwrap();
    wharf.put_alice().await;
    wharf.until_power("online").await;
    wharf.until_alice_is_ready().await;
    let alice = wharf.log_in().await;
    alice.put("index.html", b"late, and whole").await.unwrap();
    alice.log_out().await.unwrap();

    let rollouts = wharf.until_rolled_out("succeeded").await;

    assert_eq!(rollouts.len(), 1);
    assert_eq!(wharf.page("/").await, "late, and whole");
    let revisions = wharf.region.call("ecs", "ListTaskDefinitions", json!({})).await.unwrap();
    assert_eq!(revisions["taskDefinitionArns"].as_array().map(Vec::len), Some(2), "{revisions}");
    wharf.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_register_or_update_makes_no_second_revision() {
    let wharf = Wharf::ready(brisk(), &server(None), &blog("1s")).await;
    wharf.region.faults().inject("ecs", "RegisterTaskDefinition", 1, Fault::LoseAnswer);
    wharf.region.faults().inject("ecs", "UpdateService", 1, Fault::LoseAnswer);
    let alice = wharf.log_in().await;
    alice.put("index.html", b"once").await.unwrap();
    alice.log_out().await.unwrap();

    wharf.until_rolled_out("succeeded").await;

    let revisions = wharf.region.call("ecs", "ListTaskDefinitions", json!({})).await.unwrap();
    assert_eq!(revisions["taskDefinitionArns"].as_array().map(Vec::len), Some(2), "{revisions}");
    assert_eq!(wharf.page("/").await, "once");
    wharf.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_deleted_by_hand_is_made_again_with_its_host_key() {
    let wharf = Wharf::ready(brisk(), &server(None), &blog("1s")).await;
    let before = wharf.server().await.unwrap();
    let id = before["status"]["server_id"].clone();
    wharf
        .until("the server is deleted by hand", || async {
            Ok(wharf.region.call("transfer", "DeleteServer", json!({ "ServerId": id })).await.ok())
        })
        .await;
    wharf.api.put("/v1/servers/main", &server(None)).await.unwrap();
    let after = wharf
        .until("there is a new server", || async {
            let server = wharf.server().await?;
            let new = server["status"]["server_id"] != id && server["status"]["power"] == "online";
            Ok(new.then_some(server))
        })
        .await;
    assert_eq!(after["status"]["host_key_fingerprints"], before["status"]["host_key_fingerprints"]);
    wharf.until_alice_is_ready().await;
    wharf
        .until("alice can log in to it", || async {
            let address = wharf.region.addresses().sftp;
            Ok(wharfinger_cli::client::sftp::Visitor::log_in(address, "alice", &wharf.key).await.ok())
        })
        .await;
    wharf.close().await;
}
