//! A server that another deployment has: the table is new, restored under another name, or a copy.

use std::sync::{Arc, Mutex};

use wharfinger_decisions::deployment::{Adoption, Deployment, OtherServer, Tags};

use super::{users::accounts_without_record, *};

/// What made the server before: a table of the same stack, with another id.
fn others() -> Deployment {
    Deployment { id: Some("22222222222222222222222222222222".into()), ..testing::deployment() }
}

fn others_id() -> String {
    others().id.unwrap()
}

fn their_server() -> OtherServer {
    OtherServer { server_id: "s-1".into(), deployment: others_id() }
}

/// AWS has the server `s-1` with `tags`, which are kept as they are changed.
fn tagged(cloud: &Cloud, tags: Tags) -> Arc<Mutex<Tags>> {
    let tags = Arc::new(Mutex::new(tags));
    let kept = Arc::clone(&tags);
    let listed =
        |tags: &Tags| tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect::<Vec<_>>();
    cloud.answer("ListServers", json!({ "Servers": [{ "Arn": "arn", "ServerId": "s-1" }] }));
    cloud.answer_with(move |operation, input| match operation {
        "TagResource" if input["Arn"].as_str().is_some_and(|arn| arn.ends_with("server/s-1")) => {
            for tag in input["Tags"].as_array().unwrap() {
                let text = |member: &str| tag[member].as_str().unwrap().to_owned();
                kept.lock().unwrap().insert(text("Key"), text("Value"));
            }
            Some((200, json!({})))
        }
        "DescribeServer" => {
            let described = json!({
                "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE",
                "EndpointDetails": {
                    "VpcId": "vpc-0a1b2c3d", "VpcEndpointId": "vpce-1", "SubnetIds": ["subnet-00000001"],
                    "AddressAllocationIds": ["eipalloc-00000001"],
                },
                "Tags": listed(&kept.lock().unwrap()),
            });
            Some((200, json!({ "Server": described })))
        }
        _ => None,
    });
    tags
}

/// A cloud in which the server of `item` is another deployment's, has users without a record, one that is to be
/// deleted, and a rule that is not wanted. We never gave it our host keys.
fn cloud_of_others(item: &ServerItem) -> (Cloud, App) {
    let mut item = item.clone();
    item.record.status.keyed = None;
    let (cloud, app) = cloud_with_item(&item);
    tagged(&cloud, others().tags(&main()));
    accounts_without_record(&cloud, 2);
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16", "10.9.0.0/16"]));
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    (cloud, app)
}

/// The tags of our server, whose record has an id by now.
async fn our_tags(app: &App) -> Tags {
    testing::deployment().server_tags(&main(), &item(app).await.record_id.unwrap())
}

/// Calls that change something on AWS.
fn changes(cloud: &Cloud) -> Vec<String> {
    let reads = |name: &String| ["Describe", "List", "Get", "GET"].iter().any(|verb| name.starts_with(verb));
    cloud.log().into_iter().filter(|name| !reads(name)).collect()
}

async fn item(app: &App) -> ServerItem {
    app.table.get(&servers::key(&main())).await.unwrap().unwrap()
}

#[tokio::test]
async fn of_a_server_of_another_deployment_nothing_is_changed_and_it_is_told() {
    let (cloud, app) = cloud_of_others(&testing::record().into());

    deliver(&app, "one", invocation(now())).await;

    assert_eq!((changes(&cloud), cloud.count("ListUsers")), (vec![], 0));
    assert_eq!(cloud.messages().len(), 1, "it is looked at again");
    let status = status(&app).await;
    assert!(condition(&status, "other_deployment").unwrap()["message"].to_string().contains("s-1"), "{status}");
    assert_eq!((&status["power"], &status["server_id"]), (&json!("online"), &json!("s-1")), "{status}");
}

#[tokio::test]
async fn it_is_left_alone_also_while_it_can_not_be_looked_at() {
    let (cloud, app) = cloud_of_others(&testing::record().into());
    deliver(&app, "one", invocation(now())).await;
    cloud.answer_with(|_, _| None);
    cloud.answer("DescribeServer", "{}");

    deliver(&app, "two", invocation(now())).await;

    assert_eq!(changes(&cloud), [""; 0]);
    assert!(condition(&status(&app).await, "other_deployment").is_some());
}

