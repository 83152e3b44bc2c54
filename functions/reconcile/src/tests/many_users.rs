//! Many users: what a visit asks AWS for, and what it leaves to the next one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_test_cloud::Cloud;

use super::{cloud_with, condition, deliver, now, status, users::accounts_without_record};
use crate::{
    App,
    testing::{self, invocation},
};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const ROLE: &str = "arn:aws:iam::000000000000:role/sftp-users";
const ROOT: &str = "/fs-0a1b2c3d/sites/blog";

/// A user that was settled on the server `server_id`, and looked at `at`.
fn settled(server_id: &str, at: Timestamp) -> Value {
    json!({
        "intent": { "public_keys": [KEY], "directory": "/sites/blog" },
        "status": {
            "state": "ready", "reason": "can log in", "settled_version": 1, "tried_version": 1, "observed_at": at,
            "applied": { "server_id": server_id, "role": ROLE, "root": ROOT },
        },
        "version": 1, "deleting": false, "created_at": at, "updated_at": at,
    })
}

/// A server with `count` users that were settled on the server `server_id` a day ago, and AWS's answers about them. The
/// server was looked at `looked_at`.
fn server_with(count: usize, server_id: &str, looked_at: Timestamp) -> (Cloud, App) {
    let mut record = testing::record();
    record.status.observed_at = Some(looked_at);
    let (cloud, app) = cloud_with(&record);
    for number in 0..count {
        let at = now() - SignedDuration::from_hours(24) + SignedDuration::from_secs(i64::try_from(number).unwrap());
        cloud.put_plain("USERS#main", &format!("user-{number:04}"), &settled(server_id, at));
    }
    let listed = (0..count).map(
        |number| json!({ "UserName": format!("user-{number:04}"), "Arn": "arn", "SshPublicKeyCount": 1, "Role": ROLE }),
    );
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": listed.collect::<Vec<_>>() }));
    let described = json!({
        "Arn": "arn", "Role": ROLE, "HomeDirectoryType": "LOGICAL",
        "HomeDirectoryMappings": [{ "Entry": "/", "Target": ROOT }], "PosixProfile": { "Uid": 1000, "Gid": 1000 },
        "SshPublicKeys": [{ "SshPublicKeyId": "key-1", "SshPublicKeyBody": KEY, "DateImported": 1 }],
    });
    cloud.answer("DescribeUser", json!({ "ServerId": "s-1", "User": described }));
    cloud.answer("CreateUser", json!({ "ServerId": "s-1", "UserName": "any" }));
    (cloud, app)
}

/// The names of the users that were described, in order.
fn described(cloud: &Cloud) -> Vec<String> {
    let calls = cloud.calls().into_iter().filter(|(operation, _)| operation == "DescribeUser");
    calls.map(|(_, input)| input["UserName"].as_str().unwrap().to_owned()).collect()
}

fn an_hour_before() -> Timestamp {
    now() - SignedDuration::from_hours(1)
}

