//! How a server is made, on days when AWS refuses a part of it or shows it late.

use std::sync::{Arc, Mutex};

use wharfinger_decisions::deployment::{Deployment, Tags};

use super::{host_keys::Keys, *};

/// What AWS has of servers.
#[derive(Clone, Default)]
pub(super) struct Servers(Arc<Mutex<State>>);

#[derive(Default)]
pub(super) struct State {
    /// The input of each `CreateServer` that was done.
    made: Vec<Value>,
    pub(super) asked: usize,
    /// Somebody's server `s-9`, by its tags.
    decoy: Option<Tags>,
    /// AWS lists the server `s-8`, and refuses to describe it.
    pub(super) barred: bool,
    /// What a server may not be given: AWS says that it is gone.
    gone: Vec<&'static str>,
    is_hidden: bool,
    /// AWS makes the next server, and its answer is lost.
    loses_answer: bool,
    /// AWS throttles each second call.
    is_busy: bool,
}

impl Servers {
    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn answer_to(&self, operation: &str, input: &Value) -> Option<(u16, Value)> {
        let mut state = self.state();
        match operation {
            "CreateServer" => {
                state.asked += 1;
                if state.is_busy && state.asked.is_multiple_of(2) {
                    return Some((400, json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })));
                }
                let given = input.to_string();
                if let Some(gone) = state.gone.iter().find(|gone| given.contains(**gone)) {
                    let message = format!("{gone} does not exist");
                    return Some((400, json!({ "__type": "InvalidRequestException", "message": message })));
                }
                state.made.push(input.clone());
                if std::mem::take(&mut state.loses_answer) {
                    return Some((500, json!({ "__type": "InternalServiceError", "message": "lost" })));
                }
                Some((200, json!({ "ServerId": format!("s-{}", state.made.len() + 1) })))
            }
            "DescribeServer" if input["ServerId"] == "s-9" => Some((200, decoy(state.decoy.as_ref().unwrap()))),
            "DescribeServer" if input["ServerId"] == "s-8" => {
                Some((400, json!({ "__type": "AccessDeniedException", "message": "no" })))
            }
            "DescribeServer" => match state.made.last().filter(|_| !state.is_hidden) {
                Some(given) => Some((200, described(given, state.made.len() + 1))),
                None => Some((400, json!({ "__type": "ResourceNotFoundException", "message": "Unknown server" }))),
            },
            "ListServers" if !state.is_hidden => {
                let made = (0..state.made.len()).map(|made| format!("s-{}", made + 2));
                let others = [(state.decoy.is_some(), "s-9"), (state.barred, "s-8")];
                let others = others.into_iter().filter(|(is_there, _)| *is_there).map(|(_, id)| id.to_owned());
                let listed = made.chain(others).map(|id| json!({ "Arn": "arn", "ServerId": id }));
                Some((200, json!({ "Servers": listed.collect::<Vec<_>>() })))
            }
            _ if operation.contains("/file-systems") => {
                let file_system = json!({ "FileSystemId": "fs-0a1b2c3d", "LifeCycleState": "available", "OwnerId": "1",
                    "CreationToken": "t", "CreationTime": 1, "NumberOfMountTargets": 1, "PerformanceMode": "generalPurpose",
                    "SizeInBytes": { "Value": 1 }, "Tags": [] });
                Some((200, json!({ "FileSystems": [file_system] })))
            }
            _ if operation.contains("/mount-targets") => {
                let target = json!({ "MountTargetId": "fsmt-1", "FileSystemId": "fs-0a1b2c3d", "SubnetId": "subnet-1",
                    "LifeCycleState": "available", "VpcId": "vpc-0a1b2c3d" });
                Some((200, json!({ "MountTargets": [target] })))
            }
            _ => None,
        }
    }
}

/// A server that is starting, as AWS shows it after it was `given` that.
fn described(given: &Value, number: usize) -> Value {
    let mut server = given.clone();
    let members = server.as_object_mut().unwrap();
    members.remove("HostKey");
    members["EndpointDetails"].as_object_mut().unwrap().remove("SecurityGroupIds");
    members.insert("State".into(), json!("STARTING"));
    members.insert("ServerId".into(), json!(format!("s-{number}")));
    members.insert("Arn".into(), json!(format!("arn:aws:transfer:us-east-1:000000000000:server/s-{number}")));
    json!({ "Server": server })
}

