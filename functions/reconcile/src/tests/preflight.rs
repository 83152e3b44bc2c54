//! What a new network is checked against before anybody is cut off for it.

use wharfinger_decisions::ids::SubnetId;

use super::*;

/// A cloud in which an online server is to move to the subnet 2, with mount targets in `zones`.
pub(super) fn moving(zones: &[&str]) -> (Cloud, App) {
    let mut record = testing::record();
    record.status.history.in_service = Some(testing::placement());
    record.intent.spec.network.subnet_ids = vec![SubnetId::parse("subnet-00000002").unwrap()];
    let (cloud, app) = cloud_with(&record);
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16"]));
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    cloud.answer("DescribeSubnets", subnet("subnet-00000002"));
    cloud.answer("DescribeSecurityGroups", group("sg-00000001"));
    cloud.answer(MOUNT_TARGETS, mount_targets(zones));
    (cloud, app)
}

#[tokio::test]
async fn an_online_server_stays_online_where_its_file_system_has_no_mount_target() {
    let (cloud, app) = moving(&[]);

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    let told = condition(&status, "mount_target_missing").expect("it is told");
    assert_eq!((&status["power"], &status["draining"]), (&json!("online"), &Value::Null), "{status}");
    assert!(told["message"].as_str().unwrap().contains("fs-0a1b2c3d") && told["remedy"] != "", "{told}");
    assert_eq!((cloud.count("StopServer"), cloud.count("RevokeSecurityGroupIngress")), (0, 0));
}

#[tokio::test]
async fn a_zone_without_a_mount_target_is_told_and_does_not_hold_the_server_up() {
    let (_, app) = moving(&["us-east-1b"]);

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    let told = condition(&status, "mount_target_in_other_zone").expect("it is told");
    assert!(told["message"].as_str().unwrap().contains("subnet-00000002 (us-east-1a)"), "{told}");
    assert!(status["draining"].is_object(), "it goes on: {status}");
}

#[tokio::test]
async fn a_server_whose_network_does_not_change_asks_efs_nothing() {
    let (cloud, app) = cloud_with(&testing::record());

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count(MOUNT_TARGETS), 0);
    let (cloud, app) = moving(&["us-east-1a"]);
    deliver(&app, "one", invocation(now())).await;
    assert!(cloud.count(MOUNT_TARGETS) > 0);
}
