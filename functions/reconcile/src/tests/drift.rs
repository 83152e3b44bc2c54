//! What somebody changed by hand.

use super::*;

const APPLIED: &str = r#"{"subnets":["subnet-00000001"],"addresses":["eipalloc-00000001"]}"#;

/// A cloud in which a server that was as wanted was given the Elastic IP 2 by hand, and is `state`.
fn changed_by_hand(record: &ServerRecord, state: &str) -> (Cloud, App) {
    let (cloud, app) = cloud_with(record);
    network_as_wanted(&cloud, &[]);
    let address = |n: u8| {
        format!(
            "<item><allocationId>eipalloc-0000000{n}</allocationId><publicIp>203.0.113.{n}</publicIp>\
             <associationId>a-{n}</associationId></item>"
        )
    };
    let addresses = format!(
        "<DescribeAddressesResponse><addressesSet>{}{}</addressesSet></DescribeAddressesResponse>",
        address(1).replace("<associationId>a-1</associationId>", ""),
        address(2)
    );
    cloud.answer("DescribeAddresses", addresses);
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16"]));
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    cloud.answer("DescribeSubnets", subnet("subnet-00000001"));
    cloud.answer("DescribeSecurityGroups", group("sg-00000001"));
    cloud.answer(MOUNT_TARGETS, mount_targets(&["us-east-1a"]));
    let described = json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": state,
        "EndpointDetails": {
            "VpcId": "vpc-0a1b2c3d", "VpcEndpointId": "vpce-1", "SubnetIds": ["subnet-00000001"],
            "AddressAllocationIds": ["eipalloc-00000002"],
        },
    } });
    cloud.answer("DescribeServer", described);
    (cloud, app)
}

/// The record of a server that had what was wanted.
fn applied() -> ServerRecord {
    let mut record = testing::record();
    record.status.history.applied = Some(serde_json::from_str(APPLIED).unwrap());
    record.status.history.in_service = record.status.history.applied.clone();
    record
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_told_and_cuts_nobody_off() {
    let (cloud, app) = changed_by_hand(&applied(), "ONLINE");

    deliver(&app, "one", invocation(now())).await;
    deliver(&app, "two", invocation(now())).await;

    let status = status(&app).await;
    let told = condition(&status, "drift").expect("it is told");
    assert!(told["message"].as_str().unwrap().contains("has eipalloc-00000002 and lacks eipalloc-00000001"), "{told}");
    assert!(told["remedy"].as_str().unwrap().contains("\"drift\": \"repair\""), "{told}");
    assert_eq!((&status["power"], &status["draining"]), (&json!("online"), &Value::Null), "{status}");
    assert_eq!(status["endpoint"]["host"], "203.0.113.2", "clients reach it there");
    assert_eq!((cloud.count("StopServer"), cloud.count("RevokeSecurityGroupIngress")), (0, 0));
    assert_eq!(cloud.count(MOUNT_TARGETS), 0, "nothing is to change");
    assert_eq!(status["settled_version"], 2, "it is not as wanted");
}

#[tokio::test]
async fn drift_is_repaired_where_the_spec_says_so_and_drained_first() {
    let mut record = applied();
    record.intent.spec = serde_json::from_value({
        let mut spec = serde_json::to_value(&record.intent.spec).unwrap();
        spec["drift"] = json!("repair");
        spec
    })
    .unwrap();
    let (cloud, app) = changed_by_hand(&record, "ONLINE");

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    assert!(status["draining"].is_object() && condition(&status, "drift").is_none(), "{status}");
    assert!(cloud.count("RevokeSecurityGroupIngress") > 0, "nobody new gets in");
}

#[tokio::test]
async fn a_server_that_is_offline_is_repaired_without_being_asked() {
    let (cloud, app) = changed_by_hand(&applied(), "OFFLINE");
    cloud.answer("UpdateServer", json!({ "ServerId": "s-1" }));

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("UpdateServer") > 0);
}

#[tokio::test]
async fn a_put_that_changes_the_placement_is_no_drift() {
    let mut record = applied();
    record.intent.spec.network.address_allocation_ids =
        vec!["eipalloc-00000001".to_owned(), "eipalloc-00000002".into()]
            .into_iter()
            .map(|id| wharfinger_decisions::ids::AllocationId::parse(id).unwrap())
            .collect();
    let (_, app) = changed_by_hand(&record, "ONLINE");

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    assert!(condition(&status, "drift").is_none(), "{status}");
    assert_eq!(status["history"].get("applied"), None, "what was applied is no longer wanted");
}