/// An online server of somebody who may tag servers, with more users than ours.
fn decoy(tags: &Tags) -> Value {
    let tags: Vec<_> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-9", "ServerId": "s-9", "State": "ONLINE",
        "Domain": "EFS", "EndpointType": "VPC", "IdentityProviderType": "SERVICE_MANAGED", "Protocols": ["SFTP"],
        "UserCount": 9, "Tags": tags,
    } })
}

/// The tags that somebody may give who does not know our record's id.
fn guesses() -> [Tags; 4] {
    let ours = testing::deployment();
    let other = Deployment { id: Some("another".into()), ..ours.clone() };
    [ours.search_tags(&main()), ours.tags(&main()), ours.server_tags(&main(), "guessed"), other.tags(&main())]
}

/// The record of a server that AWS does not have.
fn unmade() -> ServerRecord {
    let mut record = testing::record();
    (record.status.power, record.status.server_id, record.status.keyed) = (ServerPhase::Creating, None, None);
    record.status.online_since = None;
    record
}

pub(super) fn cloud_of(item: &ServerItem) -> (Cloud, App, Servers) {
    let (cloud, app) = cloud_with_item(item);
    network_as_wanted(&cloud, &[]);
    cloud.answer("DescribeSubnets", subnet("subnet-00000001"));
    cloud.answer("DescribeSecurityGroups", group("sg-00000001"));
    cloud.answer("DescribeSecurityGroupRules", rules(&["10.1.0.0/16"]));
    let (keys, servers) = (Keys::default(), Servers::default());
    let answers = servers.clone();
    cloud.answer_with(move |operation, input| {
        answers.answer_to(operation, input).or_else(|| keys.answer_to(operation, input, ""))
    });
    (cloud, app, servers)
}

/// The record of a server that slept with these settings, and is to wake.
fn sleeper(members: &Value) -> ServerItem {
    let mut record = unmade();
    record.status.power = ServerPhase::Stopped;
    let asleep = json!({ "since": now(), "settings": { "members": members, "tags": { "team": "web" } } });
    let (asleep, record_id) = (Some(serde_json::from_value(asleep).unwrap()), Some("ours".into()));
    ServerItem { asleep, record_id, ..ServerItem::from(record) }
}

async fn visit(app: &App, minute: i64) {
    deliver(app, &format!("request-{minute}"), invocation(now() + SignedDuration::from_mins(minute))).await;
}

#[tokio::test]
async fn a_new_server_that_aws_shows_late_is_made_once_and_not_forgotten() {
    let (_cloud, app, servers) = cloud_of(&unmade().into());
    servers.state().is_hidden = true;
    for minute in 0..3 {
        visit(&app, minute).await;
        let status = status(&app).await;
        assert_eq!((&status["power"], &status["server_id"]), (&json!("creating"), &json!("s-2")), "{status}");
        assert_eq!(servers.state().asked, 1, "after {minute} minutes");
    }
    servers.state().is_hidden = false;
    visit(&app, 3).await;
    let status = status(&app).await;
    assert_eq!(status["server_id"], "s-2", "{status}");
    servers.state().is_hidden = true;
    visit(&app, 4).await;
    assert_eq!(servers.state().asked, 1, "an older answer may come after a newer one");
}

#[tokio::test]
async fn a_new_server_that_aws_never_shows_is_made_again() {
    let (_cloud, app, servers) = cloud_of(&unmade().into());
    servers.state().is_hidden = true;
    visit(&app, 0).await;
    visit(&app, 11).await;
    assert_eq!(servers.state().asked, 2);
    assert_eq!(status(&app).await["server_id"], "s-3");
}

#[tokio::test]
async fn a_server_that_is_deleted_before_aws_shows_it_is_deleted_on_aws() {
    let (cloud, app, servers) = cloud_of(&unmade().into());
    servers.state().is_hidden = true;
    visit(&app, 0).await;
    let mut record: ServerRecord = app.table.get(&servers::key(&main())).await.unwrap().unwrap();
    record.deleting = true;
    cloud.put_plain(servers::PARTITION, "main", &ServerItem::from(record));
    visit(&app, 1).await;
    assert!(cloud.item(servers::PARTITION, "main").is_some(), "it is billed, so it is not forgotten");
    servers.state().is_hidden = false;
    visit(&app, 2).await;
    assert!(cloud.count("DeleteServer") > 0);
}

