//! Host keys: made once, stored before they are used, given to the server, deleted with it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use super::*;
use crate::{host_keys::Kind, visit::Visit};

const SECRET: &str = "harbour/servers/main/host-key";

/// Secrets Manager and a server's host keys, each of which is known by its secret's text.
#[derive(Clone, Default)]
pub(super) struct Keys {
    secrets: Arc<Mutex<BTreeMap<String, String>>>,
    imported: Arc<Mutex<Vec<String>>>,
}

impl Keys {
    /// Answers from now on for `cloud`; imports of a key whose description contains `refused` are refused.
    pub(super) fn answer(&self, cloud: &Cloud, refused: &'static str) {
        let keys = self.clone();
        cloud.answer_with(move |operation, input| keys.answer_to(operation, input, refused));
    }

    fn answer_to(&self, operation: &str, input: &Value, refused: &str) -> Option<(u16, Value)> {
        let (mut secrets, mut imported) = (self.secrets.lock().unwrap(), self.imported.lock().unwrap());
        let text = |member: &str| input[member].as_str().unwrap_or_default().to_owned();
        let no = |code: &str| Some((400, json!({ "__type": code, "message": "no" })));
        match operation {
            "GetSecretValue" => match secrets.get(&text("SecretId")) {
                Some(secret) => Some((200, json!({ "SecretString": secret }))),
                None => no("ResourceNotFoundException"),
            },
            "CreateSecret" => {
                secrets.insert(text("Name"), text("SecretString"));
                Some((200, json!({ "Name": text("Name") })))
            }
            "ImportHostKey" if !refused.is_empty() && text("Description").contains(refused) => {
                no("InvalidRequestException")
            }
            "ImportHostKey" if imported.contains(&text("HostKeyBody")) => no("ResourceExistsException"),
            "ImportHostKey" => {
                assert!(
                    secrets.values().any(|secret| *secret == text("HostKeyBody")),
                    "it is stored before it is used"
                );
                imported.push(text("HostKeyBody"));
                Some((200, json!({ "ServerId": "s-1", "HostKeyId": "hostkey-1" })))
            }
            _ => None,
        }
    }
}

/// A page of host keys: fingerprints as AWS shows them.
pub(super) fn listed(fingerprints: &[&str]) -> Value {
    let key = |fingerprint: &&str| {
        json!({ "Arn": "arn:aws:transfer:us-east-1:000000000000:host-key/s-1/hostkey-1", "HostKeyId": "hostkey-1",
            "Type": "ssh-ed25519", "Fingerprint": format!("{fingerprint}=") })
    };
    json!({ "ServerId": "s-1", "HostKeys": fingerprints.iter().map(key).collect::<Vec<_>>() })
}

async fn import(app: &App, record: &ServerRecord) -> Result<Vec<String>, crate::error::Error> {
    let server = main();
    Visit::new(app, &server, &record.clone().into(), invocation(now())).import_missing_host_keys("s-1").await
}

#[tokio::test]
async fn a_server_gets_one_key_of_each_algorithm_and_the_same_ones_again() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    keys.answer(&cloud, "");
    cloud.answer("ListHostKeys", listed(&["SHA256:stranger"]));

    let fingerprints = import(&app, &record).await.unwrap();

    let names: Vec<String> = keys.secrets.lock().unwrap().keys().cloned().collect();
    assert_eq!(names, [SECRET.to_owned(), format!("{SECRET}-ecdsa"), format!("{SECRET}-rsa")]);
    assert_eq!(keys.imported.lock().unwrap().len(), 3);
    assert_eq!((fingerprints.len(), fingerprints[3].as_str()), (4, "SHA256:stranger"));
    // A list that is out of date: AWS says that it has them.
    assert_eq!(import(&app, &record).await.unwrap(), fingerprints);
    assert_eq!((keys.secrets.lock().unwrap().len(), keys.imported.lock().unwrap().len()), (3, 3));
}

#[tokio::test]
async fn only_what_is_missing_is_imported_wherever_in_the_list_it_is() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    keys.answer(&cloud, "");
    cloud.answer("ListHostKeys", listed(&[]));
    let ours = import(&app, &record).await.unwrap();
    let _ = cloud.calls();

    let mut pages = [listed(&[&ours[0]]), listed(&[&ours[2]])];
    pages[0]["NextToken"] = "more".into();
    let answers = keys.clone();
    cloud.answer_with(move |operation, input| {
        let page = usize::from(input["NextToken"] == "more");
        let listed = (operation == "ListHostKeys").then(|| (200, pages[page].clone()));
        listed.or_else(|| answers.answer_to(operation, input, ""))
    });
    assert_eq!(import(&app, &record).await.unwrap(), ours);

    assert_eq!(cloud.count("ListHostKeys"), 2);
    let imports: Vec<Value> =
        cloud.calls().into_iter().filter(|(name, _)| name == "ImportHostKey").map(|it| it.1).collect();
    assert_eq!(imports.len(), 1);
    assert_eq!(imports[0]["Description"], "ECDSA of Wharfinger's server main");
}

#[tokio::test]
async fn a_key_that_is_refused_holds_up_no_other() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    keys.secrets.lock().unwrap().insert(SECRET.into(), "somebody's notes".into());
    keys.answer(&cloud, "ECDSA");
    cloud.answer("ListHostKeys", listed(&[]));

    let error = import(&app, &record).await.unwrap_err();

    assert!(!error.is_temporary() && error.sentence().contains(SECRET), "{}", error.sentence());
    let imported = keys.imported.lock().unwrap().clone();
    assert_eq!(imported, [keys.secrets.lock().unwrap()[&format!("{SECRET}-rsa")].clone()], "the RSA key alone");
}

#[tokio::test]
async fn all_host_keys_go_with_the_server() {
    let record = ServerRecord { deleting: true, ..testing::record() };
    let (cloud, app) = cloud_with(&record);
    cloud.answer_with(|operation, _| {
        (operation == "DescribeServer")
            .then(|| (400, json!({ "__type": "ResourceNotFoundException", "message": "Unknown server" })))
    });
    cloud.answer("DescribeSecurityGroupRules", rules(&[]));
    cloud.answer("DeleteSecret", json!({}));

    deliver(&app, "one", invocation(now())).await;

    let calls = cloud.calls();
    let deleted = calls.iter().filter(|(name, _)| name == "DeleteSecret");
    let mut deleted: Vec<_> = deleted.map(|(_, input)| input["SecretId"].as_str().unwrap().to_owned()).collect();
    deleted.sort();
    let server = main();
    assert_eq!(deleted, Kind::ALL.map(|kind| kind.secret_name(&app, &server)));
    assert!(app.table.get::<ServerRecord>(&servers::key(&server)).await.unwrap().is_none());
}
