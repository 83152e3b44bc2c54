//! What a server is rebuilt from, and what it would lack.

use wharfinger_aws::{secrets::Secret, transfer::NewServer};
use wharfinger_decisions::{
    power::AwsState,
    rebuild::Lack,
    settings::{Lost, Settings},
};

use super::{
    host_keys::{Keys, listed, obtain},
    *,
};
use crate::{host_keys::Kind, visit::Visit};

/// A server whose one host key is ours and whose one account has a record.
pub(super) async fn whole(record: &ServerRecord) -> (Cloud, App) {
    let (cloud, app) = cloud_with(record);
    Keys::default().answer(&cloud, "");
    let (_, fingerprint) = obtain(&app, Kind::Ed25519).await.unwrap();
    cloud.answer("ListHostKeys", listed(&[&fingerprint]));
    list_users(&cloud, &["alice"]);
    cloud.put_plain("USERS#main", "alice", &deleted_user());
    let _ = cloud.calls();
    (cloud, app)
}

fn list_users(cloud: &Cloud, names: &[&str]) {
    let user = |name: &&str| json!({ "Arn": "arn:aws:transfer:us-east-1:000000000000:user/s-1/a", "UserName": name });
    cloud.answer("ListUsers", json!({ "ServerId": "s-1", "Users": names.iter().map(user).collect::<Vec<_>>() }));
}

async fn lacks(app: &App, record: &ServerRecord) -> Vec<Lack> {
    let server = main();
    let item = record.clone().into();
    let (lease, deployment) = (testing::lease(), testing::deployment());
    let visit = Visit::new(app, &deployment, &server, &lease, &item, invocation(now()));
    visit.lacks(&testing::server(AwsState::Online), None).await
}

#[tokio::test]
async fn a_server_of_which_all_is_recorded_lacks_nothing_and_nothing_is_changed() {
    let record = testing::record();
    let (cloud, app) = whole(&record).await;
    assert_eq!(lacks(&app, &record).await, []);
    let reads = |name: &String| ["Get", "List", "Query"].iter().any(|verb| name.starts_with(verb));
    let calls: Vec<String> = cloud.calls().into_iter().map(|(name, _)| name).collect();
    assert!(calls.iter().all(reads), "{calls:?}");
}

#[tokio::test]
async fn accounts_that_the_table_could_not_bring_back_are_lacks() {
    let record = testing::record();
    let (cloud, app) = whole(&record).await;
    cloud.put_plain("USERS#main", "bob", &json!({ "intent": 5 }));
    list_users(&cloud, &["alice", "bob", "mallory"]);
    assert_eq!(lacks(&app, &record).await, [Lack::Accounts(vec!["bob".into(), "mallory".into()])]);
}

#[tokio::test]
async fn an_account_whose_site_can_not_be_read_is_a_lack() {
    let record = testing::record();
    let (cloud, app) = whole(&record).await;
    let mut user = deleted_user();
    (user["deleting"], user["intent"]) = (json!(false), json!({ "public_keys": [], "site": "blog" }));
    cloud.put_plain("USERS#main", "alice", &user);
    let reason = |found: &[Lack]| match found {
        [Lack::Incomplete { accounts, reason }] if accounts == &["alice"] => reason.clone(),
        _ => panic!("{found:?}"),
    };
    assert!(reason(&lacks(&app, &record).await).contains("the site blog does not exist"));

    cloud.put_plain("SITES", "blog", &json!({ "intent": 5 }));
    assert!(reason(&lacks(&app, &record).await).contains("the record of the site \"blog\" can't be read"));

    user["deleting"] = json!(true);
    cloud.put_plain("USERS#main", "alice", &user);
    assert_eq!(lacks(&app, &record).await, [], "one that goes anyway need not be brought back");
}

#[tokio::test]
async fn a_host_key_of_others_is_a_lack_and_so_is_an_answer_that_is_missing() {
    let record = testing::record();
    let (cloud, app) = whole(&record).await;
    cloud.answer("ListHostKeys", listed(&["SHA256:stranger"]));
    let found = lacks(&app, &record).await;
    assert!(matches!(&found[..], [Lack::HostKey(key)] if key.fingerprint == "SHA256:stranger"), "{found:?}");

    cloud.throttle("ListUsers", "");
    cloud.answer("ListHostKeys", listed(&[]));
    let found = lacks(&app, &record).await;
    assert!(matches!(&found[..], [Lack::Unknown(unanswered)] if unanswered.temporary), "{found:?}");

    let (cloud, app) = whole(&record).await;
    cloud.answer_with(|operation, _| {
        (operation == "GetSecretValue").then(|| (400, json!({ "__type": "AccessDeniedException", "message": "no" })))
    });
    let found = lacks(&app, &record).await;
    assert!(matches!(&found[..], [Lack::Unknown(unanswered), _, _] if !unanswered.temporary), "{found:?}");
}

