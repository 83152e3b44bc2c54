//! Two visits at once, which there are when a lease expires while its owner is still at it, and a server that is asked
//! for and does not show.

use std::sync::{Arc, Mutex};

use super::*;
use crate::visit::Visit;

/// The server is to be stopped at once, and was shown online before.
fn to_be_stopped() -> ServerItem {
    testing::stopped_now(testing::record())
}

#[tokio::test]
async fn a_visit_that_has_lost_its_lease_changes_nothing() {
    let item = to_be_stopped();
    let (cloud, app) = cloud_with_item(&item);
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSecurityGroupRules", rules(&[]));
    cloud.answer("StopServer", "{}");
    let key = servers::key(&main());
    let Claim::Taken(lost) = app.table.lease(&key, "one", now(), LEASE).await.unwrap() else { panic!("it is free") };
    let later = now() + LEASE + SignedDuration::from_secs(1);
    assert!(matches!(app.table.lease(&key, "two", later, LEASE).await.unwrap(), Claim::Taken(_)));
    let (name, before) = (main(), status(&app).await);

    let deployment = testing::deployment();
    Box::pin(Visit::new(&app, &deployment, &name, &lost, &item, invocation(later)).run()).await.unwrap();
    assert_eq!((cloud.count("StopServer"), status(&app).await), (0, before));

    deliver(&app, "three", invocation(later + LEASE + LEASE)).await;
    assert!(cloud.count("StopServer") > 0, "the next one that has it goes on");
}

#[tokio::test]
async fn an_order_that_is_taken_back_while_aws_is_waited_for_is_not_carried_out() {
    let stop = to_be_stopped();
    let mut wanted_online = stop.clone();
    wanted_online.order = wanted_online.order.map(|order| Order { power: Power::Online, ..order });
    let mut changed = stop.clone();
    changed.record.version += 1;
    for meanwhile in [wanted_online, changed] {
        let (cloud, app) = cloud_with_item(&meanwhile);
        network_as_wanted(&cloud, &[]);
        cloud.answer("DescribeSecurityGroupRules", rules(&[]));
        cloud.answer("StopServer", "{}");
        let claim = app.table.lease(&servers::key(&main()), "one", now(), LEASE).await.unwrap();
        let Claim::Taken(lease) = claim else { panic!("it is free") };

        let (deployment, name) = (testing::deployment(), main());
        Box::pin(Visit::new(&app, &deployment, &name, &lease, &stop, invocation(now())).run()).await.unwrap();
        assert_eq!(cloud.count("StopServer"), 0);
    }
}

#[tokio::test]
async fn a_wake_up_of_a_strange_shape_hides_no_mark() {
    let (cloud, app) = cloud_with_item(&to_be_stopped());
    let mut item = serde_json::to_value(to_be_stopped()).unwrap();
    item["armed"] = json!("of another version");
    cloud.put_plain(servers::PARTITION, "main", &item);
    let key = servers::key(&main());
    let Claim::Taken(lease) = app.table.lease(&key, "one", now(), LEASE).await.unwrap() else { panic!("it is free") };
    let Claim::Noted(mark) = app.table.lease(&key, "two", now(), LEASE).await.unwrap() else { panic!("it is held") };
    assert_eq!(mark.map(|mark| mark.by).as_deref(), Some("two"));
    assert_eq!(app.table.release_lease(&lease, &Armed::default()).await.unwrap(), Release::Wanted);
}

/// The record of a server that AWS does not have, and was asked for at `making`.
fn absent(making: Option<Timestamp>) -> (Cloud, App) {
    let mut record = testing::record();
    record.status.server_id = None;
    record.status.making = making;
    let (cloud, app) = cloud_with(&record);
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeAddresses", DESCRIBED_FREE);
    cloud.answer("DescribeSubnets", subnet("subnet-00000001"));
    cloud.answer("DescribeSecurityGroups", group("sg-00000001"));
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16"]));
    cloud.answer(MOUNT_TARGETS, mount_targets(&["us-east-1a"]));
    (cloud, app)
}

/// EC2's answer: nothing has the address.
const DESCRIBED_FREE: &str = "<DescribeAddressesResponse><addressesSet><item><allocationId>eipalloc-00000001\
     </allocationId><publicIp>203.0.113.7</publicIp></item></addressesSet></DescribeAddressesResponse>";

/// How often the host key was looked for, with which the making of a server begins.
fn begun(cloud: &Cloud) -> Arc<Mutex<usize>> {
    let begun = Arc::new(Mutex::new(0));
    let counted = begun.clone();
    cloud.answer_with(move |operation, _| {
        let is_first = operation == "GetSecretValue";
        *counted.lock().unwrap() += usize::from(is_first);
        is_first.then(|| (500, json!({ "__type": "InternalServiceError", "message": "later" })))
    });
    begun
}

#[tokio::test]
async fn a_server_that_may_not_show_yet_is_waited_for_before_there_is_another() {
    for (ago, tries) in [(59, 0), (60, 1)] {
        let (cloud, app) = absent(Some(now() - SignedDuration::from_secs(ago)));
        let begun = begun(&cloud);
        deliver(&app, "one", invocation(now())).await;
        let begun = *begun.lock().unwrap();
        assert_eq!(begun, tries, "asked for {ago} s ago: {:?}", status(&app).await);
        assert_eq!(cloud.messages().len(), 1, "it is looked at again");
        assert_ne!(status(&app).await["power"], "online");
    }
}

#[tokio::test]
async fn that_a_server_is_asked_for_is_recorded_before() {
    let (cloud, app) = absent(None);
    let begun = begun(&cloud);
    deliver(&app, "one", invocation(now())).await;
    let begun = *begun.lock().unwrap();
    assert_eq!((begun, status(&app).await["making"].is_string()), (1, true));
}

#[tokio::test]
async fn a_server_whose_making_is_throttled_is_not_waited_for() {
    let (cloud, app) = absent(None);
    super::host_keys::Keys::default().answer(&cloud, "");
    cloud.throttle("CreateServer", "");
    deliver(&app, "one", invocation(now())).await;
    assert!(cloud.count("CreateServer") > 0);
    assert!(status(&app).await["making"].is_null(), "{}", status(&app).await);
}
