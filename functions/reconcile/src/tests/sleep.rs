//! A server that is to sleep on a bad day: nothing is deleted that could not be rebuilt, and nothing is forgotten.

use wharfinger_decisions::{order::Order, server::Power};

use super::{rebuild::whole, *};

/// The server of `record`, which alice wants asleep without waiting for anybody.
fn asleep_now(record: ServerRecord) -> ServerItem {
    let order = Order { power: Power::Asleep, by: "alice".into(), at: record.updated_at, now: true };
    ServerItem { order: Some(order), ..record.into() }
}

/// A cloud in which all is recorded, the network is as wanted, and alice wants the server asleep.
async fn ordered() -> (Cloud, App) {
    let (cloud, app) = whole(&testing::record()).await;
    cloud.put_plain(servers::PARTITION, "main", &asleep_now(testing::record()));
    let described = json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE",
        "Domain": "EFS", "EndpointType": "VPC", "IdentityProviderType": "SERVICE_MANAGED", "Protocols": ["SFTP"],
        "EndpointDetails": {
            "VpcId": "vpc-0a1b2c3d", "VpcEndpointId": "vpce-1", "SubnetIds": ["subnet-00000001"],
            "AddressAllocationIds": ["eipalloc-00000001"],
        },
    } });
    cloud.answer("DescribeServer", described);
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSecurityGroupRules", rules(&[]));
    // No account is left without a record.
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": [] }));
    cloud.answer("DeleteUser", json!({}));
    (cloud, app)
}

#[tokio::test]
async fn what_a_server_is_rebuilt_from_is_remembered_when_its_deletion_fails() {
    let (cloud, app) = ordered().await;
    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.count("DeleteServer") > 0);
    let item: ServerItem = app.table.get(&servers::key(&main())).await.unwrap().unwrap();
    assert!(item.asleep.is_some());
    assert_eq!(item.phase(), ServerPhase::Online, "it is still there, as far as is known");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_user_and_a_withdrawn_address_block_go_while_the_proof_is_not_answered() {
    let (cloud, app) = ordered().await;
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.9.0.0/16"]));
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    cloud.leave_unanswered(|operation, _| operation == "GetSecretValue");

    let visit = deliver(&app, "one", invocation(now()));
    let _ = tokio::time::timeout(std::time::Duration::from_secs(30), visit).await;

    assert_eq!((cloud.count("DeleteUser"), cloud.count("RevokeSecurityGroupIngress")), (1, 1));
    assert_eq!(cloud.count("DeleteServer"), 0);
}

#[tokio::test]
async fn a_server_sleeps_once_it_is_recorded() {
    let (cloud, app) = ordered().await;
    cloud.answer("DeleteServer", json!({}));

    deliver(&app, "one", invocation(now())).await;

    let operations: Vec<String> = cloud.calls().into_iter().map(|(name, _)| name).collect();
    let deleted = operations.iter().position(|name| name == "DeleteServer").expect("it is deleted");
    assert!(operations[..deleted].contains(&"UpdateItem".to_owned()), "it is recorded first: {operations:?}");
}

#[tokio::test]
async fn a_server_whose_network_aws_has_not_taken_is_not_deleted() {
    let (cloud, app) = ordered().await;
    network_as_wanted(&cloud, &["sg-00000009"]);
    cloud.answer("ModifyVpcEndpoint", "<ModifyVpcEndpointResponse><return>true</return></ModifyVpcEndpointResponse>");

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteServer"), 0);
    let status = status(&app).await;
    assert!(condition(&status, "not_rebuildable").is_some(), "{status}");
}

#[tokio::test]
async fn what_aws_refused_when_it_woke_is_recorded_again_for_the_next_time() {
    let (cloud, app) = ordered().await;
    let mut item = asleep_now(testing::record());
    let refused = json!([{ "member": "WorkflowDetails", "value": { "OnUpload": "w-1" }, "message": "gone" }]);
    item.record.status.refused_settings = serde_json::from_value(refused).unwrap();
    cloud.put_plain(servers::PARTITION, "main", &item);

    deliver(&app, "one", invocation(now())).await;

    let item: ServerItem = app.table.get(&servers::key(&main())).await.unwrap().unwrap();
    let recorded = item.asleep.expect("it is recorded").settings.members;
    assert_eq!(recorded.get("WorkflowDetails"), Some(&json!({ "OnUpload": "w-1" })));
}

#[tokio::test]
async fn a_server_is_not_deleted_while_the_site_of_a_user_can_not_be_read() {
    let (cloud, app) = ordered().await;
    let mut user = deleted_user();
    (user["deleting"], user["intent"]) = (json!(false), json!({ "public_keys": [], "site": "blog" }));
    cloud.put_plain("USERS#main", "alice", &user);
    cloud.put_plain("SITES", "blog", &json!({ "intent": "of another version" }));
    let listed = json!([{ "UserName": "alice", "Arn": "arn", "SshPublicKeyCount": 1 }]);
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": listed }));
    cloud.answer("DeleteServer", json!({}));

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteServer"), 0);
    let status = status(&app).await;
    let told = condition(&status, "not_rebuildable").expect("it is told")["message"].to_string();
    assert!(told.contains("alice") && told.contains("blog"), "{told}");
}

#[tokio::test]
async fn accounts_are_listed_at_the_visit_s_beginning_and_before_the_deletion_and_not_more_often() {
    let (cloud, app) = ordered().await;
    cloud.answer("DeleteServer", json!({}));
    deliver(&app, "one", invocation(now())).await;
    let operations: Vec<String> = cloud.calls().into_iter().map(|(name, _)| name).collect();
    let deleted = operations.iter().position(|name| name == "DeleteServer").expect("it is deleted");
    let lists = operations[..deleted].iter().filter(|name| *name == "ListUsers").count();
    assert_eq!(lists, 2, "{operations:?}");
}
