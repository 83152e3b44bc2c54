use aws_config::retry::RetryConfig;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_decisions::{
    names::ServerName,
    order::Order,
    server::{Power, ServerPhase},
};
use wharfinger_runtime::Moment;
use wharfinger_store::{
    lease::{Armed, Claim, Release},
    servers::{self, ServerItem, ServerRecord},
};
use wharfinger_test_cloud::Cloud;

use crate::{
    App, LEASE, handle,
    testing::{self, invocation},
};

mod adoption;
mod busy_table;
mod create;
mod drain;
mod drift;
mod host_keys;
mod lease;
mod many_users;
mod order_end;
mod preflight;
mod rebuild;
mod rules;
mod search;
mod sleep;
mod users;

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn main() -> ServerName {
    ServerName::parse("main").unwrap()
}

/// A cloud in which the server of `record` is online; of EC2 nothing is known but what a test answers.
fn cloud_with(record: &ServerRecord) -> (Cloud, App) {
    cloud_with_item(&record.clone().into())
}

fn cloud_with_item(item: &ServerItem) -> (Cloud, App) {
    let cloud = Cloud::new();
    let app = testing::app(&cloud.sdk());
    cloud.put_plain(servers::PARTITION, "main", item);
    cloud.put_plain("DEPLOYMENT", "id", &json!({ "deployment_id": testing::deployment().id }));
    let described = json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE",
        "EndpointDetails": {
            "VpcId": "vpc-0a1b2c3d", "VpcEndpointId": "vpce-1", "SubnetIds": ["subnet-00000001"],
            "AddressAllocationIds": ["eipalloc-00000001"],
        },
    } });
    cloud.answer("DescribeServer", described);
    cloud.answer("ListServers", json!({ "Servers": [] }));
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": [] }));
    (cloud, app)
}

/// Delivers one message about the server.
async fn deliver(app: &App, request: &str, moment: Moment) {
    deliver_body(app, (&json!({ "server": "main" }), 1), request, moment).await;
}

/// Delivers a message with `body` for the so many-th time.
async fn deliver_body(app: &App, (body, count): (&Value, u32), request: &str, moment: Moment) {
    let mut message = SqsMessage::default();
    message.message_id = Some("m".into());
    message.body = Some(body.to_string());
    message.attributes = [("ApproximateReceiveCount".into(), count.to_string())].into();
    let mut event = SqsEvent::default();
    event.records = vec![message];
    let response = Box::pin(handle(app, event, request, moment)).await;
    assert!(response.batch_item_failures.is_empty());
}

async fn status(app: &App) -> Value {
    let record: ServerRecord = app.table.get(&servers::key(&main())).await.unwrap().unwrap();
    serde_json::to_value(record.status).unwrap()
}

/// The record of a user that is to be deleted.
fn deleted_user() -> Value {
    json!({
        "intent": { "public_keys": [], "directory": "/sites/blog" },
        "status": { "state": "ready", "reason": "can log in", "settled_version": 1 },
        "version": 2, "deleting": true, "created_at": now(), "updated_at": now(),
    })
}

/// EC2's answer: rules of ours in the wanted group that let `cidrs` in.
fn rules(cidrs: &[&str]) -> String {
    let rule = |cidr: &&str| {
        format!(
            "<item><securityGroupRuleId>sgr-{cidr}</securityGroupRuleId><groupId>sg-00000001</groupId>\
             <isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort>\
             <cidrIpv4>{cidr}</cidrIpv4><description>wharfinger:harbour/main</description></item>"
        )
    };
    let items: String = cidrs.iter().map(rule).collect();
    format!(
        "<DescribeSecurityGroupRulesResponse><securityGroupRuleSet>{items}</securityGroupRuleSet>\
         </DescribeSecurityGroupRulesResponse>"
    )
}

/// EC2's answers about a network that is as wanted, but for the endpoint's further `groups`.
fn network_as_wanted(cloud: &Cloud, groups: &[&str]) {
    let address = "<DescribeAddressesResponse><addressesSet><item><allocationId>eipalloc-00000001</allocationId>\
                   <publicIp>203.0.113.7</publicIp><associationId>a</associationId></item></addressesSet>\
                   </DescribeAddressesResponse>";
    cloud.answer("DescribeAddresses", address);
    let group = |id: &&str| format!("<item><groupId>{id}</groupId></item>");
    let groups: String = ["sg-00000001"].iter().chain(groups).map(group).collect();
    let endpoint = format!(
        "<DescribeVpcEndpointsResponse><vpcEndpointSet><item><vpcEndpointId>vpce-1</vpcEndpointId>\
         <state>available</state><groupSet>{groups}</groupSet></item></vpcEndpointSet></DescribeVpcEndpointsResponse>"
    );
    cloud.answer("DescribeVpcEndpoints", endpoint);
}

/// EC2's answer: the subnet `id` of our VPC.
fn subnet(id: &str) -> String {
    format!(
        "<DescribeSubnetsResponse><subnetSet><item><subnetId>{id}</subnetId><vpcId>vpc-0a1b2c3d</vpcId>\
         <availabilityZone>us-east-1a</availabilityZone></item></subnetSet></DescribeSubnetsResponse>"
    )
}