#[tokio::test]
async fn no_second_server_is_made_beside_one_of_the_same_name() {
    let mut record = testing::record();
    (record.status.server_id, record.status.power) = (None, ServerPhase::Creating);
    let (cloud, app) = cloud_of_others(&record.clone().into());

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(changes(&cloud), [""; 0]);
    let told = status(&app).await;
    assert!(condition(&told, "other_deployment").is_some(), "{told}");
    assert_eq!((&told["power"], &told["server_id"]), (&json!("failed"), &Value::Null));

    // Another stack's server of that name is a neighbour.
    let (cloud, app) = cloud_with(&record);
    tagged(&cloud, Deployment { name: "quay".into(), ..others() }.tags(&main()));
    deliver(&app, "one", invocation(now())).await;
    assert!(condition(&status(&app).await, "other_deployment").is_none());
}

#[tokio::test]
async fn a_copied_table_does_not_pass_for_the_one_that_it_was_copied_from() {
    let (cloud, app) = cloud_of_others(&testing::record().into());
    tagged(&cloud, Deployment { name: "quay".into(), ..testing::deployment() }.tags(&main()));

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(changes(&cloud), [""; 0]);
    assert!(condition(&status(&app).await, "other_deployment").unwrap()["message"].to_string().contains("quay"));
}

#[tokio::test(start_paused = true)]
async fn a_server_is_taken_over_when_a_person_orders_it_and_its_users_by_their_records() {
    let adoption = Adoption { server: their_server(), by: "alice".into(), at: now() };
    let (cloud, app) = cloud_of_others(&ServerItem { adopt: Some(adoption), ..testing::record().into() });
    let tags = tagged(&cloud, others().tags(&main()));
    let theirs: Vec<Value> =
        others().tags(&main()).iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    cloud.answer("DescribeUser", json!({ "ServerId": "s-1", "User": { "Arn": "arn", "Tags": theirs } }));

    deliver(&app, "one", invocation(now())).await;

    let ours = our_tags(&app).await;
    assert_eq!(*tags.lock().unwrap(), ours);
    let deleted: Vec<Value> =
        cloud.calls().into_iter().filter(|call| call.0 == "DeleteUser").map(|call| call.1).collect();
    assert_eq!(deleted.len(), 1, "alice, who has a record: {deleted:?}");
    let item = item(&app).await;
    assert_eq!((item.adopt, &item.record.status.other_deployment), (None, &None));
    let status = status(&app).await;
    assert!(condition(&status, "other_deployment").is_none(), "{status}");
    let strangers = condition(&status, "strangers").unwrap()["message"].to_string();
    assert!(strangers.contains("user-0, user-1"), "they have none: {strangers}");
}

#[tokio::test(start_paused = true)]
async fn a_user_with_a_record_gets_our_tags_and_all_others_keep_theirs() {
    let (cloud, app) = cloud_with(&testing::record());
    let users = ["bob", "mallory"].map(|name| json!({ "UserName": name, "Arn": name, "SshPublicKeyCount": 1 }));
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": users }));
    let tags =
        json!([{ "Key": "wharfinger:server", "Value": "main" }, { "Key": "wharfinger:deployment-id", "Value": "2" }]);
    cloud.answer_with(move |operation, input| {
        let user = json!({ "Arn": input["UserName"], "Tags": tags });
        (operation == "DescribeUser").then(|| (200, json!({ "ServerId": "s-1", "User": user })))
    });
    let mut bob = deleted_user();
    bob["deleting"] = json!(false);
    cloud.put_plain("USERS#main", "bob", &bob);

    deliver(&app, "one", invocation(now())).await;

    let calls = cloud.calls();
    let tagged: Vec<_> = calls.iter().filter(|call| call.0 == "TagResource").map(|call| &call.1["Arn"]).collect();
    assert_eq!(tagged, [&json!("bob")]);
    assert!(calls.iter().all(|call| call.0 != "DeleteUser"), "{calls:?}");
}

#[tokio::test]
async fn an_order_takes_over_what_its_giver_saw_and_nothing_else() {
    for (server_id, deployment) in [("s-2", others_id()), ("s-1", "quay".to_owned())] {
        let server = OtherServer { server_id: server_id.into(), deployment };
        let adoption = Adoption { server, by: "alice".into(), at: now() };
        let (cloud, app) = cloud_of_others(&ServerItem { adopt: Some(adoption.clone()), ..testing::record().into() });
        deliver(&app, "one", invocation(now())).await;
        assert_eq!(changes(&cloud), [""; 0], "{adoption:?}");
    }
}

