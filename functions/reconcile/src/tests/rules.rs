//! Rules that can't be taken back.

use serde_json::json;
use wharfinger_store::servers::{self, ServerRecord};

use super::{cloud_with, condition, deliver, main, network_as_wanted, now, rules, status};
use crate::testing::{self, invocation};

#[tokio::test]
async fn a_server_is_not_as_wanted_while_a_withdrawn_address_block_is_still_let_in() {
    for is_throttled in [true, false] {
        let (cloud, app) = cloud_with(&testing::record());
        network_as_wanted(&cloud, &[]);
        cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16", "10.9.0.0/16"]));
        if is_throttled {
            cloud.throttle("RevokeSecurityGroupIngress", "");
        }

        deliver(&app, "one", invocation(now())).await;

        let status = status(&app).await;
        let told = condition(&status, "rules_refused").expect("it is told");
        assert_eq!(told["severity"], if is_throttled { "warning" } else { "error" });
        assert_eq!((&status["power"], &status["settled_version"]), (&json!("online"), &json!(2)), "{status}");
        assert_eq!(cloud.messages().len(), 1, "it is tried again");
    }
}

#[tokio::test]
async fn a_group_that_leaves_stays_until_it_is_known_that_no_rule_of_ours_is_left_in_it() {
    for (throttled, regroups) in
        [("RevokeSecurityGroupIngress", false), ("DescribeSecurityGroupRules", false), ("none", true)]
    {
        let (cloud, app) = cloud_with(&testing::record());
        network_as_wanted(&cloud, &["sg-00000002"]);
        cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16", "10.9.0.0/16"]));
        cloud.answer(
            "ModifyVpcEndpoint",
            "<ModifyVpcEndpointResponse><return>true</return></ModifyVpcEndpointResponse>",
        );
        cloud.throttle(throttled, "");

        deliver(&app, "one", invocation(now())).await;

        assert_eq!(cloud.count("ModifyVpcEndpoint") > 0, regroups, "{throttled}");
        assert!(condition(&status(&app).await, "rules_refused").is_some(), "{throttled}");
    }
}

#[tokio::test]
async fn a_deleted_server_is_not_forgotten_while_its_rules_can_not_be_taken_back_yet() {
    for (throttled, is_kept) in
        [("RevokeSecurityGroupIngress", true), ("DescribeSecurityGroupRules", true), ("none", false)]
    {
        let mut record = testing::record();
        record.deleting = true;
        record.status.server_id = None;
        let (cloud, app) = cloud_with(&record);
        cloud.answer("DescribeSecurityGroupRules", rules(&["10.9.0.0/16"]));
        cloud.answer("DeleteSecret", json!({}));
        cloud.throttle(throttled, "");

        deliver(&app, "one", invocation(now())).await;

        let left: Option<ServerRecord> = app.table.get(&servers::key(&main())).await.unwrap();
        assert_eq!(left.is_some(), is_kept, "{throttled}");
    }
}

#[tokio::test]
async fn the_rules_of_a_server_that_is_drained_and_to_open_again_are_back_in_the_same_visit() {
    let mut record = testing::record();
    record.status.draining = serde_json::from_value(json!({ "since": now(), "users": [] })).unwrap();
    let (cloud, app) = cloud_with(&record);
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16"]));
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    cloud.answer("AuthorizeSecurityGroupIngress", "<AuthorizeSecurityGroupIngressResponse/>");

    deliver(&app, "one", invocation(now())).await;

    let asked: Vec<String> = cloud.calls().into_iter().map(|call| call.0).collect();
    let at = |name: &str| asked.iter().rposition(|call| call == name);
    let (revoked, let_in) = (at("RevokeSecurityGroupIngress"), at("AuthorizeSecurityGroupIngress"));
    assert!(revoked.is_some() && revoked < let_in, "{asked:?}");
}
