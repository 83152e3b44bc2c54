use std::time::Duration;

use super::*;
use crate::testing;

const ORIGIN_MS: i64 = 1_767_225_600_000;

fn service(saved: Option<Value>) -> (Arc<CloudWatchLogs>, LogGroups) {
    let clock = crate::clock::Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
    let groups = LogGroups::default();
    (CloudWatchLogs::new(testing::context_at(clock), saved, groups.clone()).unwrap(), groups)
}

/// A service with the group `/sftp` and one event a second, named by its number, in two streams by turns.
fn with_events(count: i64) -> (Arc<CloudWatchLogs>, LogGroups) {
    let (service, groups) = service(None);
    groups.declare("/sftp", None, ORIGIN_MS);
    for number in 0..count {
        let at = ORIGIN_MS - (count - number) * 1000;
        groups.put("/sftp", if number % 2 == 0 { "even" } else { "odd" }, (at, at), number.to_string());
    }
    (service, groups)
}

async fn ask(service: &CloudWatchLogs, changes: Value) -> Result<Value, AwsError> {
    let mut input = json!({ "logGroupName": "/sftp" });
    input.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    service.call("FilterLogEvents", input).await
}

async fn messages(service: &CloudWatchLogs, changes: Value) -> Vec<String> {
    let answer = ask(service, changes).await.unwrap();
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

async fn code(service: &CloudWatchLogs, operation: &str, input: Value) -> String {
    service.call(operation, input).await.expect_err("it is refused").code
}

#[tokio::test(start_paused = true)]
async fn events_are_found_by_time_stream_and_pattern() {
    let (service, _) = with_events(6);
    let at = |number: i64| ORIGIN_MS - (6 - number) * 1000;
    assert_eq!(messages(&service, json!({})).await, ["0", "1", "2", "3", "4", "5"]);
    let range = json!({ "startTime": at(2), "endTime": at(4) });
    assert_eq!(messages(&service, range).await, ["2", "3", "4"], "both ends belong to it");
    assert_eq!(messages(&service, json!({ "logStreamNames": ["odd"] })).await, ["1", "3", "5"]);
    assert_eq!(messages(&service, json!({ "logStreamNamePrefix": "e" })).await, ["0", "2", "4"]);
    assert_eq!(messages(&service, json!({ "filterPattern": "?3 ?5" })).await, ["3", "5"]);
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/sftp:*";
    let by_arn = json!({ "logGroupName": null, "logGroupIdentifier": arn, "limit": 1 });
    assert_eq!(messages(&service, by_arn).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_although_events_are_added() {
    let (service, groups) = with_events(3);
    let first = ask(&service, json!({ "limit": 2 })).await.unwrap();
    groups.put("/sftp", "odd", (ORIGIN_MS, ORIGIN_MS), "new".to_owned());
    let second = ask(&service, json!({ "limit": 2, "nextToken": first["nextToken"] })).await.unwrap();
    assert_eq!(second["events"][0]["message"], "2");
    assert_eq!(second["events"][1]["message"], "new");
    assert_eq!(second.get("nextToken"), None);
}

#[tokio::test(start_paused = true)]
async fn a_page_can_be_empty_although_more_follow() {
    let (service, _) = with_events(6000);
    let wanted = json!({ "filterPattern": "5999" });
    let mut answer = ask(&service, wanted.clone()).await.unwrap();
    assert_eq!(answer["events"], json!([]));
    let mut pages = 1;
    while let Some(token) = answer.get("nextToken").cloned() {
        answer = ask(&service, json!({ "filterPattern": "5999", "nextToken": token })).await.unwrap();
        pages += 1;
    }
    assert_eq!((answer["events"][0]["message"].as_str(), pages), (Some("5999"), 3));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_read_after_its_ingestion_and_until_its_retention_is_over() {
    let (service, groups) = service(None);
    groups.declare("/sftp", Some(1), ORIGIN_MS);
    groups.put("/sftp", "s", (ORIGIN_MS, ORIGIN_MS + 3000), "late".to_owned());
    assert!(messages(&service, json!({})).await.is_empty());
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(messages(&service, json!({})).await, ["late"]);
    tokio::time::advance(Duration::from_secs(86_400)).await;
    assert!(messages(&service, json!({})).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_or_not_done_is_refused() {
    let (service, _) = with_events(1);
    for (change, expected) in [
        (json!({ "logGroupName": "/other" }), "ResourceNotFoundException"),
        (json!({ "logStreamNames": ["none"] }), "ResourceNotFoundException"),
        (json!({ "logGroupName": null }), "InvalidParameterException"),
        (json!({ "logGroupIdentifier": "/sftp" }), "InvalidParameterException"),
        (json!({ "logStreamNames": ["odd"], "logStreamNamePrefix": "o" }), "InvalidParameterException"),
        (json!({ "startTime": 2, "endTime": 1 }), "InvalidParameterException"),
        (json!({ "filterPattern": "[ip, user]" }), "InvalidParameterException"),
        (json!({ "limit": 0 }), "InvalidParameterException"),
        (json!({ "limit": 10_001 }), "InvalidParameterException"),
        (json!({ "nextToken": "%" }), "InvalidParameterException"),
        (json!({ "startFromHead": false }), "InvalidParameterException"),
        (json!({ "unmask": true }), "InvalidParameterException"),
    ] {
        assert_eq!(ask(&service, change.clone()).await.expect_err("it is refused").code, expected, "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_made_described_deleted_and_kept() {
    let (first, groups) = service(None);
    for name in ["/b", "/a/1", "/a/2"] {
        first.call("CreateLogGroup", json!({ "logGroupName": name })).await.unwrap();
    }
    groups.declare("/a/2", Some(7), ORIGIN_MS);
    let twice = code(&first, "CreateLogGroup", json!({ "logGroupName": "/b" })).await;
    assert_eq!(twice, "ResourceAlreadyExistsException");
    assert_eq!(code(&first, "CreateLogGroup", json!({ "logGroupName": "a b" })).await, "InvalidParameterException");
    let (again, _) = service(Some(first.snapshot()));
    let page = json!({ "logGroupNamePrefix": "/a", "limit": 1 });
    let answer = again.call("DescribeLogGroups", page).await.unwrap();
    assert_eq!(answer["logGroups"][0]["logGroupName"], "/a/1");
    assert_eq!(answer["logGroups"][0].get("retentionInDays"), None);
    let page = json!({ "logGroupNamePrefix": "/a", "nextToken": answer["nextToken"] });
    let group = again.call("DescribeLogGroups", page).await.unwrap()["logGroups"][0].clone();
    assert_eq!(group["arn"], "arn:aws:logs:us-east-1:000000000000:log-group:/a/2:*");
    assert_eq!((&group["retentionInDays"], &group["creationTime"]), (&json!(7), &json!(ORIGIN_MS)));
    again.call("DeleteLogGroup", json!({ "logGroupName": "/b" })).await.unwrap();
    assert_eq!(code(&again, "DeleteLogGroup", json!({ "logGroupName": "/b" })).await, "ResourceNotFoundException");
    let both = json!({ "logGroupNamePrefix": "/a", "logGroupNamePattern": "a" });
    assert_eq!(code(&again, "DescribeLogGroups", both).await, "InvalidParameterException");
}