#[tokio::test]
async fn a_sleeper_that_aws_refuses_for_what_is_gone_is_woken_without_it_and_says_so() {
    let recorded = json!({
        "PreAuthenticationLoginBanner": "ahoy", "SecurityPolicyName": "TransferSecurityPolicy-2025-03",
        "StructuredLogDestinations": ["arn:aws:logs:us-east-1:000000000000:log-group:/theirs:*"],
        "WorkflowDetails": { "OnUpload": [{ "WorkflowId": "w-1", "ExecutionRole": "arn:aws:iam::0:role/x" }] },
    });
    let (_cloud, app, servers) = cloud_of(&sleeper(&recorded));
    servers.state().gone = vec!["/theirs", "w-1", "TransferSecurityPolicy-2025-03"];

    visit(&app, 0).await;
    let first = status(&app).await;
    assert!(condition(&first, "step_refused").is_some() && servers.state().made.is_empty(), "some refusals pass");
    visit(&app, 1).await;

    let given = servers.state().made[0].clone();
    assert_eq!(given["PreAuthenticationLoginBanner"], "ahoy", "what is not gone is given back");
    assert_eq!(given["SecurityPolicyName"], "TransferSecurityPolicy-2024-01", "never without a policy");
    assert_eq!(
        (&given["StructuredLogDestinations"], &given["WorkflowDetails"]),
        (&json!([testing::LOG_GROUP]), &Value::Null)
    );
    let status = status(&app).await;
    assert_eq!(status["server_id"], "s-2");
    let told = condition(&status, "setting_refused").expect("it is told");
    for part in ["w-1 does not exist", "/theirs", "TransferSecurityPolicy-2025-03", "TransferSecurityPolicy-2024-01"] {
        assert!(told["message"].to_string().contains(part), "{told}");
    }
    assert_eq!(told["severity"], "error");

    visit(&app, 2).await;
    assert!(condition(&self::status(&app).await, "setting_refused").is_some(), "it stays until it is put right");
    servers.state().made[0]["WorkflowDetails"] = recorded["WorkflowDetails"].clone();
    visit(&app, 3).await;
    let told = condition(&self::status(&app).await, "setting_refused").unwrap()["message"].to_string();
    assert!(!told.contains("w-1") && told.contains("/theirs"), "{told}");
}

#[tokio::test]
async fn what_a_server_was_made_without_is_known_though_the_answer_is_lost() {
    let recorded = json!({ "WorkflowDetails": { "OnUpload": [{ "WorkflowId": "w-1", "ExecutionRole": "role" }] } });
    let (_cloud, app, servers) = cloud_of(&sleeper(&recorded));
    servers.state().gone = vec!["w-1"];
    visit(&app, 0).await;
    servers.state().loses_answer = true;
    servers.state().is_hidden = true;
    visit(&app, 1).await;
    assert_eq!(servers.state().made.len(), 1);
    let waiting = status(&app).await;
    assert_eq!(waiting["server_id"], Value::Null);
    assert!(condition(&waiting, "setting_refused").is_none(), "it is not known that there is a server: {waiting}");
    servers.state().is_hidden = false;

    visit(&app, 3).await;

    let status = status(&app).await;
    assert_eq!(servers.state().made.len(), 1);
    assert_eq!(status["server_id"], "s-2", "{status}");
    assert!(condition(&status, "setting_refused").is_some_and(|told| told["message"].to_string().contains("w-1")));
}

#[tokio::test]
async fn a_refusal_of_something_else_makes_no_server_with_less() {
    let (_cloud, app, servers) = cloud_of(&sleeper(&json!({ "PreAuthenticationLoginBanner": "ahoy" })));
    servers.state().gone = vec!["subnet-00000001"];
    visit(&app, 0).await;
    visit(&app, 1).await;
    assert!(servers.state().made.is_empty());
    let told = status(&app).await;
    assert!(
        condition(&told, "step_refused").is_some_and(|told| told["message"].to_string().contains("subnet-00000001"))
    );
}

#[tokio::test]
async fn a_decoy_gets_nothing_of_a_sleeper_that_wakes_and_holds_it_up_in_nothing() {
    for tags in guesses() {
        let (cloud, app, servers) = cloud_of(&sleeper(&json!({})));
        servers.state().decoy = Some(tags.clone());

        visit(&app, 0).await;

        let (status, made) = (status(&app).await, servers.state().made.clone());
        assert_eq!((&status["server_id"], made.len()), (&json!("s-2"), 1), "{tags:?}: {status}");
        let given = json!({ "Key": "wharfinger:record-id", "Value": "ours" });
        assert!(made[0]["Tags"].as_array().unwrap().contains(&given), "{made:?}");
        let told = condition(&status, "unproven_server").expect("it is told");
        assert!(told["message"].to_string().contains("s-9"), "{told}");
        let calls = cloud.calls();
        let to_the_decoy = calls.iter().filter(|(name, input)| name != "DescribeServer" && input["ServerId"] == "s-9");
        assert_eq!(to_the_decoy.count(), 0);
    }
}

