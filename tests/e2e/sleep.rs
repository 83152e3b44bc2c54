//! Sleep and wake: a server that nobody uses is gone from the bill, and comes back as it was.

use serde_json::{Value, json};
use wharfinger_cli::client::sftp::{UserKey, Visitor};
use wharfinger_region::seed;

use crate::support::{LocalRegion, blog, brisk, server};

/// The server `main`, asleep after so long without use.
fn sleeper(after: &str) -> Value {
    let mut server = server(None);
    server["idle"] = json!({ "after": after, "action": "sleep" });
    server["manual_keep"] = json!("1s");
    server
}

/// The servers that AWS bills.
async fn billed(local: &LocalRegion) -> Vec<Value> {
    let listed = local.region.call("transfer", "ListServers", json!({})).await.expect("the region answers");
    listed["Servers"].as_array().cloned().unwrap_or_default()
}

/// The host key that release 0.1 makes the server from: what its secret holds for whoever names no version.
async fn first_host_key(local: &LocalRegion) -> Result<Value, String> {
    let secret = json!({ "SecretId": "wharfinger/servers/main/host-key" });
    let answer = local.region.call("secretsmanager", "GetSecretValue", secret).await;
    answer.map(|found| found["SecretString"].clone()).map_err(|error| error.to_string())
}

async fn put_user(local: &LocalRegion, name: &str) -> UserKey {
    let key = UserKey::generate();
    let user = json!({ "public_keys": [key.public_line()], "site": "blog" });
    local.api.put(&format!("/v1/servers/main/users/{name}"), &user).await.expect("the user is taken");
    key
}

