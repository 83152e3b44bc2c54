//! A table that does not answer about one thing: what does not need it is done all the same.

use serde_json::{Value, json};

use super::{
    cloud_with, cloud_with_item, condition, deleted_user, deliver, now, preflight::moving, rules, status,
    users::accounts_without_record,
};
use crate::testing::{self, invocation};

/// The record of a user that is not yet on AWS.
fn wanted_user(place: Value) -> Value {
    let mut user = json!({
        "intent": {
            "public_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"],
        },
        "status": { "state": "pending", "reason": "" },
        "version": 1, "deleting": false, "created_at": now(), "updated_at": now(),
    });
    for (field, value) in place.as_object().unwrap() {
        user["intent"][field] = value.clone();
    }
    user
}

#[tokio::test]
async fn a_block_goes_and_a_stop_is_done_while_the_users_can_not_be_read() {
    let (cloud, app) = cloud_with_item(&testing::stopped_now(testing::record()));
    accounts_without_record(&cloud, 1);
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.9.0.0/16"]));
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    cloud.answer("StopServer", json!({}));
    cloud.throttle("Query", "USERS#main");

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("RevokeSecurityGroupIngress") > 0 && cloud.count("StopServer") > 0);
    assert_eq!(cloud.count("DeleteUser"), 0, "an account whose record can't be read is no stranger's");
    let status = status(&app).await;
    assert!(condition(&status, "users_unknown").is_some(), "{status}");
    assert_eq!(cloud.messages().len(), 1, "they are looked at again");
}

#[tokio::test]
async fn users_that_need_no_site_are_settled_while_the_sites_can_not_be_read() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 0);
    cloud.answer("CreateUser", json!({ "ServerId": "s-1", "UserName": "bob" }));
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    cloud.put_plain("USERS#main", "bob", &wanted_user(json!({ "directory": "/home/bob" })));
    cloud.put_plain("USERS#main", "carol", &wanted_user(json!({ "site": "blog" })));
    cloud.answer_with(|operation, _| {
        let missing = json!({ "__type": "ResourceNotFoundException", "Message": "no such user" });
        (operation == "DescribeUser").then_some((400, missing))
    });
    cloud.throttle("Query", "\"SITES\"");

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteUser"), 1);
    let created: Vec<_> = cloud.calls().into_iter().filter(|(operation, _)| operation == "CreateUser").collect();
    assert_eq!(created.iter().map(|(_, input)| &input["UserName"]).collect::<Vec<_>>(), ["bob"]);
    assert_eq!(cloud.messages().len(), 1, "carol is looked at again");
}

#[tokio::test]
async fn a_user_that_can_not_be_written_down_holds_up_no_other_and_no_step() {
    let (cloud, app) = cloud_with_item(&testing::stopped_now(testing::record()));
    accounts_without_record(&cloud, 0);
    cloud.answer("StopServer", json!({}));
    for name in ["alice", "bob"] {
        cloud.put_plain("USERS#main", name, &deleted_user());
    }
    cloud.throttle("DeleteItem", "alice");

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteUser"), 2);
    assert!(cloud.item("USERS#main", "alice").is_some() && cloud.item("USERS#main", "bob").is_none());
    assert!(cloud.count("StopServer") > 0);
    assert!(!status(&app).await["observed_at"].is_null(), "the visit came to its end");
    assert_eq!(cloud.messages().len(), 1, "alice is looked at again");
}

#[tokio::test]
async fn a_server_that_aws_has_not_is_looked_after_while_its_deleted_users_can_not_be_forgotten() {
    let mut record = testing::record();
    record.status.server_id = None;
    let (cloud, app) = cloud_with(&record);
    cloud.throttle("Query", "USERS#main");

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    assert!(condition(&status, "users_unknown").is_some(), "{status}");
    assert_eq!(cloud.messages().len(), 1, "they are looked at again");
}

#[tokio::test]
async fn a_server_is_not_opened_again_while_the_refusal_of_its_network_can_not_be_written_down() {
    for is_written in [true, false] {
        let (cloud, app) = moving(&["us-east-1a"]);
        cloud.answer(
            "DescribeServer",
            json!({ "Server": {
            "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "OFFLINE",
            "EndpointDetails": {
                "VpcId": "vpc-0a1b2c3d", "VpcEndpointId": "vpce-1", "SubnetIds": ["subnet-00000001"],
                "AddressAllocationIds": ["eipalloc-00000001"],
            },
        } }),
        );
        cloud.answer("StartServer", json!({}));
        if !is_written {
            cloud.throttle("UpdateItem", "the test gives no answer");
        }

        deliver(&app, "one", invocation(now())).await;

        assert!(cloud.count("UpdateServer") > 0, "the new network is refused");
        assert_eq!(cloud.count("StartServer") > 0, is_written);
        assert_eq!(cloud.messages().len(), 1);
    }
}