/// The record of a server that bore the id `ours` while AWS had it, which alice wants with this power.
fn gone(power: Power) -> ServerItem {
    let order = Order { power, by: "alice".into(), at: now(), now: true };
    let item = ServerItem { order: Some(order), record_id: Some("ours".into()), ..testing::record().into() };
    if power == Power::Asleep { ServerItem { asleep: sleeper(&json!({})).asleep, ..item } } else { item }
}

#[tokio::test]
async fn a_copy_of_the_tags_of_a_server_that_is_gone_proves_nothing_and_the_next_one_is_found_by_new_ones() {
    for (power, loses_answer) in
        [(Power::Online, false), (Power::Online, true), (Power::Asleep, false), (Power::Asleep, true)]
    {
        let (cloud, app, servers) = cloud_of(&gone(power));
        servers.state().decoy = Some(testing::deployment().server_tags(&main(), "ours"));
        servers.state().loses_answer = loses_answer;
        visit(&app, 0).await;
        if power == Power::Asleep {
            assert_eq!(status(&app).await["server_id"], Value::Null);
            let order = Order { power: Power::Online, by: "alice".into(), at: now(), now: true };
            let item: ServerItem = app.table.get(&servers::key(&main())).await.unwrap().unwrap();
            cloud.put_plain(servers::PARTITION, "main", &ServerItem { order: Some(order), ..item });
            visit(&app, 1).await;
        }
        visit(&app, 3).await;

        let (status, made) = (status(&app).await, servers.state().made.clone());
        assert_eq!((&status["server_id"], made.len()), (&json!("s-2"), 1), "{power:?} {loses_answer}: {status}");
        let copied = json!({ "Key": "wharfinger:record-id", "Value": "ours" });
        assert!(!made[0]["Tags"].as_array().unwrap().contains(&copied), "{made:?}");
        let calls = cloud.calls();
        let to_the_decoy = calls.iter().filter(|(name, input)| name != "DescribeServer" && input["ServerId"] == "s-9");
        assert_eq!(to_the_decoy.count(), 0);
    }
}

#[tokio::test]
async fn a_server_whose_answer_is_lost_is_found_among_decoys() {
    for tags in guesses() {
        let (_cloud, app, servers) = cloud_of(&unmade().into());
        servers.state().loses_answer = true;
        visit(&app, 0).await;
        servers.state().decoy = Some(tags);

        visit(&app, 2).await;

        assert_eq!(status(&app).await["server_id"], "s-2");
        assert_eq!(servers.state().made.len(), 1);
    }
}

#[tokio::test]
async fn before_there_was_a_server_for_the_record_none_is_made_beside_one_with_its_tags() {
    for tags in guesses() {
        let (_cloud, app, servers) = cloud_of(&unmade().into());
        servers.state().decoy = Some(tags);

        visit(&app, 0).await;

        assert_eq!(servers.state().asked, 0);
        let told = status(&app).await;
        let condition = condition(&told, "other_deployment").expect("it is told");
        assert!(condition["message"].to_string().contains("s-9"), "{told}");
        assert!(condition["remedy"].to_string().contains("adopt"), "{told}");
    }
}

#[tokio::test]
async fn a_search_for_refused_settings_that_is_throttled_goes_on_where_it_was() {
    let recorded = json!({
        "PostAuthenticationLoginBanner": "hello", "PreAuthenticationLoginBanner": "ahoy",
        "WorkflowDetails": { "OnUpload": [{ "WorkflowId": "w-1", "ExecutionRole": "role" }] },
    });
    let (_cloud, app, servers) = cloud_of(&sleeper(&recorded));
    servers.state().gone = vec!["w-1", "hello"];
    visit(&app, 0).await;
    servers.state().is_busy = true;

    for minute in 1..20 {
        if servers.state().made.is_empty() {
            visit(&app, minute).await;
        }
    }

    let made = servers.state().made.clone();
    assert_eq!(made.len(), 1);
    assert_eq!((&made[0]["PreAuthenticationLoginBanner"], &made[0]["WorkflowDetails"]), (&json!("ahoy"), &Value::Null));
    let told = status(&app).await;
    let message = condition(&told, "setting_refused").expect("it is told")["message"].to_string();
    assert!(message.contains("w-1 does not exist") && message.contains("hello"), "{message}");
    assert_eq!(told["settings_search"], Value::Null, "{told}");
}
