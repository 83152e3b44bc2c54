//! A server that is to be shut, and who is on it.

use wharfinger_decisions::{
    idle::{Action, Decision},
    order::Order,
    server::{Draining, Power},
};

use super::*;

/// What CloudWatch has of sessions.
#[derive(Clone, Copy)]
enum Metrics {
    Silent,
    /// A datapoint whose period began so many minutes ago.
    Session(i64),
}

/// A server whose log has these lines: activity, session, and how many minutes ago.
fn door(item: &ServerItem, lines: &[(&str, &str, i64)], metrics: Metrics) -> (Cloud, App) {
    let (cloud, app) = cloud_with_item(item);
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSubnets", subnet("subnet-00000002"));
    cloud.answer("DescribeSecurityGroups", group("sg-00000001"));
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16"]));
    for operation in ["RevokeSecurityGroupIngress", "AuthorizeSecurityGroupIngress"] {
        cloud.answer(operation, format!("<{operation}Response><return>true</return></{operation}Response>"));
    }
    let described = json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE",
        "StructuredLogDestinations": [testing::LOG_GROUP],
        "EndpointDetails": {
            "VpcId": "vpc-0a1b2c3d", "VpcEndpointId": "vpce-1", "SubnetIds": ["subnet-00000001"],
            "AddressAllocationIds": ["eipalloc-00000001"],
        },
    } });
    cloud.answer("DescribeServer", described);
    let event = |(activity, session, minutes): &(&str, &str, i64)| {
        let message = json!({ "activity-type": activity, "session-id": session, "user": "alice" });
        json!({ "timestamp": ago(*minutes).as_millisecond(), "message": message.to_string() })
    };
    cloud.answer("FilterLogEvents", json!({ "events": lines.iter().map(event).collect::<Vec<_>>() }));
    let data = match metrics {
        Metrics::Silent => (json!([]), json!([])),
        Metrics::Session(minutes) => (json!([ago(minutes).as_second()]), json!([0.0])),
    };
    let result = |id| json!({ "Id": id, "Timestamps": data.0, "Values": data.1, "StatusCode": "Complete" });
    cloud.answer("GetMetricData", json!({ "MetricDataResults": [result("bytesin_0"), result("bytesout_0")] }));
    (cloud, app)
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

/// A server that the sweep found idle, and that drains since so many minutes.
fn idle(draining: Option<i64>) -> ServerItem {
    let mut item = ServerItem::from(testing::record());
    item.record.intent.spec.idle = serde_json::from_value(json!({ "after": "30m", "action": "stop" })).unwrap();
    item.record.status.draining = draining.map(since);
    item.decision = Some(Decision { action: Action::Close, ..Decision::keep("nobody was here for 30m", ago(1)) });
    item
}

/// A server that alice stopped so many minutes ago, which is for how long it drains.
fn stopped(minutes: i64) -> ServerItem {
    let mut item = ServerItem::from(testing::record());
    item.record.status.draining = Some(since(minutes));
    item.order = Some(Order { power: Power::Stopped, by: "alice".into(), at: ago(minutes), now: false });
    item
}

fn since(minutes: i64) -> Draining {
    Draining { since: ago(minutes), users: Vec::new(), until: None }
}

const IN: (&str, &str, i64) = ("CONNECTED", "1", 20);

async fn decision(app: &App) -> Decision {
    let item: ServerItem = app.table.get(&servers::key(&main())).await.unwrap().unwrap();
    item.decision.expect("there is one")
}

#[tokio::test]
async fn an_idle_server_that_drains_is_opened_again_for_whoever_is_there() {
    let (cloud, app) = door(&idle(Some(1)), &[IN], Metrics::Silent);
    cloud.answer("DescribeSecurityGroupRules", rules(&[]));

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("AuthorizeSecurityGroupIngress") > 0, "the trusted come in again");
    assert_eq!(cloud.count("StopServer"), 0);
    let status = status(&app).await;
    assert_eq!((&status["power"], &status["draining"]), (&json!("online"), &Value::Null), "{status}");
    assert!(status["reason"].to_string().contains("alice"), "{status}");
    assert_eq!(decision(&app).await.action, Action::Keep);
}

