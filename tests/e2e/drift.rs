//! A network that somebody changes by hand: told, and undone where that is asked for.

use serde_json::{Value, json};
use wharfinger_cli::client::sftp::Visitor;
use wharfinger_region::seed;

use crate::support::{LocalRegion, blog, brisk, server};

/// The server as Transfer Family shows it.
async fn described(local: &LocalRegion, id: &Value) -> anyhow::Result<Value> {
    let asked = json!({ "ServerId": id });
    Ok(local.region.call("transfer", "DescribeServer", asked).await?["Server"].clone())
}

async fn until_aws_shows(local: &LocalRegion, id: &Value, state: &str) {
    local
        .until(&format!("AWS shows the server {state}"), || async {
            Ok((described(local, id).await?["State"] == state).then_some(()))
        })
        .await;
}

/// Somebody gives the server the other Elastic IP.
async fn change_by_hand(local: &LocalRegion, id: &Value) {
    // The endpoint of a server that was just stopped or started is not ready for a while.
    let call = async |operation: &str, input: Value| {
        let what = format!("Transfer Family takes {operation}");
        local.until(&what, || async { Ok(local.region.call("transfer", operation, input.clone()).await.ok()) }).await;
    };
    call("StopServer", json!({ "ServerId": id })).await;
    until_aws_shows(local, id, "OFFLINE").await;
    let details = json!({ "AddressAllocationIds": [seed::ADDRESSES[1]], "SubnetIds": [seed::SUBNETS[0]] });
    call("UpdateServer", json!({ "ServerId": id, "EndpointDetails": details })).await;
    call("StartServer", json!({ "ServerId": id })).await;
    until_aws_shows(local, id, "ONLINE").await;
}

fn drift(server: &Value) -> Option<&Value> {
    server["status"]["conditions"].as_array()?.iter().find(|condition| condition["code"] == "drift")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_changed_by_hand_is_told_and_undone_only_when_that_is_asked_for() {
    // Nobody looks by themselves while it is being changed.
    let local = LocalRegion::ready(brisk().with("SweepSchedule", "rate(1 day)"), &server(None), &blog("1s")).await;
    let id = local.server().await.unwrap()["status"]["server_id"].clone();
    change_by_hand(&local, &id).await;
    let stops = local.calls("transfer", "StopServer");

    let mut wanted = server(None);
    wanted["network"]["allowed_cidrs"] = json!(["127.0.0.0/8", "203.0.113.0/24"]);
    local.api.put("/v1/servers/main", &wanted).await.unwrap();
    let told = local
        .until("the drift is told", || async {
            let server = local.server().await?;
            Ok(drift(&server).is_some().then_some(server))
        })
        .await;
    assert_eq!(told["status"]["power"], "online", "{told}");
    let message = drift(&told).unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(seed::ADDRESSES[0]) && message.contains(seed::ADDRESSES[1]), "{message}");
    assert_eq!(local.calls("transfer", "StopServer"), stops, "nobody is cut off to undo it");
    let rules = local.region.call("ec2", "DescribeSecurityGroupRules", json!({})).await.unwrap().to_string();
    assert!(rules.contains("203.0.113.0/24"), "what cuts nobody is done: {rules}");

    let endpoint = &told["status"]["endpoint"];
    let told = format!("{}:{}", endpoint["host"].as_str().unwrap(), endpoint["port"]);
    let alice =
        Visitor::log_in(told.parse().unwrap(), "alice", &local.key).await.expect("alice gets in where it is told");

    wanted["drift"] = json!("repair");
    wanted["drain_for"] = json!("1h");
    local.api.put("/v1/servers/main", &wanted).await.unwrap();
    local.until_power("draining").await;
    alice.put("late.html", b"still here").await.expect("it is drained first");
    alice.log_out().await.unwrap();
    let addresses = json!([seed::ADDRESSES[0]]);
    local
        .until("the server is as in its spec", || async {
            let is_so = described(&local, &id).await?["EndpointDetails"]["AddressAllocationIds"] == addresses;
            let server = local.server().await?;
            let is_online = server["status"]["power"] == "online" && drift(&server).is_none();
            Ok((is_so && is_online).then_some(()))
        })
        .await;
    local.log_in().await.log_out().await.unwrap();
    local.close().await;
}
