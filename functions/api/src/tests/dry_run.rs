//! What a dry run of a server tells: what AWS would refuse, and whether sessions are cut.

use std::time::Duration;

use serde_json::{Value, json};
use wharfinger_decisions::{
    names::ServerName,
    power::Placement,
    server::{ServerPhase, ServerSpec, ServerStatus},
};
use wharfinger_store::servers;

use super::{furnished, server, with};
use crate::testing::{Answer, Stage};

const PUT: &str = "PUT /v1/servers/main?dry_run=true";

const MOUNT_TARGETS: &str =
    "GET https://elasticfilesystem.us-east-1.amazonaws.com/2015-02-01/mount-targets?FileSystemId=fs-0a1b2c3d4e5f60718";

/// The server `main`, which was online when it was last looked at. AWS refuses every question.
async fn recorded() -> Stage {
    let stage = furnished().await;
    let name = ServerName::parse("main").unwrap();
    let spec: ServerSpec = serde_json::from_value(server()).unwrap();
    let mut status = ServerStatus {
        power: ServerPhase::Online,
        server_id: Some("s-1".into()),
        settled_version: 1,
        ..ServerStatus::default()
    };
    status.history.in_service = Some(Placement::of(&spec.network));
    status.history.applied = status.history.in_service.clone();
    stage.table.write_status(&servers::key(&name), &status).await.unwrap();
    stage
}

/// The same, and all that AWS shows: a second Elastic IP that is free, a second subnet in another zone, and a second
/// security group.
async fn online() -> Stage {
    let stage = recorded().await;
    shown(&stage, "eipalloc-0a1b2c3d4e5f60718");
    stage
        .cloud
        .answer("DescribeAddresses", addresses(&["eipalloc-0a1b2c3d4e5f60718"], &["eipalloc-1a1b2c3d4e5f60718"]));
    let subnet = |n: u8, zone: &str| {
        format!(
            "<item><subnetId>subnet-{n}a1b2c3d4e5f60718</subnetId><vpcId>vpc-0a1b2c3d4e5f60718</vpcId>\
             <availabilityZone>us-east-1{zone}</availabilityZone></item>"
        )
    };
    let subnets = format!("{}{}", subnet(0, "a"), subnet(1, "b"));
    let subnets = format!("<DescribeSubnetsResponse><subnetSet>{subnets}</subnetSet></DescribeSubnetsResponse>");
    stage.cloud.answer("DescribeSubnets", subnets);
    let group =
        |n: u8| format!("<item><groupId>sg-{n}a1b2c3d4e5f60718</groupId><vpcId>vpc-0a1b2c3d4e5f60718</vpcId></item>");
    let groups = format!("<securityGroupInfo>{}{}</securityGroupInfo>", group(0), group(1));
    stage.cloud.answer(
        "DescribeSecurityGroups",
        format!("<DescribeSecurityGroupsResponse>{groups}</DescribeSecurityGroupsResponse>"),
    );
    mounted(&stage, &["us-east-1a", "us-east-1b"]);
    stage.calls();
    stage
}

/// Transfer Family shows the server online with the Elastic IP `address`.
fn shown(stage: &Stage, address: &str) {
    let described = json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE",
        "EndpointDetails": {
            "VpcId": "vpc-0a1b2c3d4e5f60718", "VpcEndpointId": "vpce-1", "AddressAllocationIds": [address],
            "SubnetIds": ["subnet-0a1b2c3d4e5f60718"],
        },
    } });
    stage.cloud.answer("DescribeServer", described);
}

fn addresses(held: &[&str], free: &[&str]) -> String {
    let item = |id: &&str, association: &str| {
        format!("<item><allocationId>{id}</allocationId><publicIp>203.0.113.7</publicIp>{association}</item>")
    };
    let held = held.iter().map(|id| item(id, "<associationId>a</associationId>"));
    let items: String = held.chain(free.iter().map(|id| item(id, ""))).collect();
    format!("<DescribeAddressesResponse><addressesSet>{items}</addressesSet></DescribeAddressesResponse>")
}

/// EFS shows mount targets in these zones.
fn mounted(stage: &Stage, zones: &[&str]) {
    let target = |zone: &&str| {
        json!({
            "MountTargetId": "fsmt-1", "FileSystemId": "fs-0a1b2c3d4e5f60718", "SubnetId": "subnet-1",
            "LifeCycleState": "available", "VpcId": "vpc-0a1b2c3d4e5f60718", "AvailabilityZoneName": zone,
        })
    };
    stage.cloud.answer(MOUNT_TARGETS, json!({ "MountTargets": zones.iter().map(target).collect::<Vec<_>>() }));
}

fn codes(answer: &Answer) -> Vec<&str> {
    let conditions = answer.body["conditions"].as_array().expect("a dry run has conditions");
    conditions.iter().map(|condition| condition["code"].as_str().unwrap()).collect()
}

/// `main` with another Elastic IP.
fn readdressed() -> Value {
    with(server(), "/network/address_allocation_ids", json!(["eipalloc-1a1b2c3d4e5f60718"]))
}

#[tokio::test]
async fn another_elastic_ip_or_subnet_cuts_sessions_and_other_groups_or_blocks_do_not() {
    let stage = online().await;
    let moved = with(server(), "/network/subnet_ids", json!(["subnet-1a1b2c3d4e5f60718"]));
    let grouped = with(server(), "/network/security_group_ids", json!(["sg-1a1b2c3d4e5f60718"]));
    let wider = with(server(), "/network/allowed_cidrs", json!(["198.51.100.0/24"]));
    for (wanted, interrupts) in
        [(readdressed(), true), (moved, true), (grouped, false), (wider, false), (server(), false)]
    {
        let answer = stage.ask(PUT, &wanted).await.expect(200);
        assert_eq!(answer.body["interrupts"], interrupts, "{:#}", answer.body);
        assert!(answer.body["reason"].as_str().unwrap().len() > 20, "{:#}", answer.body);
        assert_eq!(codes(&answer), <[&str; 0]>::default(), "{:#}", answer.body);
    }
}

