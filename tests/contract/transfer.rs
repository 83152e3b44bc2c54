//! Transfer Family's rules: what changes when, what is refused and how.

use std::{sync::atomic::Ordering, time::Duration};

use russh::keys::{
    Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKeyOrCertificate,
    key::safe_rng,
    ssh_key::{LineEnding, private::RsaKeypair},
};
use serde_json::{Value, json};
use wharfinger_emulator::{context::Pace, error::AwsError, service::Service};

use crate::transfer_family::{ADDRESS, FILE_SYSTEM, ROLE, SUBNET, TransferFamily, server};

fn slow() -> Pace {
    Pace { server_transition: Duration::from_secs(120), endpoint_lag: Duration::from_secs(60), ..Pace::default() }
}

async fn pass(duration: Duration) {
    // Past the moment itself, so that tasks that wake at it have run.
    tokio::time::sleep(duration + Duration::from_millis(1)).await;
}

fn id(server: &str) -> Value {
    json!({ "ServerId": server })
}

#[tokio::test(start_paused = true)]
async fn a_server_takes_its_time_to_start_and_to_stop() {
    let region = TransferFamily::at_pace(slow());
    let server = region.create_server().await;
    assert_eq!(region.state(&server).await, "STARTING");
    pass(Duration::from_secs(120)).await;
    assert_eq!(region.state(&server).await, "ONLINE");
    let conflict = region.refused("StopServer", id(&server)).await;
    assert_eq!(conflict, AwsError::client("ConflictException", "VPC Endpoint state is not yet available"));
    pass(Duration::from_secs(60)).await;
    region.done("StopServer", id(&server)).await;
    assert_eq!(region.state(&server).await, "STOPPING");
    pass(Duration::from_secs(120)).await;
    assert_eq!(region.state(&server).await, "OFFLINE");
}

#[tokio::test]
async fn starting_an_online_server_does_nothing_and_stopping_another_is_refused() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    region.done("StartServer", id(&server)).await;
    assert_eq!(region.state(&server).await, "ONLINE");
    region.done("StopServer", id(&server)).await;
    assert_eq!(region.refused("StopServer", id(&server)).await.code, "InvalidRequestException");
}

#[tokio::test]
async fn elastic_ips_are_attached_offline_and_are_where_the_server_listens() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    let private = region.transfer.addresses(&server);
    let update = json!({ "ServerId": server, "EndpointDetails": { "AddressAllocationIds": [ADDRESS] } });
    assert_eq!(region.refused("UpdateServer", update.clone()).await.code, "InvalidRequestException");
    region.done("StopServer", id(&server)).await;
    region.until(&server, "OFFLINE").await;
    let two = json!({ "ServerId": server, "EndpointDetails": { "AddressAllocationIds": [ADDRESS, "eipalloc-2"] } });
    assert_eq!(region.refused("UpdateServer", two).await.code, "InvalidRequestException");
    region.done("UpdateServer", update).await;
    region.done("StartServer", id(&server)).await;
    region.until(&server, "ONLINE").await;
    assert_ne!(region.transfer.addresses(&server), private);
    region.connect(&server).await.unwrap();
    let details = region.done("DescribeServer", id(&server)).await["Server"]["EndpointDetails"].clone();
    assert_eq!(details["AddressAllocationIds"], json!([ADDRESS]));
    assert_eq!(details["SubnetIds"], json!([SUBNET]));
    assert!(details.get("SecurityGroupIds").is_none());
}

#[tokio::test]
async fn an_address_is_free_for_the_next_server_only_after_a_while() {
    let region = TransferFamily::at_pace(Pace {
        server_transition: Duration::from_millis(10),
        endpoint_lag: Duration::from_millis(300),
        ..Pace::default()
    });
    let attach = |server: &str| json!({ "ServerId": server, "EndpointDetails": { "AddressAllocationIds": [ADDRESS] } });
    let offline = async || {
        let server = region.online_server().await;
        crate::transfer_family::wait_for("the endpoint", async || region.call("StopServer", id(&server)).await.ok())
            .await;
        region.until(&server, "OFFLINE").await;
        server
    };
    let (old, new) = (offline().await, offline().await);
    region.done("UpdateServer", attach(&old)).await;
    region.done("DeleteServer", id(&old)).await;
    assert_eq!(region.refused("UpdateServer", attach(&new)).await.code, "InvalidRequestException");
    crate::transfer_family::wait_for("the address", async || region.call("UpdateServer", attach(&new)).await.ok())
        .await;
}

