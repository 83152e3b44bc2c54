//! The end of an order that keeps a server open: it is looked at then, by one message.

use wharfinger_decisions::{
    duration::HumanDuration,
    idle::{Action, Decision},
    order::Order,
    server::{IdleAction, IdlePolicy, Power},
};

use super::*;

/// The server of the record, which alice opened and nobody has used since. Her order ends at `end`.
fn opened(end: Timestamp) -> ServerItem {
    let mut record = testing::record();
    record.intent.spec.idle = Some(IdlePolicy { after: HumanDuration::from_secs(1800), action: IdleAction::Stop });
    let order = Order { power: Power::Online, by: "alice".into(), at: end - SignedDuration::from_hours(2), now: false };
    let decided = Decision { action: Action::Close, ..Decision::keep("nobody was here for 31m", end) };
    let decision = Some(Decision { at: end - SignedDuration::from_mins(30), ..decided });
    ServerItem { order: Some(order), decision, ..record.into() }
}

/// The delays of the messages that were sent since the last look, in seconds.
fn delays(cloud: &Cloud) -> Vec<i64> {
    let calls = cloud.calls().into_iter().filter(|(operation, _)| operation == "SendMessage");
    calls.map(|(_, input)| input["DelaySeconds"].as_i64().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_server_is_looked_at_when_an_order_ends_by_one_message_that_is_sent_when_it_is_near() {
    let end = now();
    let (cloud, app) = cloud_with_item(&opened(end));
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16"]));
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    let mut sent = Vec::new();
    for minutes in [60, 20, 12, 7, 2] {
        let at = end - SignedDuration::from_mins(minutes);
        deliver(&app, &format!("{minutes} before"), invocation(at)).await;
        assert_eq!(status(&app).await["settled_version"], 3);
        sent.push(delays(&cloud));
    }
    assert_eq!(sent, [vec![], vec![], vec![720], vec![], vec![]]);

    deliver(&app, "the message", invocation(end)).await;

    assert!(cloud.count("RevokeSecurityGroupIngress") > 0, "nobody new is let in");
}

#[tokio::test]
async fn an_order_that_ends_sooner_than_a_refusal_is_tried_again_is_not_late() {
    let (cloud, app) = cloud_with_item(&opened(now() + SignedDuration::from_secs(30)));
    // Of EC2 nothing is known, which is asked again after a minute.
    deliver(&app, "one", invocation(now())).await;
    assert_eq!(delays(&cloud), [30]);
}