#[tokio::test(start_paused = true)]
async fn a_user_that_is_not_there_is_made_with_one_call() {
    let (cloud, app) = server_with(1, "s-of-before", an_hour_before());
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": [] }));

    deliver(&app, "one", invocation(now())).await;

    assert_eq!((cloud.count("CreateUser"), cloud.count("DescribeUser")), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_user_that_was_there_after_all_is_looked_at() {
    let (cloud, app) = server_with(1, "s-of-before", an_hour_before());
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": [] }));
    cloud.answer_with(|operation, _| {
        (operation == "CreateUser").then(|| (400, json!({ "__type": "ResourceExistsException", "message": "it is" })))
    });

    deliver(&app, "one", invocation(now())).await;

    assert_eq!((cloud.count("CreateUser"), cloud.count("DescribeUser")), (1, 1));
    assert_eq!(cloud.item("USERS#main", "user-0000").unwrap()["status"]["M"]["applied"]["M"]["server_id"]["S"], "s-1");
}

#[tokio::test(start_paused = true)]
async fn a_look_describes_a_few_of_those_that_were_not_seen_for_longest_and_others_the_next_time() {
    let (cloud, app) = server_with(30, "s-1", an_hour_before());
    for visit in 0..3 {
        deliver(&app, &format!("request-{visit}"), invocation(now())).await;
        let names: Vec<_> = (visit * 9..(visit + 1) * 9).map(|number| format!("user-{number:04}")).collect();
        assert_eq!(described(&cloud), names);
    }
    assert!(!status(&app).await["conditions"].to_string().contains("users"));
    assert!(cloud.messages().is_empty() || condition(&status(&app).await, "rules_refused").is_some());
}

#[tokio::test(start_paused = true)]
async fn more_than_a_page_of_users_is_listed_once_an_hour() {
    for (looked_at, lists, describes) in
        [(an_hour_before(), 1, 8), (now(), 0, 10), (now() + SignedDuration::from_mins(59), 0, 10)]
    {
        let (cloud, app) = server_with(1001, "s-1", looked_at);
        deliver(&app, "one", invocation(now())).await;
        let counts = (cloud.count("ListUsers"), cloud.count("DescribeUser"));
        assert_eq!(counts, (lists, describes), "looked at {looked_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_list_users_of_an_earlier_server_are_made_and_others_are_there() {
    let (cloud, app) = server_with(1001, "s-1", now());
    cloud.put_plain("USERS#main", "user-0500", &settled("s-of-before", now()));

    deliver(&app, "one", invocation(now())).await;

    let made = cloud.calls().into_iter().filter(|(operation, _)| operation == "CreateUser");
    assert_eq!(made.map(|(_, input)| input["UserName"].clone()).collect::<Vec<_>>(), ["user-0500"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_throttled_is_made_again_in_the_same_visit_and_later() {
    let (cloud, app) = server_with(1, "s-of-before", an_hour_before());
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": [] }));
    let tries = Arc::new(AtomicUsize::new(0));
    cloud.answer_with(move |operation, _| {
        let is_first = operation == "CreateUser" && tries.fetch_add(1, Ordering::Relaxed) == 0;
        is_first.then(|| (400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })))
    });
    let began = tokio::time::Instant::now();

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("CreateUser"), 2);
    assert!(began.elapsed() >= std::time::Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(cloud.item("USERS#main", "user-0000").unwrap()["status"]["M"]["state"]["S"], "ready");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_would_tell_nothing_new_but_the_time_is_not_written() {
    let (cloud, app) = server_with(1, "s-of-before", an_hour_before());
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": [] }));
    cloud.throttle("CreateUser", "");
    let written = || {
        let calls = cloud.calls().into_iter();
        calls.filter(|(operation, input)| operation == "UpdateItem" && input["Key"]["pk"]["S"] == "USERS#main").count()
    };

    deliver(&app, "one", invocation(now())).await;
    assert_eq!(written(), 1);
    deliver(&app, "two", invocation(now() + SignedDuration::from_secs(60))).await;
    assert_eq!(written(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_strangers_are_described_over_several_visits_and_then_not_again() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 100);
    cloud.answer("DescribeUser", json!({ "ServerId": "s-1", "User": { "Arn": "arn", "Tags": [] } }));
    let mut visits = 0;
    loop {
        deliver(&app, &format!("request-{visits}"), invocation(now())).await;
        visits += 1;
        let status = status(&app).await;
        let told =
            condition(&status, "strangers").is_some_and(|told| told["message"].to_string().contains("and 95 more"));
        if told && cloud.count("DescribeUser") >= 100 {
            break;
        }
        assert!(visits < 10, "{} are described: {status}", cloud.count("DescribeUser"));
    }
    assert!(visits > 1, "it takes more than a visit's time");
    assert_eq!(cloud.count("DescribeUser"), 100);
    deliver(&app, "last", invocation(now())).await;
    assert_eq!(cloud.count("DescribeUser"), 100);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_new_costs_no_more_than_it_takes_to_tell() {
    let (cloud, app) = cloud_with(&testing::record());
    accounts_without_record(&cloud, 60);

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("DescribeUser") < 10, "{}", cloud.count("DescribeUser"));
    assert!(condition(&status(&app).await, "mass_deletion").is_some());
}