#[tokio::test]
async fn create_server_refuses_elastic_ips() {
    let region = TransferFamily::new();
    let mut input = server();
    input["EndpointDetails"]["AddressAllocationIds"] = json!([ADDRESS]);
    assert_eq!(
        region.refused("CreateServer", input).await.message,
        "AddressAllocationIds cannot be set in CreateServer"
    );
}

#[tokio::test]
async fn deleting_drops_the_users_and_a_second_time_finds_no_server() {
    let region = TransferFamily::new();
    let server = region.online_server().await;
    region.create_user(&server, "alice").await;
    region.done("DeleteServer", id(&server)).await;
    assert_eq!(region.refused("DeleteServer", id(&server)).await.code, "ResourceNotFoundException");
    let gone = region.refused("DescribeUser", json!({ "ServerId": server, "UserName": "alice" })).await;
    assert_eq!((gone.code.as_str(), &gone.members["ResourceType"]), ("ResourceNotFoundException", &json!("Server")));
    assert!(region.transfer.addresses(&server).is_empty());
}

#[tokio::test]
async fn a_user_that_exists_is_not_made_again() {
    let region = TransferFamily::new();
    let server = region.create_server().await;
    region.create_user(&server, "alice").await;
    let again =
        json!({ "ServerId": server, "UserName": "alice", "Role": ROLE, "PosixProfile": { "Uid": 1, "Gid": 1 } });
    let error = region.refused("CreateUser", again).await;
    assert_eq!(error.code, "ResourceExistsException");
    assert_eq!((&error.members["Resource"], &error.members["ResourceType"]), (&json!("alice"), &json!("User")));
}

#[tokio::test]
async fn wrong_users_are_refused_with_a_sentence() {
    let region = TransferFamily::new();
    let server = region.create_server().await;
    let target = format!("/{FILE_SYSTEM}/x");
    let posix = json!({ "Uid": 1, "Gid": 1 });
    let cases = [
        (json!({ "UserName": "al" }), "userName"),
        (json!({ "UserName": "alice bob" }), "regular expression"),
        (json!({ "PosixProfile": null }), "PosixProfile is required"),
        (json!({ "HomeDirectoryType": "LOGICAL" }), "HomeDirectoryMappings are required"),
        (json!({ "HomeDirectoryMappings": [{ "Entry": "/", "Target": target }] }), "only be set for"),
        (
            json!({ "HomeDirectoryType": "LOGICAL", "HomeDirectoryMappings": [{ "Entry": "x", "Target": target }] }),
            "entry",
        ),
        (json!({ "SshPublicKeyBody": "ssh-ed25519 AAAA" }), "SSH public key"),
        (json!({ "Role": "nobody" }), "role"),
    ];
    for (change, sentence) in cases {
        let mut user = json!({ "ServerId": server, "UserName": "alice", "Role": ROLE, "PosixProfile": posix });
        user.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = region.refused("CreateUser", user).await;
        assert_eq!(error.code, "InvalidRequestException");
        assert!(error.message.contains(sentence), "{change}: {error}");
    }
}