#[tokio::test]
async fn an_elastic_ip_that_the_spec_does_not_give_and_a_role_of_others_are_lacks() {
    let mut record = testing::record();
    let (_cloud, app) = whole(&record).await;
    let address = record.intent.spec.network.address_allocation_ids.remove(0);
    let role = "arn:aws:iam::000000000000:role/theirs";
    let mut server = testing::server(AwsState::Online);
    server.settings.members = [
        ("LoggingRole".to_owned(), json!(role)),
        ("WorkflowDetails".to_owned(), json!({ "OnUpload": [{ "ExecutionRole": app.user_role.as_str() }] })),
    ]
    .into();
    server.lost = vec![Lost::Unknown { member: "QuantumMode".into() }];
    let name = main();
    let (item, deployment, lease) = (record.clone().into(), testing::deployment(), testing::lease());
    let found = Visit::new(&app, &deployment, &name, &lease, &item, invocation(now())).lacks(&server, None).await;
    let expected = [
        Lack::AddressUnwanted(address),
        Lack::Setting(Lost::Unknown { member: "QuantumMode".into() }),
        Lack::Role { member: "LoggingRole".into(), role: role.into() },
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn an_elastic_ip_that_somebody_took_off_does_not_come_back_by_itself() {
    let mut record = testing::record();
    let (_cloud, app) = whole(&record).await;
    let id = record.intent.spec.network.address_allocation_ids[0].clone();
    let mut server = testing::server(AwsState::Online);
    server.placement.addresses.clear();
    let name = main();
    let (deployment, lease) = (testing::deployment(), testing::lease());
    for (settled, expected) in [(2, Lack::AddressDetached(id.clone())), (3, Lack::AddressLeft(id))] {
        record.status.settled_version = settled;
        let item = record.clone().into();
        let visit = Visit::new(&app, &deployment, &name, &lease, &item, invocation(now()));
        assert_eq!(visit.lacks(&server, None).await, [expected]);
    }
}

#[tokio::test]
async fn what_aws_shows_of_a_server_is_read_with_the_members_that_the_sdk_does_not_know() {
    let (cloud, app) = cloud_with(&testing::record());
    let described = json!({ "Server": {
        "Arn": "arn:aws:transfer:us-east-1:000000000000:server/s-1", "ServerId": "s-1", "State": "ONLINE",
        "Domain": "EFS", "EndpointType": "VPC", "IdentityProviderType": "SERVICE_MANAGED", "Protocols": ["SFTP"],
        "PreAuthenticationLoginBanner": "ahoy", "QuantumMode": { "On": true },
        "Tags": [{ "Key": "team", "Value": "web" }, { "Key": "wharfinger:server", "Value": "main" }],
    } });
    cloud.answer("DescribeServer", described);
    let server = app.transfer.server("s-1").await.unwrap().unwrap();
    assert_eq!(server.lost, [Lost::Unknown { member: "QuantumMode".into() }]);
    assert_eq!(server.settings.members, [("PreAuthenticationLoginBanner".to_owned(), json!("ahoy"))].into());
    assert_eq!(server.settings.tags, [("team".to_owned(), "web".to_owned())].into());
}

/// What AWS is asked to create with these settings.
async fn created_with(settings: &Settings) -> Value {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    cloud.answer("CreateServer", json!({ "ServerId": "s-2" }));
    let (server, network) = (main(), testing::spec().network);
    let tags = testing::deployment().tags(&server);
    let new = NewServer {
        vpc_id: &network.vpc_id,
        subnet_ids: &network.subnet_ids,
        security_group_ids: &network.security_group_ids,
        host_key: &Secret::new("key".into()),
        tags: &tags,
        settings,
    };
    assert_eq!(app.transfer.create_server(&new).await.unwrap(), "s-2");
    cloud.calls().remove(0).1
}

#[tokio::test]
async fn a_rebuilt_server_is_asked_for_with_its_settings_and_a_new_one_with_our_defaults() {
    let plain = created_with(&Settings::default()).await;
    assert_eq!(plain["SecurityPolicyName"], "TransferSecurityPolicy-2024-01");
    let settings: Settings = serde_json::from_value(json!({
        "members": { "SecurityPolicyName": "TransferSecurityPolicy-2025-03", "QuantumMode": { "On": true } },
        "tags": { "team": "web", "wharfinger:server": "another" },
    }))
    .unwrap();

    let rebuilt = created_with(&settings).await;

    assert_eq!(
        (&rebuilt["SecurityPolicyName"], &rebuilt["QuantumMode"]),
        (&json!("TransferSecurityPolicy-2025-03"), &json!({ "On": true }))
    );
    let tags = json!([
        { "Key": "team", "Value": "web" },
        { "Key": "wharfinger:deployment", "Value": "harbour" },
        { "Key": "wharfinger:deployment-id", "Value": testing::deployment().id },
        { "Key": "wharfinger:server", "Value": "main" },
    ]);
    assert_eq!(rebuilt["Tags"], tags);
    for member in ["Domain", "EndpointDetails", "EndpointType", "HostKey", "IdentityProviderType", "Protocols"] {
        assert_eq!(rebuilt[member], plain[member], "{member}");
    }
}