/// EC2's answer: the security group `id` of our VPC.
fn group(id: &str) -> String {
    format!(
        "<DescribeSecurityGroupsResponse><securityGroupInfo><item><groupId>{id}</groupId>\
         <vpcId>vpc-0a1b2c3d</vpcId></item></securityGroupInfo></DescribeSecurityGroupsResponse>"
    )
}

/// The call for the mount targets of the record's file system.
const MOUNT_TARGETS: &str =
    "GET https://elasticfilesystem.us-east-1.amazonaws.com/2015-02-01/mount-targets?FileSystemId=fs-0a1b2c3d";

/// EFS's answer: mount targets in these zones of our VPC.
fn mount_targets(zones: &[&str]) -> Value {
    let target = |zone: &&str| {
        json!({
            "MountTargetId": format!("fsmt-{zone}"), "FileSystemId": "fs-0a1b2c3d", "SubnetId": "subnet-00000009",
            "LifeCycleState": "available", "VpcId": "vpc-0a1b2c3d", "AvailabilityZoneName": zone,
        })
    };
    json!({ "MountTargets": zones.iter().map(target).collect::<Vec<_>>() })
}

/// The status' condition of this code.
fn condition<'a>(status: &'a Value, code: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["code"] == code)
}

#[tokio::test]
async fn a_deleted_user_goes_and_a_stop_is_done_while_ec2_refuses_every_question() {
    let (cloud, app) = cloud_with_item(&testing::stopped_now(testing::record()));
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    cloud.answer("DeleteUser", json!({}));
    cloud.answer("StopServer", json!({}));

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("DescribeAddresses") > 0 && cloud.count("DescribeVpcEndpoints") > 0);
    assert_eq!(cloud.count("DeleteUser"), 1);
    assert!(cloud.count("StopServer") > 0);
}

#[tokio::test]
async fn a_withdrawn_address_block_goes_while_the_elastic_ips_and_the_server_cannot_be_seen() {
    let (cloud, app) = cloud_with(&testing::record());
    cloud.answer("DescribeServer", "{}");
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.9.0.0/16"]));
    cloud.answer(
        "RevokeSecurityGroupIngress",
        "<RevokeSecurityGroupIngressResponse><return>true</return></RevokeSecurityGroupIngressResponse>",
    );

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("RevokeSecurityGroupIngress") > 0);
}

#[tokio::test]
async fn a_refused_network_is_asked_for_once_a_visit_where_there_is_none_to_go_back_to() {
    let mut record = testing::record();
    record.intent.spec.network.address_allocation_ids.clear();
    record.status.power = ServerPhase::Failed;
    let (cloud, app) = cloud_with(&record);
    let described = json!({
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "OFFLINE",
        "EndpointDetails": { "VpcId": "vpc-0a1b2c3d", "SubnetIds": ["subnet-00000002"] },
    });
    cloud.answer("DescribeServer", json!({ "Server": described }));
    cloud.answer("DescribeSubnets", subnet("subnet-00000001"));
    cloud.answer("DescribeSecurityGroups", group("sg-00000001"));
    cloud.answer(MOUNT_TARGETS, mount_targets(&["us-east-1a"]));

    for visit in 1..=2 {
        deliver(&app, &format!("request-{visit}"), invocation(now())).await;

        assert_eq!(cloud.count("UpdateServer"), visit);
        let status = status(&app).await;
        assert!(condition(&status, "network_refused").is_some(), "{status}");
        assert!(status["reason"].to_string().contains("the test gives no answer"), "AWS's sentence: {status}");
        assert_eq!(status["power"], "failed");
    }
    let Claim::Taken(lease) = app.table.lease(&servers::key(&main()), "three", now(), LEASE).await.unwrap() else {
        panic!("it is free")
    };
    assert!(lease.armed.at >= Some(now() + SignedDuration::from_secs(60)), "slowly: {:?}", lease.armed);
}

#[tokio::test]
async fn an_online_server_stays_online_and_says_what_could_not_be_seen() {
    let (cloud, app) = cloud_with(&testing::record());

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    assert_eq!(status["power"], "online", "{status}");
    let codes: Vec<_> = status["conditions"].as_array().unwrap().iter().map(|it| it["code"].clone()).collect();
    assert!(codes.contains(&json!("network_unknown")) && codes.contains(&json!("rules_refused")), "{status}");
    assert_eq!(status["settled_version"], 2, "it is not as wanted for all that is known");
    assert_eq!(cloud.count("StopServer"), 0);
}

#[tokio::test]
async fn a_server_that_can_not_be_read_is_left_alone() {
    let (cloud, app) = cloud_with(&testing::record());
    cloud.put_plain(servers::PARTITION, "main", &json!({ "intent": "of another version", "version": 1 }));

    deliver(&app, "one", invocation(now())).await;

    assert_eq!((cloud.count("DescribeServer"), cloud.messages().len()), (0, 0));
}

