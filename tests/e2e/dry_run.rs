//! A dry run of a server: AWS is asked, and nothing is changed.

use reqwest::Method;
use serde_json::{Value, json};
use wharfinger_region::seed;

use crate::support::{LocalRegion, blog, brisk, server};

/// What a dry run of `PUT /v1/servers/{name}` tells.
async fn forecast(local: &LocalRegion, name: &str, wanted: &Value) -> Value {
    let path = format!("/v1/servers/{name}?dry_run=true");
    let answer = local.api.ask_raw(Method::PUT, &path, &[], wanted.to_string()).await.expect("the API answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn codes(forecast: &Value) -> Vec<&str> {
    let conditions = forecast["conditions"].as_array().expect("it has conditions");
    conditions.iter().filter_map(|condition| condition["code"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_come_of_it_and_cuts_nobody_off() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let before = local.server().await.unwrap();
    let stops = local.calls("transfer", "StopServer");
    let alice = local.log_in().await;
    let network = |field: &str, value: Value| {
        let mut wanted = server(None);
        wanted["network"][field] = value;
        wanted
    };

    let grouped = network("security_group_ids", json!([seed::SFTP_GROUP, seed::DEFAULT_GROUP]));
    let told = forecast(&local, "main", &grouped).await;
    assert_eq!(
        (&told["would"], &told["interrupts"], codes(&told)),
        (&json!("change"), &json!(false), vec![]),
        "{told}"
    );
    let readdressed = network("address_allocation_ids", json!([seed::ADDRESSES[1]]));
    let told = forecast(&local, "main", &readdressed).await;
    assert_eq!((&told["interrupts"], codes(&told)), (&json!(true), vec![]), "{told}");
    let gone = network("address_allocation_ids", json!(["eipalloc-9a1b2c3d4e5f60718"]));
    let told = forecast(&local, "main", &gone).await;
    assert_eq!((&told["interrupts"], codes(&told)), (&json!(false), vec!["address_missing"]), "{told}");

    local
        .region
        .call("elasticfilesystem", "DeleteMountTarget", json!({ "MountTargetId": MOUNT_TARGETS[1] }))
        .await
        .unwrap();
    let moved = network("subnet_ids", json!([seed::SUBNETS[1]]));
    let told = forecast(&local, "main", &moved).await;
    assert_eq!((&told["interrupts"], codes(&told)), (&json!(true), vec!["mount_target_in_other_zone"]), "{told}");
    local
        .region
        .call("elasticfilesystem", "DeleteMountTarget", json!({ "MountTargetId": MOUNT_TARGETS[0] }))
        .await
        .unwrap();
    let told = forecast(&local, "main", &moved).await;
    assert_eq!((&told["interrupts"], codes(&told)), (&json!(false), vec!["mount_target_missing"]), "{told}");
    let mut second = network("address_allocation_ids", json!([]));
    second["network"]["security_group_ids"] = json!([seed::DEFAULT_GROUP]);
    let told = forecast(&local, "second", &second).await;
    assert_eq!((&told["would"], codes(&told)), (&json!("create"), vec!["mount_target_missing"]), "{told}");

    // What it tells is what comes of it.
    local.api.put("/v1/servers/main", &moved).await.unwrap();
    let kept = local
        .until("the server says that it can't move", || async {
            let server = local.server().await?;
            let told = server["status"]["conditions"].to_string();
            Ok(told.contains("mount_target_missing").then_some(server))
        })
        .await;
    assert_eq!(kept["status"]["power"], "online");
    assert_eq!(kept["status"]["server_id"], before["status"]["server_id"]);
    alice.put("index.html", b"never cut").await.expect("the session is still there");
    alice.log_out().await.unwrap();
    assert_eq!(local.calls("transfer", "StopServer"), stops, "it was stopped only when it was made");
    assert_eq!(local.region.calls().refused(), [], "a function was refused what it needs");
    local.close().await;
}

/// The mount targets in the zones of the region's two subnets.
const MOUNT_TARGETS: [&str; 2] = ["fsmt-0a1b2c3d4e5f60718", "fsmt-1a1b2c3d4e5f60718"];