#[tokio::test]
async fn what_aws_would_refuse_is_told_and_cuts_nobody() {
    let stage = online().await;
    let gone = with(server(), "/network/address_allocation_ids", json!(["eipalloc-2a1b2c3d4e5f60718"]));
    let answer = stage.ask(PUT, &gone).await.expect(200);
    assert_eq!((codes(&answer), &answer.body["interrupts"]), (vec!["address_missing"], &json!(false)));
    assert!(answer.body["reason"].as_str().unwrap().contains("eipalloc-2a1b2c3d4e5f60718"), "{:#}", answer.body);
    let no_group = with(server(), "/network/security_group_ids", json!(["sg-2a1b2c3d4e5f60718"]));
    assert_eq!(codes(&stage.ask(PUT, &no_group).await.expect(200)), ["group_missing"]);
    stage.cloud.answer("DescribeAddresses", addresses(&["eipalloc-1a1b2c3d4e5f60718"], &[]));
    assert_eq!(codes(&stage.ask(PUT, &readdressed()).await.expect(200)), ["address_held"]);
    let status = &stage.get("GET /v1/servers/main").await.expect(200).body["status"];
    assert_eq!(status["conditions"], json!([]), "it is told, and not written down");
}

#[tokio::test]
async fn a_file_system_that_the_vpc_cannot_reach_is_told_of_a_new_server_too() {
    let stage = online().await;
    let second = with(server(), "/network/address_allocation_ids", json!([]));
    let second = with(second, "/network/security_group_ids", json!(["sg-1a1b2c3d4e5f60718"]));
    let line = "PUT /v1/servers/second?dry_run=true";
    mounted(&stage, &["us-east-1b"]);
    let answer = stage.ask(line, &second).await.expect(200);
    assert_eq!((codes(&answer), &answer.body["would"]), (vec!["mount_target_in_other_zone"], &json!("create")));
    mounted(&stage, &[]);
    let answer = stage.ask(line, &second).await.expect(200);
    assert_eq!((codes(&answer), &answer.body["interrupts"]), (vec!["mount_target_missing"], &json!(false)));
}

fn sorted(answer: &Answer) -> Vec<&str> {
    let mut codes = codes(answer);
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn a_dry_run_is_answered_though_aws_refuses_every_question() {
    let stage = recorded().await;
    for wanted in [readdressed(), server()] {
        let answer = stage.ask(PUT, &wanted).await.expect(200);
        assert_eq!(sorted(&answer), ["mount_targets_unknown", "network_unknown", "server_unknown"]);
        assert_eq!(answer.body["interrupts"], false, "it would not be stopped for what can't be checked");
        let told = answer.body["conditions"].to_string();
        assert!(told.contains("UnauthorizedOperation") && told.contains("permissions"), "{told}");
    }
}

#[tokio::test]
async fn what_was_last_seen_counts_where_the_server_cannot_be_asked() {
    let stage = online().await;
    stage.cloud.throttle("DescribeServer", "s-1");
    let answer = stage.ask(PUT, &readdressed()).await.expect(200);
    assert_eq!((codes(&answer), &answer.body["interrupts"]), (vec!["server_unknown"], &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_answered_in_time_though_aws_does_not_answer() {
    let stage = online().await;
    stage.cloud.leave_unanswered(|operation, _| operation.starts_with("Describe") || operation.starts_with("GET "));
    let begun = tokio::time::Instant::now();
    let answer = stage.ask(PUT, &readdressed()).await.expect(200);
    assert_eq!(sorted(&answer), ["mount_targets_unknown", "network_unknown", "server_unknown"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "the function ends after 15 s: {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_undone_only_where_that_is_wanted() {
    let stage = online().await;
    shown(&stage, "eipalloc-1a1b2c3d4e5f60718");
    stage.cloud.answer("DescribeAddresses", addresses(&[], &["eipalloc-0a1b2c3d4e5f60718"]));
    let wider = with(server(), "/network/allowed_cidrs", json!(["198.51.100.0/24"]));
    let left = stage.ask(PUT, &wider).await.expect(200);
    assert_eq!(left.body["interrupts"], false, "{:#}", left.body);
    assert!(left.body["reason"].as_str().unwrap().contains("somebody changed"), "{:#}", left.body);
    let repaired = stage.ask(PUT, &with(server(), "/drift", json!("repair"))).await.expect(200);
    assert_eq!(repaired.body["interrupts"], true, "{:#}", repaired.body);
    stage.ask(PUT, &with(server(), "/drift", json!("ignore"))).await.expect(422);
    let kept = stage.ask("PUT /v1/servers/main", &with(server(), "/drift", json!("repair"))).await.expect(200);
    assert_eq!(kept.body["spec"]["drift"], "repair");
    assert_eq!(stage.get("GET /v1/servers/main").await.expect(200).body, kept.body, "it is read as it was written");
}

#[tokio::test]
async fn nothing_but_a_dry_run_of_a_server_asks_aws() {
    let stage = online().await;
    stage.ask("PUT /v1/servers/main", &readdressed()).await.expect(200);
    stage.get("GET /v1/servers/main").await.expect(200);
    stage.get("POST /v1/servers/main/stop?dry_run=true").await.expect(200);
    assert_eq!(stage.cloud.log(), Vec::<String>::new());
}