#[tokio::test]
async fn many_deliveries_at_once_make_few_visits_and_leave_one_wake_up() {
    let (cloud, app) = cloud_with(&testing::record());
    let requests: Vec<String> = (0..100).map(|number| format!("request-{number}")).collect();

    let deliveries = requests.iter().map(|request| deliver(&app, request, invocation(now())));
    futures::future::join_all(deliveries).await;

    assert!(cloud.count("ListUsers") <= 4, "{} visits", cloud.count("ListUsers"));
    let messages = cloud.messages();
    let (watches, wakeups): (Vec<_>, Vec<_>) = messages.iter().partition(|body| !body["if_marked_by"].is_null());
    assert_eq!(wakeups.len(), 1, "no message circulates");
    assert!(watches.len() <= 4, "one a visit looks whether the lease was given back: {watches:?}");
}

#[tokio::test]
async fn who_finds_the_lease_taken_goes_on_when_its_holder_crashes() {
    let (cloud, app) = cloud_with(&testing::record());
    let key = servers::key(&main());
    assert!(matches!(app.table.lease(&key, "crashes", now(), LEASE).await.unwrap(), Claim::Taken(_)));
    for request in ["second", "third"] {
        deliver(&app, request, invocation(now())).await;
    }
    assert_eq!(cloud.count("DescribeServer"), 0);
    let messages = cloud.messages();
    let [message] = &messages[..] else { panic!("the first one comes back: {messages:?}") };
    let sent = cloud.calls().into_iter().find(|(operation, _)| operation == "SendMessage").unwrap().1;
    assert_eq!(sent["DelaySeconds"], 61);

    let later = |seconds| invocation(now() + SignedDuration::from_secs(seconds));
    deliver_body(&app, (message, 1), "too early by the clock here", later(59)).await;
    assert_eq!((cloud.messages(), cloud.count("DescribeServer")), (vec![message.clone()], 0), "it comes back again");
    deliver_body(&app, (message, 1), "in time", later(61)).await;
    let looked = cloud.count("DescribeServer");
    assert!(looked > 0, "nobody has looked since");
    deliver_body(&app, (message, 1), "another copy", later(61)).await;
    assert_eq!(cloud.count("DescribeServer"), looked, "somebody has");
    deliver_body(&app, (message, 2), "as if that one had crashed", later(61)).await;
    assert!(cloud.count("DescribeServer") > looked);
}

#[tokio::test]
async fn who_finds_the_lease_taken_is_seen_by_whoever_gives_it_back() {
    let (_, app) = cloud_with(&testing::record());
    let key = servers::key(&main());
    let Claim::Taken(lease) = app.table.lease(&key, "one", now(), LEASE).await.unwrap() else { panic!("it is free") };
    assert!(matches!(app.table.lease(&key, "two", now(), LEASE).await.unwrap(), Claim::Noted(_)));

    let armed = Armed::default();
    assert_eq!(app.table.release_lease(&lease, &armed).await.unwrap(), Release::Wanted);
    assert!(matches!(app.table.lease(&key, "three", now(), LEASE).await.unwrap(), Claim::Noted(_)), "it is still held");
    assert_eq!(app.table.release_lease(&lease, &armed).await.unwrap(), Release::Wanted);
    assert_eq!(app.table.release_lease(&lease, &armed).await.unwrap(), Release::Free);
    assert!(matches!(app.table.lease(&key, "four", now(), LEASE).await.unwrap(), Claim::Taken(_)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_loses_nobody_who_found_the_lease_taken() {
    let (cloud, _) = cloud_with(&testing::record());
    let app = testing::app(&cloud.sdk_with(RetryConfig::standard()));
    let key = servers::key(&main());
    let Claim::Taken(lease) = app.table.lease(&key, "one", now(), LEASE).await.unwrap() else { panic!("it is free") };
    assert!(matches!(app.table.lease(&key, "two", now(), LEASE).await.unwrap(), Claim::Noted(_)));

    let armed = Armed::default();
    cloud.lose_answer_to("UpdateItem", "REMOVE lease_wanted");
    assert_eq!(app.table.release_lease(&lease, &armed).await.unwrap(), Release::Wanted);
    cloud.lose_answer_to("UpdateItem", "REMOVE lease_owner, lease_until");
    assert_eq!(app.table.release_lease(&lease, &armed).await.unwrap(), Release::Free);
    assert_eq!(app.table.release_lease(&lease, &armed).await.unwrap(), Release::Free);
}

#[tokio::test]
async fn a_crash_leaves_the_lease_to_the_next_one_after_a_while() {
    let (_, app) = cloud_with(&testing::record());
    let key = servers::key(&main());
    assert!(matches!(app.table.lease(&key, "crashed", now(), LEASE).await.unwrap(), Claim::Taken(_)));
    let later = now() + LEASE + SignedDuration::from_secs(1);
    assert!(matches!(app.table.lease(&key, "next", later, LEASE).await.unwrap(), Claim::Taken(_)));
    let gone = servers::key(&ServerName::parse("gone").unwrap());
    assert!(matches!(app.table.lease(&gone, "any", now(), LEASE).await.unwrap(), Claim::Gone));
}