#[tokio::test]
async fn keys_are_imported_listed_and_deleted() {
    let region = TransferFamily::new();
    let server = region.create_server().await;
    let key = region.create_user(&server, "alice").await;
    let body = key.public_key().to_openssh().unwrap();
    let import = json!({ "ServerId": server, "UserName": "alice", "SshPublicKeyBody": body });
    assert_eq!(region.refused("ImportSshPublicKey", import).await.code, "ResourceExistsException");
    let user = json!({ "ServerId": server, "UserName": "alice" });
    let shown = region.done("DescribeUser", user.clone()).await["User"]["SshPublicKeys"][0].clone();
    assert_eq!(shown["SshPublicKeyBody"], body);
    let delete = json!({ "ServerId": server, "UserName": "alice", "SshPublicKeyId": shown["SshPublicKeyId"] });
    region.done("DeleteSshPublicKey", delete.clone()).await;
    assert_eq!(region.refused("DeleteSshPublicKey", delete).await.code, "ResourceNotFoundException");
    assert_eq!(region.done("DescribeUser", user).await["User"]["SshPublicKeys"], json!([]));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let region = TransferFamily::new();
    let server = region.create_server().await;
    for name in ["carol", "alice", "bob"] {
        region.create_user(&server, name).await;
    }
    let first = region.done("ListUsers", json!({ "ServerId": server, "MaxResults": 2 })).await;
    assert_eq!((&first["Users"][0]["UserName"], &first["Users"][1]["UserName"]), (&json!("alice"), &json!("bob")));
    let rest = region.done("ListUsers", json!({ "ServerId": server, "NextToken": first["NextToken"] })).await;
    assert_eq!(rest["Users"].as_array().unwrap().len(), 1);
    assert!(rest.get("NextToken").is_none());
}

#[tokio::test]
async fn tags_of_servers_and_users_change_by_arn() {
    let region = TransferFamily::new();
    let server = region.create_server().await;
    let arn = region.done("DescribeServer", id(&server)).await["Server"]["Arn"].clone();
    region.done("TagResource", json!({ "Arn": arn, "Tags": [{ "Key": "generation", "Value": "2" }] })).await;
    region.done("UntagResource", json!({ "Arn": arn, "TagKeys": ["wharfinger:server"] })).await;
    let tags = region.done("ListTagsForResource", json!({ "Arn": arn })).await["Tags"].clone();
    assert_eq!(tags, json!([{ "Key": "generation", "Value": "2" }]));
}

#[tokio::test]
async fn a_host_key_that_was_given_is_the_one_that_is_shown() {
    let region = TransferFamily::new();
    let key =
        russh::keys::PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519).unwrap();
    let mut input = server();
    input["HostKey"] = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap().as_str().into();
    let server = region.done("CreateServer", input).await["ServerId"].as_str().unwrap().to_owned();
    let shown = region.done("DescribeServer", id(&server)).await["Server"]["HostKeyFingerprint"].clone();
    let expected = key.public_key().fingerprint(russh::keys::HashAlg::Sha256).to_string();
    assert_eq!(shown.as_str().unwrap().trim_end_matches('='), expected);
    let listed = region.done("ListHostKeys", id(&server)).await["HostKeys"].clone();
    assert_eq!((&listed[0]["Fingerprint"], &listed[0]["Type"]), (&shown, &json!("ssh-ed25519")));
    let bad = json!({ "ServerId": server, "HostKeyBody": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n" });
    assert_eq!(region.refused("ImportHostKey", bad).await.code, "InvalidRequestException");
}

#[tokio::test]
async fn unknown_operations_get_an_answer() {
    let region = TransferFamily::new();
    assert_eq!(region.refused("TestIdentityProvider", json!({})).await.code, "UnknownOperationException");
}

#[tokio::test]
async fn a_restart_finds_everything_again() {
    let mut region = TransferFamily::new();
    let server = region.online_server().await;
    let key = region.create_user(&server, "alice").await;
    region.restart(&server).await;
    crate::transfer_family::wait_for("the door", async || region.connect(&server).await.ok()).await;
    assert!(region.log_in(&server, "alice", &key).await.is_some());
    region.wire.closed.store(true, Ordering::Relaxed);
    assert!(region.connect(&server).await.is_err(), "a client that the security groups don't admit is dropped");
}

/// A client that asks for one algorithm and remembers the host key that it is shown.
async fn host_key_shown(region: &TransferFamily, server: &str, algorithm: Algorithm) -> Option<String> {
    struct Curious(std::sync::Arc<std::sync::Mutex<Option<String>>>);
    impl russh::client::Handler for Curious {
        type Error = russh::Error;

        async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
            let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
            *self.0.lock().unwrap() = Some(key.fingerprint(HashAlg::Sha256).to_string());
            Ok(true)
        }
    }
    let preferred = russh::Preferred { key: vec![algorithm].into(), ..russh::Preferred::default() };
    let config = russh::client::Config { preferred, ..russh::client::Config::default() };
    let shown = std::sync::Arc::<std::sync::Mutex<Option<String>>>::default();
    let address = region.transfer.addresses(server)[0];
    let _connection =
        russh::client::connect(config.into(), address, Curious(std::sync::Arc::clone(&shown))).await.ok()?;
    shown.lock().unwrap().take()
}

