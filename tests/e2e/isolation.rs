//! One thing's trouble holds up no other: what is missing, refused or unknown stops only what needs it.

use serde_json::{Value, json};
use wharfinger_cli::client::sftp::{UserKey, Visitor};
use wharfinger_emulator::{endpoint::faults::Fault, error::AwsError};
use wharfinger_region::seed;

use crate::support::{LocalRegion, blog, brisk, server};

/// A role that a user can carry.
const ROLE: &str = "arn:aws:iam::000000000000:role/sftp-users";

fn refuse(local: &LocalRegion, service: &str, operation: &str, code: &'static str) {
    let error = AwsError::client(code, "You are not authorized to perform this operation.");
    local.region.faults().inject(service, operation, 10_000, Fault::Answer(error));
}

async fn aws_id(local: &LocalRegion) -> Value {
    local.server().await.expect("a server")["status"]["server_id"].clone()
}

async fn users_on_aws(local: &LocalRegion, id: &Value) -> anyhow::Result<usize> {
    let users = local.region.call("transfer", "ListUsers", json!({ "ServerId": id })).await?;
    Ok(users["Users"].as_array().map_or(0, Vec::len))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_question_about_the_network_holds_up_no_revocation_and_no_stop() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let id = aws_id(&local).await;
    for operation in ["DescribeAddresses", "DescribeVpcEndpoints"] {
        refuse(&local, "ec2", operation, "UnauthorizedOperation");
    }
    let revoked = local.calls("ec2", "RevokeSecurityGroupIngress");

    local.api.delete("/v1/servers/main/users/alice").await.unwrap();
    let mut narrower = server(None);
    narrower["network"]["allowed_cidrs"] = json!(["127.0.0.0/9"]);
    local.api.put("/v1/servers/main", &narrower).await.unwrap();
    local
        .until("alice and the withdrawn address block are gone", || async {
            let gone = users_on_aws(&local, &id).await? == 0;
            Ok((gone && local.calls("ec2", "RevokeSecurityGroupIngress") > revoked).then_some(()))
        })
        .await;
    local.api.post("/v1/servers/main/stop").await.unwrap();
    local.until_power("stopped").await;
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_online_server_is_not_stopped_for_an_address_that_does_not_exist() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    let stops = local.calls("transfer", "StopServer");

    let mut moved = server(None);
    moved["network"]["address_allocation_ids"] = json!(["eipalloc-00000000"]);
    local.api.put("/v1/servers/main", &moved).await.unwrap();
    local
        .until("the server says why it stays as it is", || async {
            let reason = local.server().await?["status"]["reason"].to_string();
            Ok((reason.contains("stays online") && reason.contains("eipalloc-00000000")).then_some(()))
        })
        .await;

    local.until_power("online").await;
    alice.put("index.html", b"in one piece").await.unwrap();
    alice.log_out().await.unwrap();
    assert_eq!(local.calls("transfer", "StopServer"), stops);
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_aws_refuses_after_the_stop_gives_way_to_the_old_one() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let stops = local.calls("transfer", "StopServer");
    refuse(&local, "transfer", "UpdateServer", "InvalidRequestException");

    let mut moved = server(None);
    moved["network"]["address_allocation_ids"] = json!([seed::ADDRESSES[1]]);
    local.api.put("/v1/servers/main", &moved).await.unwrap();
    local
        .until("the server is back as it was", || async {
            let status = local.server().await?["status"].clone();
            let back = status["power"] == "online" && status["reason"].to_string().contains("stays online");
            Ok((back && local.calls("transfer", "StopServer") > stops).then_some(()))
        })
        .await;

    local.log_in().await.log_out().await.unwrap();
    let stops = local.calls("transfer", "StopServer");
    let seen = local.server().await.unwrap()["status"]["observed_at"].clone();
    local
        .until("the server was visited again", || async {
            local.put_alice().await;
            Ok((local.server().await?["status"]["observed_at"] != seen).then_some(()))
        })
        .await;
    assert_eq!(local.calls("transfer", "StopServer"), stops, "no session is cut for the same refusal again");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_a_server_that_is_refused_can_be_deleted() {
    let local = LocalRegion::open(brisk()).await;
    refuse(&local, "transfer", "CreateServer", "InvalidRequestException");
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    local.api.put("/v1/sites/blog", &blog("1s")).await.unwrap();
    local.put_alice().await;
    local.until_power("failed").await;

    local.api.delete("/v1/servers/main/users/alice").await.unwrap();

    local
        .until("alice is forgotten", || async {
            Ok((local.api.get("/v1/servers/main/users/alice").await?.status == 404).then_some(()))
        })
        .await;
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_ours_that_have_no_record_are_deleted_one_by_one_and_never_at_large() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let id = aws_id(&local).await;
    let make = async |name: &str| {
        let user = json!({
            "ServerId": id, "UserName": name, "Role": ROLE, "HomeDirectoryType": "LOGICAL",
            "HomeDirectoryMappings": [{ "Entry": "/", "Target": format!("/{}/sites/blog", seed::FILE_SYSTEM) }],
            "PosixProfile": { "Uid": 1000, "Gid": 1000 },
            "Tags": [{ "Key": "wharfinger:server", "Value": "main" }],
        });
        local.region.call("transfer", "CreateUser", user).await.expect("a user");
    };
    make("forgotten").await;
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();
    local
        .until("one forgotten account is deleted", || async {
            Ok((users_on_aws(&local, &id).await? == 1).then_some(()))
        })
        .await;

    for name in ["anna", "bert", "carl", "dora"] {
        make(name).await;
    }
    let seen = local.server().await.unwrap()["status"]["observed_at"].clone();
    let mut narrower = server(None);
    narrower["network"]["allowed_cidrs"] = json!(["127.0.0.0/8", "203.0.113.0/24"]);
    local.api.put("/v1/servers/main", &narrower).await.unwrap();
    local
        .until("the server was visited again", || async {
            Ok((local.server().await?["status"]["observed_at"] != seen).then_some(()))
        })
        .await;

    assert_eq!(users_on_aws(&local, &id).await.unwrap(), 5, "a table that is new deletes nobody");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_at_once_are_looked_after_in_few_visits() {
    const CHANGES: u64 = 150;
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let before = local.calls("transfer", "ListUsers");

    for number in 0..CHANGES {
        let key = UserKey::generate();
        let user = json!({ "public_keys": [key.public_line(), local.key.public_line()], "site": "blog" });
        local.api.put("/v1/servers/main/users/alice", &user).await.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    let last = UserKey::generate();
    let user = json!({ "public_keys": [last.public_line()], "site": "blog" });
    local.api.put("/v1/servers/main/users/alice", &user).await.unwrap();
    let address = local.region.addresses().sftp;
    local
        .until("only the last key is taken", || async {
            let new = Visitor::log_in(address, "alice", &last).await.is_ok();
            Ok((new && Visitor::log_in(address, "alice", &local.key).await.is_err()).then_some(()))
        })
        .await;
    local.until_alice_is_ready().await;
    let settled = local.calls("transfer", "ListUsers");
    local.api.put("/v1/servers/main", &server(None)).await.unwrap();

    assert!(settled - before <= CHANGES, "{} visits for {CHANGES} changes", settled - before);
    local.close().await;
}