async fn until_ready(local: &LocalRegion, name: &str) {
    let path = format!("/v1/servers/main/users/{name}");
    local
        .until(&format!("{name} is ready"), || async {
            let user = local.api.get(&path).await?.taken("user")?;
            Ok((user["status"]["state"] == "ready" && user["status"]["settled"] == true).then_some(()))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_sleeps_for_nothing_and_wakes_as_it_was() {
    let local = LocalRegion::ready(brisk(), &sleeper("4s"), &blog("1s")).await;
    let bob = put_user(&local, "bob").await;
    until_ready(&local, "bob").await;
    let before = local.server().await.unwrap();
    let first_key = first_host_key(&local).await.unwrap();
    let alice = local.log_in().await;
    let known_host_key = alice.host_key_fingerprint.clone();
    alice.put("index.html", b"hello").await.unwrap();
    alice.log_out().await.unwrap();

    let asleep = local.until_power("asleep").await;

    assert_eq!(billed(&local).await, Vec::<Value>::new(), "nothing is billed");
    assert_eq!((&asleep["status"]["server_id"], &asleep["status"]["endpoint"]), (&Value::Null, &Value::Null));
    let address = json!({ "AllocationIds": [seed::ADDRESSES[0]] });
    assert!(local.region.call("ec2", "DescribeAddresses", address).await.is_ok(), "the address stays ours");

    // Who comes and goes meanwhile has come and gone when it wakes.
    let carol = put_user(&local, "carol").await;
    local.api.delete("/v1/servers/main/users/bob").await.unwrap();
    local.api.post("/v1/servers/main/wake").await.unwrap();
    let after = local.until_power("online").await;

    assert_eq!(after["status"]["endpoint"], before["status"]["endpoint"]);
    assert_eq!(after["status"]["host_key_fingerprints"], before["status"]["host_key_fingerprints"]);
    assert_eq!(after["status"]["host_key_fingerprints"].as_array().map(Vec::len), Some(3));
    assert_eq!(first_host_key(&local).await.unwrap(), first_key);
    assert_eq!(local.calls("secretsmanager", "CreateSecret"), 1, "a server has one secret");
    assert_ne!(after["status"]["server_id"], before["status"]["server_id"]);
    until_ready(&local, "carol").await;
    until_ready(&local, "alice").await;
    let sftp = local.region.addresses().sftp;
    let alice = local.log_in().await;
    assert_eq!(alice.host_key_fingerprint, known_host_key);
    assert_eq!(alice.get("index.html").await.unwrap(), b"hello");
    Visitor::log_in(sftp, "carol", &carol).await.expect("carol logs in").log_out().await.unwrap();
    assert!(Visitor::log_in(sftp, "bob", &bob).await.is_err(), "bob was removed while it slept");
    alice.log_out().await.unwrap();
    assert_eq!(billed(&local).await.len(), 1);
    assert_eq!(local.region.calls().refused(), [], "a function was refused what it needs");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_drained_before_a_person_s_stop_and_whoever_is_in_goes_on() {
    let mut wanted = server(None);
    wanted["drain_for"] = json!("1h");
    let local = LocalRegion::ready(brisk(), &wanted, &blog("1s")).await;
    let alice = local.log_in().await;
    local.api.post("/v1/servers/main/stop").await.unwrap();

    let draining = local
        .until("the server drains and says who is in", || async {
            let server = local.server().await?;
            let told = server["status"]["users_logged_in"] == json!(["alice"]);
            Ok((server["status"]["power"] == "draining" && told).then_some(server))
        })
        .await;

    assert!(draining["status"]["reason"].as_str().unwrap().contains("alice"), "{draining}");
    alice.put("late.html", b"still here").await.expect("an upload goes on while the server drains");
    let rules = local.region.call("ec2", "DescribeSecurityGroupRules", json!({})).await.unwrap().to_string();
    assert!(!rules.contains("wharfinger:"), "nobody new gets in: {rules}");
    alice.log_out().await.unwrap();
    local.until_power("stopped").await;
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_taken_back_while_the_server_drains_cuts_nobody() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    local.api.post("/v1/servers/main/sleep").await.unwrap();
    local.until_power("draining").await;
    local.api.post("/v1/servers/main/start").await.unwrap();
    local.until_power("online").await;
    alice.put("index.html", b"never cut").await.expect("the session is still there");
    alice.log_out().await.unwrap();
    local.log_in().await.log_out().await.expect("the door is open again");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_could_not_be_rebuilt_is_not_put_to_sleep_and_says_why() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let id = local.server().await.unwrap()["status"]["server_id"].clone();
    let stranger = json!({
        "ServerId": id, "UserName": "mallory", "Role": "arn:aws:iam::000000000000:role/TransferUserRole",
        "HomeDirectoryType": "LOGICAL",
        "HomeDirectoryMappings": [{ "Entry": "/", "Target": format!("/{}/sites/blog", seed::FILE_SYSTEM) }],
        "PosixProfile": { "Uid": 1000, "Gid": 1000 },
    });
    local.region.call("transfer", "CreateUser", stranger).await.expect("somebody else makes an account");
    local.api.post("/v1/servers/main/sleep").await.unwrap();

    let kept = local
        .until("the server says why it does not sleep", || async {
            let server = local.server().await?;
            let conditions = server["status"]["conditions"].as_array().cloned().unwrap_or_default();
            Ok(conditions
                .into_iter()
                .find(|condition| condition["code"] == "not_rebuildable")
                .map(|found| (found, server)))
        })
        .await;

    assert!(kept.0["message"].as_str().unwrap().contains("mallory"), "{}", kept.0);
    assert_eq!(kept.1["status"]["power"], "online");
    assert_eq!(billed(&local).await.len(), 1);
    local.log_in().await.log_out().await.unwrap();
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_server_is_deleted_and_leaves_nothing_on_the_bill() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    local.api.post("/v1/servers/main/sleep?now=true").await.unwrap();
    local.until_power("asleep").await;
    local.api.delete("/v1/servers/main?with_users=true").await.unwrap();
    local
        .until("the server is gone", || async {
            Ok((local.api.get("/v1/servers/main").await?.status == 404).then_some(()))
        })
        .await;
    assert_eq!(billed(&local).await, Vec::<Value>::new());
    let secret = first_host_key(&local).await.unwrap_err();
    assert!(secret.contains("marked for deletion"), "{secret}");
    local.close().await;
}

/// The server as AWS describes it.
async fn described(local: &LocalRegion) -> Value {
    let id = local.server().await.expect("it has a record")["status"]["server_id"].clone();
    let answer = local.region.call("transfer", "DescribeServer", json!({ "ServerId": id })).await;
    answer.expect("AWS has it")["Server"].clone()
}

async fn put_to_sleep(local: &LocalRegion) {
    local.api.post("/v1/servers/main/sleep?now=true").await.expect("the order is taken");
    local.until_power("asleep").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_gave_a_server_is_given_back_and_what_is_gone_locks_no_door() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let group = json!({ "logGroupName": "/theirs" });
    local.region.call("logs", "CreateLogGroup", group.clone()).await.unwrap();
    let theirs = json!(["arn:aws:logs:us-east-1:000000000000:log-group:/theirs:*"]);
    let plain = described(&local).await;
    let settings = json!({
        "ServerId": plain["ServerId"], "PreAuthenticationLoginBanner": "ahoy", "StructuredLogDestinations": theirs,
        "SecurityPolicyName": "TransferSecurityPolicy-2025-03",
    });
    local.region.call("transfer", "UpdateServer", settings.clone()).await.unwrap();
    let tag = json!({ "Arn": plain["Arn"], "Tags": [{ "Key": "team", "Value": "web" }] });
    local.region.call("transfer", "TagResource", tag).await.unwrap();

    put_to_sleep(&local).await;
    local.api.post("/v1/servers/main/wake").await.unwrap();
    local.until_power("online").await;

    let woken = described(&local).await;
    for member in ["PreAuthenticationLoginBanner", "SecurityPolicyName", "StructuredLogDestinations"] {
        assert_eq!(woken[member], settings[member], "{member}");
    }
    assert!(woken["Tags"].to_string().contains(r#""team""#), "{woken}");

    // What it logs to is deleted while it sleeps.
    put_to_sleep(&local).await;
    local.region.call("logs", "DeleteLogGroup", group).await.unwrap();
    let online = local
        .until("the server is woken without it", || async {
            local.api.post("/v1/servers/main/wake").await?;
            let server = local.server().await?;
            Ok((server["status"]["power"] == "online").then_some(server))
        })
        .await;

    let conditions = online["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let told = conditions.iter().find(|condition| condition["code"] == "setting_refused").expect("it is told");
    assert!(told["message"].to_string().contains("/theirs"), "{told}");
    let woken = described(&local).await;
    assert_eq!(woken["StructuredLogDestinations"], plain["StructuredLogDestinations"]);
    assert_eq!((&woken["PreAuthenticationLoginBanner"], billed(&local).await.len()), (&json!("ahoy"), 1));
    local.log_in().await.log_out().await.unwrap();
    local.close().await;
}