#[tokio::test]
async fn clients_are_shown_the_oldest_host_key_of_their_algorithm() {
    let region = TransferFamily::new();
    let curve = || Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
    let rsa = || Algorithm::Rsa { hash: Some(HashAlg::Sha256) };
    let random = |algorithm| PrivateKey::random(&mut safe_rng(), algorithm).unwrap();
    let pair = RsaKeypair::random(&mut safe_rng(), 2048).unwrap();
    let keys = [random(Algorithm::Ed25519), random(Algorithm::Ed25519), random(curve()), PrivateKey::from(pair)];
    let keys = keys.map(|key| {
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256).to_string();
        (key.to_openssh(LineEnding::LF).unwrap().to_string(), fingerprint)
    });
    let mut input = server();
    input["HostKey"] = keys[0].0.clone().into();
    let server = region.done("CreateServer", input).await["ServerId"].as_str().unwrap().to_owned();
    region.until(&server, "ONLINE").await;
    for algorithm in [curve(), rsa()] {
        assert_eq!(host_key_shown(&region, &server, algorithm).await, None, "it has no such key yet");
    }
    for (body, _) in &keys[1..] {
        region.done("ImportHostKey", json!({ "ServerId": server, "HostKeyBody": body })).await;
    }
    assert_eq!(host_key_shown(&region, &server, Algorithm::Ed25519).await.as_ref(), Some(&keys[0].1));
    assert_eq!(host_key_shown(&region, &server, curve()).await.as_ref(), Some(&keys[2].1));
    assert_eq!(host_key_shown(&region, &server, rsa()).await.as_ref(), Some(&keys[3].1));
    let listed = region.done("ListHostKeys", id(&server)).await["HostKeys"].clone();
    let oldest = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["Fingerprint"].as_str().unwrap().trim_end_matches('=') == keys[0].1);
    let oldest = json!({ "ServerId": server, "HostKeyId": oldest.unwrap()["HostKeyId"] });
    region.done("DeleteHostKey", oldest).await;
    assert_eq!(host_key_shown(&region, &server, Algorithm::Ed25519).await.as_ref(), Some(&keys[1].1));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_an_upload_is_told_as_gone_after_it() {
    let region = TransferFamily::new();
    region.logs.call("CreateLogGroup", json!({ "logGroupName": "/sftp" })).await.unwrap();
    let mut input = server();
    input["StructuredLogDestinations"] = json!(["arn:aws:logs:us-east-1:000000000000:log-group:/sftp:*"]);
    let server = region.done("CreateServer", input).await["ServerId"].as_str().unwrap().to_owned();
    region.until(&server, "ONLINE").await;
    let key = region.create_user(&server, "alice").await;
    let connection = region.log_in(&server, "alice", &key).await.unwrap();
    let sftp = crate::transfer_family::open_sftp(&connection).await;
    let _open = sftp.create("draft").await.unwrap();
    connection.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    let lines = async || {
        let answer = region.logs.call("FilterLogEvents", json!({ "logGroupName": "/sftp" })).await.unwrap();
        let line = |event: &Value| serde_json::from_str::<Value>(event["message"].as_str().unwrap()).unwrap();
        let lines: Vec<Value> = answer["events"].as_array().unwrap().iter().map(line).collect();
        lines.iter().any(|line| line["activity-type"] == "DISCONNECTED").then_some(lines)
    };
    let lines = crate::transfer_family::wait_for("the client's end in the log", lines).await;
    let told: Vec<&str> = lines.iter().filter_map(|line| line["activity-type"].as_str()).collect();
    assert_eq!(told, ["CONNECTED", "OPEN", "PARTIAL_CLOSE", "DISCONNECTED"]);
    assert_eq!(lines[1]["path"], format!("/{FILE_SYSTEM}/sites/blog/draft"));
    assert!(lines[0]["client"].as_str().unwrap().starts_with("SSH-2.0-"), "{}", lines[0]);
}
