//! Transfer Family's rules: what changes when, what is refused and how.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};
use wharfinger_emulator::{context::Pace, error::AwsError};

use crate::wharf::{ADDRESS, FILE_SYSTEM, Ground, ROLE, SUBNET, server};

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
    let ground = Ground::at_pace(slow());
    let server = ground.create_server().await;
    assert_eq!(ground.state(&server).await, "STARTING");
    pass(Duration::from_secs(120)).await;
    assert_eq!(ground.state(&server).await, "ONLINE");
    let conflict = ground.refused("StopServer", id(&server)).await;
    assert_eq!(conflict, AwsError::client("ConflictException", "VPC Endpoint state is not yet available"));
    pass(Duration::from_secs(60)).await;
    ground.done("StopServer", id(&server)).await;
    assert_eq!(ground.state(&server).await, "STOPPING");
    pass(Duration::from_secs(120)).await;
    assert_eq!(ground.state(&server).await, "OFFLINE");
}

#[tokio::test]
async fn starting_an_online_server_does_nothing_and_stopping_another_is_refused() {
    let ground = Ground::new();
    let server = ground.online_server().await;
    ground.done("StartServer", id(&server)).await;
    assert_eq!(ground.state(&server).await, "ONLINE");
    ground.done("StopServer", id(&server)).await;
    assert_eq!(ground.refused("StopServer", id(&server)).await.code, "InvalidRequestException");
}

#[tokio::test]
async fn elastic_ips_are_attached_offline_and_are_where_the_server_listens() {
    let ground = Ground::new();
    let server = ground.online_server().await;
    let private = ground.transfer.addresses(&server);
    let update = json!({ "ServerId": server, "EndpointDetails": { "AddressAllocationIds": [ADDRESS] } });
    assert_eq!(ground.refused("UpdateServer", update.clone()).await.code, "InvalidRequestException");
    ground.done("StopServer", id(&server)).await;
    ground.until(&server, "OFFLINE").await;
    let two = json!({ "ServerId": server, "EndpointDetails": { "AddressAllocationIds": [ADDRESS, "eipalloc-2"] } });
    assert_eq!(ground.refused("UpdateServer", two).await.code, "InvalidRequestException");
    ground.done("UpdateServer", update).await;
    ground.done("StartServer", id(&server)).await;
    ground.until(&server, "ONLINE").await;
    assert_ne!(ground.transfer.addresses(&server), private);
    ground.connect(&server).await.unwrap();
    let details = ground.done("DescribeServer", id(&server)).await["Server"]["EndpointDetails"].clone();
    assert_eq!(details["AddressAllocationIds"], json!([ADDRESS]));
    assert_eq!(details["SubnetIds"], json!([SUBNET]));
    assert!(details.get("SecurityGroupIds").is_none());
}

#[tokio::test]
async fn an_address_is_free_for_the_next_server_only_after_a_while() {
    let ground = Ground::at_pace(Pace {
        server_transition: Duration::from_millis(10),
        endpoint_lag: Duration::from_millis(300),
        ..Pace::default()
    });
    let attach = |server: &str| json!({ "ServerId": server, "EndpointDetails": { "AddressAllocationIds": [ADDRESS] } });
    let offline = async || {
        let server = ground.online_server().await;
        crate::wharf::wait_for("the endpoint", async || ground.call("StopServer", id(&server)).await.ok()).await;
        ground.until(&server, "OFFLINE").await;
        server
    };
    let (old, new) = (offline().await, offline().await);
    ground.done("UpdateServer", attach(&old)).await;
    ground.done("DeleteServer", id(&old)).await;
    assert_eq!(ground.refused("UpdateServer", attach(&new)).await.code, "InvalidRequestException");
    crate::wharf::wait_for("the address", async || ground.call("UpdateServer", attach(&new)).await.ok()).await;
}

#[tokio::test]
async fn create_server_refuses_elastic_ips() {
    let ground = Ground::new();
    let mut input = server();
    input["EndpointDetails"]["AddressAllocationIds"] = json!([ADDRESS]);
    assert_eq!(
        ground.refused("CreateServer", input).await.message,
        "AddressAllocationIds cannot be set in CreateServer"
    );
}

#[tokio::test]
async fn deleting_drops_the_users_and_a_second_time_finds_no_server() {
    let ground = Ground::new();
    let server = ground.online_server().await;
    ground.create_user(&server, "alice").await;
    ground.done("DeleteServer", id(&server)).await;
    assert_eq!(ground.refused("DeleteServer", id(&server)).await.code, "ResourceNotFoundException");
    let gone = ground.refused("DescribeUser", json!({ "ServerId": server, "UserName": "alice" })).await;
    assert_eq!((gone.code.as_str(), &gone.members["ResourceType"]), ("ResourceNotFoundException", &json!("Server")));
    assert!(ground.transfer.addresses(&server).is_empty());
}