/// AWS's answer: the server bears another deployment's id.
fn described_as_theirs() -> Value {
    json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE",
        "Tags": [{ "Key": "wharfinger:deployment-id", "Value": others_id() }],
    } })
}

#[tokio::test]
async fn a_refused_adoption_is_told() {
    let adoption = Adoption { server: their_server(), by: "alice".into(), at: now() };
    let (cloud, app) = cloud_of_others(&ServerItem { adopt: Some(adoption), ..testing::record().into() });
    cloud.answer_with(|_, _| None);
    cloud.answer("DescribeServer", described_as_theirs());

    deliver(&app, "one", invocation(now())).await;

    let status = status(&app).await;
    assert!(condition(&status, "other_deployment").is_some(), "{status}");
    assert!(status["reason"].as_str().unwrap().contains("tag arn:aws:transfer"), "{status}");
    assert!(item(&app).await.adopt.is_some(), "it is tried again");
}

#[tokio::test]
async fn a_record_whose_server_could_not_be_taken_over_stays_until_it_is_known_whose_it_is() {
    let adoption = Adoption { server: their_server(), by: "alice".into(), at: now() };
    let record = ServerRecord { deleting: true, ..testing::record() };
    let (cloud, app) = cloud_of_others(&ServerItem { adopt: Some(adoption), ..record.into() });
    cloud.answer_with(|_, _| None);
    cloud.answer("DescribeServer", described_as_theirs());

    deliver(&app, "one", invocation(now())).await;

    assert!(cloud.item(servers::PARTITION, "main").is_some() && cloud.item("USERS#main", "alice").is_some());
    assert_eq!(cloud.messages().len(), 1, "it is looked at again");
}

#[tokio::test]
async fn a_server_of_ours_stays_ours_when_somebody_changes_its_id_of_the_deployment() {
    let (cloud, app) = cloud_with(&testing::record());
    let tags = tagged(&cloud, others().tags(&main()));
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    cloud.answer("DeleteUser", json!({}));

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteUser"), 1);
    let ours = our_tags(&app).await;
    assert_eq!(*tags.lock().unwrap(), ours);
}

#[tokio::test]
async fn an_id_of_the_deployment_that_can_not_be_read_holds_up_no_removal() {
    let (cloud, app) = cloud_with(&testing::record());
    let tags = tagged(&cloud, testing::deployment().tags(&main()));
    cloud.put_plain("DEPLOYMENT", "id", &json!({ "deployment_id": { "of": "another version" } }));
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    cloud.answer("DeleteUser", json!({}));

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(cloud.count("DeleteUser"), 1);
    assert_eq!(*tags.lock().unwrap(), testing::deployment().tags(&main()), "they stay as they are");
}

#[tokio::test]
async fn while_the_id_of_the_deployment_can_not_be_read_no_server_is_taken_for_another_s_or_made() {
    for deleting in [false, true] {
        let mut record = ServerRecord { deleting, ..testing::record() };
        record.status.server_id = None;
        let (cloud, app) = cloud_of_others(&record.into());
        tagged(&cloud, testing::deployment().tags(&main()));
        cloud.put_plain("DEPLOYMENT", "id", &json!({ "deployment_id": { "of": "another version" } }));

        deliver(&app, "one", invocation(now())).await;

        // What only takes rights away goes on: the rules are ours by the deployment's name.
        let changes = changes(&cloud);
        assert!(changes.iter().all(|name| name == "RevokeSecurityGroupIngress"), "deleting {deleting}: {changes:?}");
        let told = status(&app).await;
        assert!(condition(&told, "other_deployment").is_none(), "{told}");
        let told = condition(&told, "server_unknown").expect("it is told");
        assert!(told["message"].to_string().contains("DEPLOYMENT"), "{told}");
    }
}

#[tokio::test]
async fn a_deleted_record_goes_and_the_server_of_another_deployment_stays() {
    let record = ServerRecord { deleting: true, ..testing::record() };
    let (cloud, app) = cloud_of_others(&record.into());

    deliver(&app, "one", invocation(now())).await;

    assert_eq!(changes(&cloud), [""; 0], "its host keys stay too");
    assert!(cloud.item(servers::PARTITION, "main").is_none() && cloud.item("USERS#main", "alice").is_none());
}

