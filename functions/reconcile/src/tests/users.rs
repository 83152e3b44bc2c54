//! Accounts without a record, and the order in which accounts are worked on.

use jiff::SignedDuration;
use serde_json::json;
use wharfinger_store::{lease::Claim, servers};
use wharfinger_test_cloud::Cloud;

use super::{LEASE, cloud_with, condition, deleted_user, deliver, main, now, status};
use crate::testing::{self, invocation};

/// AWS has `count` accounts of ours, and the table knows none of them.
pub(super) fn accounts_without_record(cloud: &Cloud, count: usize) {
    let user = |number| json!({ "UserName": format!("user-{number}"), "Arn": "arn", "SshPublicKeyCount": 1 });
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": (0..count).map(user).collect::<Vec<_>>() }));
    let tags = json!([{ "Key": "wharfinger:server", "Value": "main" }]);
    cloud.answer("DescribeUser", json!({ "ServerId": "s-1", "User": { "Arn": "arn", "Tags": tags } }));
    cloud.answer("DeleteUser", json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_table_that_lost_its_users_deletes_no_account_and_says_how_many_there_are() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 4);

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteUser"), 0);
    let status = status(&app).await;
    let told = condition(&status, "mass_deletion");
    assert!(told.is_some_and(|told| told["message"].to_string().contains("at least 4 users")), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_can_not_be_read_keeps_its_account_and_holds_up_nobody() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 1);
    cloud.put_plain("USERS#main", "user-0", &json!({ "intent": "of another version", "version": 1 }));
    cloud.put_plain("SITES", "odd", &json!({ "intent": 5 }));

    deliver(&app, "one", invocation(now())).await;
    assert_eq!(cloud.count("DeleteUser"), 0, "the account is no stranger's");

    cloud.put_plain("USERS#main", "alice", &deleted_user());
    deliver(&app, "two", invocation(now())).await;
    assert_eq!(cloud.count("DeleteUser"), 1, "the deleted user goes");
}

#[tokio::test(start_paused = true)]
async fn a_few_accounts_without_a_record_are_deleted() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 3);

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteUser"), 3);
}

#[tokio::test(start_paused = true)]
async fn no_account_is_deleted_while_others_without_a_record_can_not_be_described() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 10);
    for number in 3..10 {
        cloud.throttle("DescribeUser", format!("user-{number}"));
    }

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteUser"), 0);
    assert_eq!(cloud.messages().len(), 1, "they are looked at again");
    let status = status(&app).await;
    assert!(condition(&status, "strangers").is_none(), "nobody knows whose they are: {status}");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_aws_refuses_to_describe_is_told_and_asked_about_slowly() {
    let (cloud, app) = cloud_with(&testing::record());
    // `DescribeUser` has no answer, so it is refused.
    let users = json!([{ "UserName": "carol", "Arn": "arn", "SshPublicKeyCount": 1 }]);
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": users }));

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    assert!(condition(&status, "strangers_unknown").is_some(), "{status}");
    let key = servers::key(&main());
    let Claim::Taken(lease) = app.table.lease(&key, "two", now(), LEASE).await.unwrap() else { panic!("it is free") };
    assert!(lease.armed.at >= Some(now() + SignedDuration::from_secs(60)), "slowly: {:?}", lease.armed);
}

#[tokio::test(start_paused = true)]
async fn a_user_is_settled_before_accounts_without_a_record_are_described() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 3);
    cloud.answer("CreateUser", json!({ "ServerId": "s-1", "UserName": "alice" }));
    cloud.put_plain(
        "USERS#main",
        "alice",
        &json!({
            "intent": {
                "public_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"],
                "directory": "/sites/blog",
            },
            "status": { "state": "pending", "reason": "" },
            "version": 1, "deleting": false, "created_at": now(), "updated_at": now(),
        }),
    );

    deliver(&app, "one", invocation(now())).await;

    let log = cloud.log();
    let settled = log.iter().position(|call| call == "CreateUser").expect("alice is settled");
    let described = log[..settled].iter().filter(|call| *call == "DescribeUser").count();
    assert_eq!((described, cloud.count("DescribeUser")), (0, 3), "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn of_a_server_that_can_not_be_read_deleted_users_go_and_nothing_else_is_done() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 1);
    let unreadable = json!({ "intent": "of another version", "status": { "server_id": "s-1" }, "version": 1 });
    cloud.put_plain(servers::PARTITION, "main", &unreadable);
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    let mut wanted = deleted_user();
    wanted["deleting"] = json!(false);
    cloud.put_plain("USERS#main", "bob", &wanted);

    deliver(&app, "one", invocation(now())).await;

    let mut calls = cloud.log();
    calls.sort();
    assert_eq!(calls, ["DeleteUser", "ListUsers"]);
    assert_eq!(cloud.messages().len(), 0);

    cloud.put_plain("USERS#main", "carol", &deleted_user());
    cloud.throttle("DeleteUser", "carol");
    deliver(&app, "two", invocation(now())).await;
    assert_eq!(cloud.messages().len(), 1, "it is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_removal_and_a_key_that_goes_take_effect_though_aws_never_lists_the_users() {
    let (cloud, app) = cloud_with(&testing::record());
    cloud.answer("DeleteUser", json!({}));
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    let mut changed = deleted_user();
    (changed["deleting"], changed["version"]) = (json!(false), json!(3));
    cloud.put_plain("USERS#main", "bob", &changed);
    cloud.leave_unanswered(|operation, _| operation == "ListUsers");

    let visit = deliver(&app, "one", invocation(now()));
    let half = std::time::Duration::from_secs(5);
    assert!(tokio::time::timeout(half, visit).await.is_err(), "the list is waited for");
    assert_eq!(cloud.count("DeleteUser"), 1, "the removal waits for nothing");

    let visit = deliver(&app, "two", invocation(now() + LEASE + SignedDuration::from_secs(1)));
    let ten = std::time::Duration::from_secs(10);
    let _ = tokio::time::timeout(ten, visit).await;
    assert!(cloud.count("DescribeUser") > 0, "what bob has too much is looked for");
}