#[tokio::test]
async fn a_user_that_exists_is_not_made_again() {
    let ground = Ground::new();
    let server = ground.create_server().await;
    ground.create_user(&server, "alice").await;
    let again =
        json!({ "ServerId": server, "UserName": "alice", "Role": ROLE, "PosixProfile": { "Uid": 1, "Gid": 1 } });
    let error = ground.refused("CreateUser", again).await;
    assert_eq!(error.code, "ResourceExistsException");
    assert_eq!((&error.members["Resource"], &error.members["ResourceType"]), (&json!("alice"), &json!("User")));
}

#[tokio::test]
async fn wrong_users_are_refused_with_a_sentence() {
    let ground = Ground::new();
    let server = ground.create_server().await;
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
        let error = ground.refused("CreateUser", user).await;
        assert_eq!(error.code, "InvalidRequestException");
        assert!(error.message.contains(sentence), "{change}: {error}");
    }
}

#[tokio::test]
async fn keys_are_imported_listed_and_deleted() {
    let ground = Ground::new();
    let server = ground.create_server().await;
    let key = ground.create_user(&server, "alice").await;
    let body = key.public_key().to_openssh().unwrap();
    let import = json!({ "ServerId": server, "UserName": "alice", "SshPublicKeyBody": body });
    assert_eq!(ground.refused("ImportSshPublicKey", import).await.code, "ResourceExistsException");
    let user = json!({ "ServerId": server, "UserName": "alice" });
    let shown = ground.done("DescribeUser", user.clone()).await["User"]["SshPublicKeys"][0].clone();
    assert_eq!(shown["SshPublicKeyBody"], body);
    let delete = json!({ "ServerId": server, "UserName": "alice", "SshPublicKeyId": shown["SshPublicKeyId"] });
    ground.done("DeleteSshPublicKey", delete.clone()).await;
    assert_eq!(ground.refused("DeleteSshPublicKey", delete).await.code, "ResourceNotFoundException");
    assert_eq!(ground.done("DescribeUser", user).await["User"]["SshPublicKeys"], json!([]));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let ground = Ground::new();
    let server = ground.create_server().await;
    for name in ["carol", "alice", "bob"] {
        ground.create_user(&server, name).await;
    }
    let first = ground.done("ListUsers", json!({ "ServerId": server, "MaxResults": 2 })).await;
    assert_eq!((&first["Users"][0]["UserName"], &first["Users"][1]["UserName"]), (&json!("alice"), &json!("bob")));
    let rest = ground.done("ListUsers", json!({ "ServerId": server, "NextToken": first["NextToken"] })).await;
    assert_eq!(rest["Users"].as_array().unwrap().len(), 1);
    assert!(rest.get("NextToken").is_none());
}

#[tokio::test]
async fn tags_of_servers_and_users_change_by_arn() {
    let ground = Ground::new();
    let server = ground.create_server().await;
    let arn = ground.done("DescribeServer", id(&server)).await["Server"]["Arn"].clone();
    ground.done("TagResource", json!({ "Arn": arn, "Tags": [{ "Key": "generation", "Value": "2" }] })).await;
    ground.done("UntagResource", json!({ "Arn": arn, "TagKeys": ["wharfinger:server"] })).await;
    let tags = ground.done("ListTagsForResource", json!({ "Arn": arn })).await["Tags"].clone();
    assert_eq!(tags, json!([{ "Key": "generation", "Value": "2" }]));
}

#[tokio::test]
async fn a_host_key_that_was_given_is_the_one_that_is_shown() {
    let ground = Ground::new();
    let key =
        russh::keys::PrivateKey::random(&mut russh::keys::key::safe_rng(), russh::keys::Algorithm::Ed25519).unwrap();
    let mut input = server();
    input["HostKey"] = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap().as_str().into();
    let server = ground.done("CreateServer", input).await["ServerId"].as_str().unwrap().to_owned();
    let shown = ground.done("DescribeServer", id(&server)).await["Server"]["HostKeyFingerprint"].clone();
    let expected = key.public_key().fingerprint(russh::keys::HashAlg::Sha256).to_string();
    assert_eq!(shown.as_str().unwrap().trim_end_matches('='), expected);
    let listed = ground.done("ListHostKeys", id(&server)).await["HostKeys"].clone();
    assert_eq!((&listed[0]["Fingerprint"], &listed[0]["Type"]), (&shown, &json!("ssh-ed25519")));
    let bad = json!({ "ServerId": server, "HostKeyBody": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n" });
    assert_eq!(ground.refused("ImportHostKey", bad).await.code, "InvalidRequestException");
}

#[tokio::test]
async fn unknown_operations_get_an_answer() {
    let ground = Ground::new();
    assert_eq!(ground.refused("TestIdentityProvider", json!({})).await.code, "UnknownOperationException");
}

#[tokio::test]
async fn a_restart_finds_everything_again() {
    let mut ground = Ground::new();
    let server = ground.online_server().await;
    let key = ground.create_user(&server, "alice").await;
    ground.restart(&server).await;
    crate::wharf::wait_for("the door", async || ground.connect(&server).await.ok()).await;
    assert!(ground.log_in(&server, "alice", &key).await.is_some());
    ground.wire.closed.store(true, Ordering::Relaxed);
    assert!(ground.connect(&server).await.is_err(), "a client that the security groups don't admit is dropped");
}