#[tokio::test]
async fn a_server_that_release_0_1_made_is_ours_and_gets_the_id_once() {
    let (cloud, app) = cloud_with(&testing::record());
    let tags = tagged(&cloud, testing::deployment().search_tags(&main()));
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    cloud.answer("DeleteUser", json!({}));

    for request in ["one", "two"] {
        deliver(&app, request, invocation(now())).await;
    }

    assert_eq!((cloud.count("DeleteUser"), cloud.count("TagResource")), (1, 1));
    let ours = our_tags(&app).await;
    assert_eq!(*tags.lock().unwrap(), ours);
}

#[tokio::test]
async fn a_server_that_is_known_by_its_tags_alone_is_left_alone_until_a_person_adopts_it() {
    let mut record = testing::record();
    (record.status.server_id, record.status.keyed) = (None, None);
    for theirs in [testing::deployment().search_tags(&main()), testing::deployment().tags(&main())] {
        let (cloud, app) = cloud_of_others(&record.clone().into());
        let tags = tagged(&cloud, theirs.clone());

        deliver(&app, "one", invocation(now())).await;

        assert_eq!((changes(&cloud), &*tags.lock().unwrap()), (vec![], &theirs));
        let server = item(&app).await.record.status.other_deployment.expect("it is told");
        assert_eq!((server.server_id.as_str(), server.deployment.as_str()), ("s-1", "harbour"));

        let adopt = Some(Adoption { server, by: "alice".into(), at: now() });
        cloud.put_plain(servers::PARTITION, "main", &ServerItem { adopt, ..item(&app).await });
        deliver(&app, "two", invocation(now())).await;
        let ours = our_tags(&app).await;
        let tags = tags.lock().unwrap().clone();
        assert_eq!((tags, &status(&app).await["server_id"]), (ours, &json!("s-1")));
    }
}

#[tokio::test]
async fn rules_of_a_deployment_of_another_name_give_way_to_ours_before_the_order_ends() {
    let quay = Deployment { name: "quay".into(), ..others() };
    let server = OtherServer { server_id: "s-1".into(), deployment: "quay".into() };
    let adoption = Adoption { server, by: "alice".into(), at: now() };
    let (cloud, app) = cloud_of_others(&ServerItem { adopt: Some(adoption), ..testing::record().into() });
    tagged(&cloud, quay.tags(&main()));
    let theirs = rules(&["10.1.0.0/16", "10.9.0.0/16"]).replace("harbour/main", "quay/main");
    cloud.answer("DescribeSecurityGroupRules", theirs);
    cloud.answer("AuthorizeSecurityGroupIngress", "<AuthorizeSecurityGroupIngressResponse/>");
    cloud.answer("RevokeSecurityGroupIngress", "no answer of EC2's");
    deliver(&app, "one", invocation(now())).await;
    assert!(item(&app).await.adopt.is_some(), "rules of theirs are left");

    let _ = cloud.calls();
    cloud.answer("RevokeSecurityGroupIngress", "<RevokeSecurityGroupIngressResponse/>");
    deliver(&app, "two", invocation(now())).await;

    let calls = cloud.calls();
    let revoked = calls.iter().filter(|(name, _)| name == "RevokeSecurityGroupIngress").count();
    let added = calls.iter().filter(|(name, _)| name == "AuthorizeSecurityGroupIngress").count();
    assert!(revoked >= 2 && added >= 1, "{revoked} and {added}");
    assert_eq!(item(&app).await.adopt, None);
}

#[tokio::test]
async fn an_order_to_adopt_does_not_end_before_the_rules_and_the_endpoint_were_looked_at() {
    for unseen in ["DescribeSecurityGroupRules", "DescribeVpcEndpoints"] {
        let quay = Deployment { name: "quay".into(), ..others() };
        let server = OtherServer { server_id: "s-1".into(), deployment: "quay".into() };
        let adoption = Adoption { server, by: "alice".into(), at: now() };
        let (cloud, app) = cloud_of_others(&ServerItem { adopt: Some(adoption), ..testing::record().into() });
        tagged(&cloud, quay.tags(&main()));
        cloud.answer("AuthorizeSecurityGroupIngress", "<AuthorizeSecurityGroupIngressResponse/>");
        cloud.throttle(unseen, "");

        deliver(&app, "one", invocation(now())).await;

        assert!(item(&app).await.adopt.is_some(), "{unseen}: rules of theirs may be left");
    }
}