#[tokio::test]
async fn an_idle_server_is_not_even_drained_while_the_log_shows_somebody() {
    let (cloud, app) = door(&idle(None), &[IN], Metrics::Silent);

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("RevokeSecurityGroupIngress"), 0, "nobody is locked out for a moment");
    let status = status(&app).await;
    assert_eq!((&status["power"], &status["draining"]), (&json!("online"), &Value::Null), "{status}");
    let decision = decision(&app).await;
    assert!(decision.action == Action::Keep && decision.reason.contains("alice"), "{decision}");
}

#[tokio::test]
async fn a_session_whose_end_got_lost_keeps_no_server_online() {
    let lost = [("CONNECTED", "1", 600), ("OPEN", "1", 600)];
    let (cloud, app) = door(&idle(None), &lost, Metrics::Silent);
    deliver(&app, "one", invocation(now())).await;
    assert!(cloud.count("RevokeSecurityGroupIngress") > 0);
    assert!(status(&app).await["draining"]["since"].is_string());

    // A long upload writes no line, but its bytes show.
    let (cloud, app) = door(&idle(None), &lost, Metrics::Session(30));
    deliver(&app, "one", invocation(now())).await;
    assert_eq!(cloud.count("RevokeSecurityGroupIngress"), 0);
    assert_eq!(status(&app).await["draining"], Value::Null);
}

#[tokio::test]
async fn a_person_s_stop_waits_for_whoever_is_there_until_drain_for_is_over() {
    for (minutes, is_stopped) in [(9, false), (10, true)] {
        let (cloud, app) = door(&stopped(minutes), &[IN], Metrics::Silent);
        deliver(&app, "one", invocation(now())).await;
        assert_eq!(cloud.count("StopServer") > 0, is_stopped, "after {minutes} minutes");
        assert_eq!(status(&app).await["draining"]["users"], json!(["alice"]));
    }
}

#[tokio::test]
async fn a_stop_for_now_asks_nobody_who_is_there() {
    let (cloud, app) = door(&testing::stopped_now(testing::record()), &[IN], Metrics::Session(1));

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("StopServer") > 0);
    assert_eq!((cloud.count("FilterLogEvents"), cloud.count("GetMetricData")), (0, 0));
}

#[tokio::test]
async fn a_new_network_waits_for_whoever_is_there_until_drain_for_is_over() {
    for (draining, is_stopped) in [(None, false), (Some(9), false), (Some(10), true)] {
        let mut item = ServerItem::from(testing::record());
        let subnet = serde_json::from_value(json!(["subnet-00000002"])).unwrap();
        item.record.intent.spec.network.subnet_ids = subnet;
        item.record.status.draining = draining.map(since);
        let (cloud, app) = door(&item, &[IN], Metrics::Silent);
        cloud.answer(MOUNT_TARGETS, mount_targets(&["us-east-1a"]));

        deliver(&app, "one", invocation(now())).await;

        assert_eq!(cloud.count("StopServer") > 0, is_stopped, "draining for {draining:?} minutes");
        assert!(status(&app).await["draining"]["since"].is_string(), "nobody new gets in meanwhile");
    }
}

#[tokio::test]
async fn a_session_of_which_only_the_metrics_tell_is_waited_for() {
    let gone = [IN, ("DISCONNECTED", "1", 15)];
    for (lines, metrics, is_stopped) in [
        (&gone[..], Metrics::Silent, true),
        (&[][..], Metrics::Silent, true),
        (&[][..], Metrics::Session(6), false),
        (&gone[..], Metrics::Session(18), true),
        (&gone[..], Metrics::Session(10), true),
        (&gone[..], Metrics::Session(9), false),
    ] {
        let (cloud, app) = door(&stopped(2), lines, metrics);
        deliver(&app, "one", invocation(now())).await;
        let is_silent = matches!(metrics, Metrics::Silent);
        assert_eq!(cloud.count("StopServer") > 0, is_stopped, "{} lines, silent: {is_silent}", lines.len());
    }
}
