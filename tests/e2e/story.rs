//! The main job: register, upload, roll out, serve, follow up, delete.

use serde_json::{Value, json};
use wharfinger_region::seed;

use crate::support::{LocalRegion, blog, brisk, server};

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_makes_one_revision_that_mounts_the_site() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"<h1>Ahoy</h1>").await.unwrap();
    alice.log_out().await.unwrap();

    let rollouts = local.until_rolled_out("succeeded").await;

    assert_eq!(rollouts.len(), 1, "{rollouts:?}");
    assert!(local.page("/").await.contains("Ahoy"));
    assert_eq!(local.calls("ecs", "RegisterTaskDefinition"), 1);
    assert_eq!(local.calls("ecs", "UpdateService"), 1);
    let task = local.region.task_definition("web:2").await.unwrap();
    let volume = &task["volumes"][0]["efsVolumeConfiguration"];
    assert_eq!(volume["rootDirectory"], "/sites/blog");
    assert_eq!(volume["transitEncryption"], "ENABLED");
    assert_eq!(volume["authorizationConfig"]["iam"], "ENABLED");
    assert_eq!(task["containerDefinitions"][0]["mountPoints"][0]["containerPath"], "/usr/local/apache2/htdocs");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_upload_makes_a_second_revision_with_one_mount() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"first").await.unwrap();
    local.until_rolled_out("succeeded").await;
    alice.put("index.html", b"second").await.unwrap();
    alice.sftp.rename("index.html", "home.html").await.unwrap();
    alice.sftp.rename("home.html", "index.html").await.unwrap();
    alice.log_out().await.unwrap();

    let rollouts = local
        .until("there are two rollouts, both succeeded", || async {
            let rollouts = local.rollouts().await?;
            let done = rollouts.iter().all(|rollout| rollout["state"] == "succeeded");
            Ok((done && rollouts.len() == 2).then_some(rollouts))
        })
        .await;

    let task = local.region.task_definition("web:3").await.unwrap();
    assert_eq!(task["volumes"].as_array().map(Vec::len), Some(1), "{task}");
    assert_eq!(task["containerDefinitions"][0]["mountPoints"].as_array().map(Vec::len), Some(1), "{task}");
    assert_eq!(local.page("/").await, "second");
    assert_eq!(rollouts.len(), 2);
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_file_finishes_the_upload_at_once() {
    let mut site = blog("1h");
    site["finish"]["max_wait"] = json!("2h");
    site["finish"]["marker"] = json!(".deploy");
    let local = LocalRegion::ready(brisk(), &server(None), &site).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"marked").await.unwrap();
    alice.put(".deploy", b"").await.unwrap();
    alice.log_out().await.unwrap();

    local.until_rolled_out("succeeded").await;

    assert_eq!(local.page("/").await, "marked");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_holds_the_rollout_until_it_is_whole() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    let mut file = alice.sftp.create("index.html").await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut file, b"half").await.unwrap();
    tokio::io::AsyncWriteExt::flush(&mut file).await.unwrap();
    alice.vanish().unwrap();
    let held = local
        .until("the window is held by the partial file", || async {
            let site = local.api.get("/v1/sites/blog").await?.taken("site")?;
            let window = site["status"]["window"].clone();
            Ok((window["state"] == "held").then_some(window))
        })
        .await;
    assert!(held.to_string().contains("index.html"), "{held}");
    assert_eq!(local.rollouts().await.unwrap().len(), 0);

    let alice = local.log_in().await;
    alice.put("index.html", b"whole").await.unwrap();
    alice.log_out().await.unwrap();

    assert_eq!(local.until_rolled_out("succeeded").await.len(), 1);
    assert_eq!(local.page("/").await, "whole");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_cannot_start_ends_with_its_reason() {
    let mut site = blog("1s");
    site["service"] = json!("missing");
    let local = LocalRegion::ready(brisk(), &server(None), &site).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"x").await.unwrap();
    alice.log_out().await.unwrap();

    let rollouts = local.until_rolled_out("failed").await;

    let reason = rollouts[0]["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason.contains("missing"), "{reason}");
    assert_eq!(local.calls("ecs", "RegisterTaskDefinition"), 0);
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_change_and_go_and_so_does_the_server() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let first = local.server().await.unwrap();
    let other = wharfinger_cli::client::sftp::UserKey::generate();
    let user = json!({ "public_keys": [other.public_line()], "site": "blog" });
    local.api.put("/v1/servers/main/users/alice", &user).await.unwrap();
    let address = local.region.addresses().sftp;
    local
        .until("alice's new key is taken and the old one is not", || async {
            use wharfinger_cli::client::sftp::Visitor;
            let new = Visitor::log_in(address, "alice", &other).await;
            let old = Visitor::log_in(address, "alice", &local.key).await;
            Ok((new.is_ok() && old.is_err()).then_some(()))
        })
        .await;
    local.api.delete("/v1/servers/main/users/alice").await.unwrap();
    local.until("alice is gone", || async { gone(&local, "/v1/servers/main/users/alice").await }).await;
    local.api.delete("/v1/servers/main").await.unwrap();
    local.until("the server is gone", || async { gone(&local, "/v1/servers/main").await }).await;
    let left = local.region.call("transfer", "ListServers", json!({})).await.unwrap();
    assert_eq!(left["Servers"], json!([]), "{left}");

    // The same name again: the host key is the one that clients know.
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    let again = local.until_power("online").await;
    assert_eq!(fingerprints(&again), fingerprints(&first));
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_moves_to_another_subnet_and_keeps_its_elastic_ip() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let before = local.server().await.unwrap();
    let mut moved = server(None);
    moved["network"]["subnet_ids"] = json!([seed::SUBNETS[1]]);
    local.api.put("/v1/servers/main", &moved).await.unwrap();
    let id = before["status"]["server_id"].clone();
    let there = json!({ "SubnetIds": [seed::SUBNETS[1]], "AddressAllocationIds": [seed::ADDRESSES[0]] });
    local
        .until("the server is online in the other subnet", || async {
            let found = local.region.call("transfer", "DescribeServer", json!({ "ServerId": id })).await?;
            let details = &found["Server"]["EndpointDetails"];
            let moved = ["SubnetIds", "AddressAllocationIds"].iter().all(|member| details[member] == there[member]);
            Ok((moved && found["Server"]["State"] == "ONLINE").then_some(()))
        })
        .await;
    local.log_in().await.log_out().await.unwrap();
    let after = local.until_power("online").await;
    assert_eq!(fingerprints(&after), fingerprints(&before));
    local.close().await;
}

async fn gone(local: &LocalRegion, path: &str) -> anyhow::Result<Option<()>> {
    Ok((local.api.get(path).await?.status == 404).then_some(()))
}

fn fingerprints(server: &Value) -> &Value {
    &server["status"]["host_key_fingerprints"]
}
