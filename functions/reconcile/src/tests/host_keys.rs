//! Host keys: made once, stored before they are used, given to the server, deleted with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use ssh_key::{Algorithm, LineEnding, PrivateKey};
use wharfinger_aws::secrets::CURRENT;
use wharfinger_chance::Chance;
use wharfinger_decisions::{power::AwsState, rebuild::Lack};

use super::*;
use crate::{error::Error, host_keys::Kind, visit::Visit};

const SECRET: &str = "harbour/servers/main/host-key";

/// The value of a version, by the names of its secret and its label.
type Versions = BTreeMap<(String, String), String>;

/// Secrets Manager and a server's host keys, each of which is known by its private key.
#[derive(Clone, Default)]
pub(super) struct Keys {
    versions: Arc<Mutex<Versions>>,
    /// The ids of versions that PutSecretValue made.
    ids: Arc<Mutex<BTreeSet<String>>>,
    imported: Arc<Mutex<Vec<String>>>,
}

impl Keys {
    /// Answers from now on for `cloud`; imports of a key whose description contains `refused` are refused.
    pub(super) fn answer(&self, cloud: &Cloud, refused: &'static str) {
        let keys = self.clone();
        cloud.answer_with(move |operation, input| keys.answer_to(operation, input, refused));
    }

    pub(super) fn answer_to(&self, operation: &str, input: &Value, refused: &str) -> Option<(u16, Value)> {
        let text = |member: &str| input[member].as_str().unwrap_or_default().to_owned();
        match operation {
            "GetSecretValue" => {
                let version = (text("SecretId"), text("VersionStage"));
                let found = self.versions.lock().unwrap().get(&version).cloned();
                Some(found.map_or_else(|| no("ResourceNotFoundException"), |it| (200, json!({ "SecretString": it }))))
            }
            "CreateSecret" => {
                self.keep(&text("Name"), CURRENT, &text("SecretString"));
                Some((200, json!({ "Name": text("Name") })))
            }
            "PutSecretValue" => Some(self.put(input)),
            "ImportHostKey" if !refused.is_empty() && text("Description").contains(refused) => {
                Some(no("InvalidRequestException"))
            }
            "ImportHostKey" => Some(self.import(text("HostKeyBody"))),
            _ => None,
        }
    }

    /// Keeps a version.
    fn keep(&self, secret: &str, label: &str, value: &str) {
        self.versions.lock().unwrap().insert((secret.into(), label.into()), value.into());
    }

    fn put(&self, input: &Value) -> (u16, Value) {
        let (secret, value) = (input["SecretId"].as_str().unwrap(), input["SecretString"].as_str().unwrap());
        let has_current = self.versions.lock().unwrap().contains_key(&(secret.into(), CURRENT.into()));
        assert!(has_current, "AWS makes the first version the current one");
        let stages = input["VersionStages"].as_array().unwrap();
        let ([label], id) = (&stages[..], input["ClientRequestToken"].as_str().unwrap()) else { panic!("{input}") };
        assert!((32..=64).contains(&id.len()), "{input}");
        if !self.ids.lock().unwrap().insert(id.to_owned()) {
            return no("ResourceExistsException");
        }
        self.keep(secret, label.as_str().unwrap(), value);
        (200, json!({ "VersionId": id }))
    }

    fn import(&self, key: String) -> (u16, Value) {
        let mut imported = self.imported.lock().unwrap();
        if imported.contains(&key) {
            return no("ResourceExistsException");
        }
        assert!(self.versions.lock().unwrap().values().any(|kept| *kept == key), "it is stored before it is used");
        imported.push(key);
        (200, json!({ "ServerId": "s-1", "HostKeyId": "hostkey-1" }))
    }

    /// The names of the secrets, and of the labels.
    fn names(&self) -> Vec<(String, String)> {
        self.versions.lock().unwrap().keys().cloned().collect()
    }

    fn under(&self, label: &str) -> String {
        self.versions.lock().unwrap()[&(SECRET.into(), label.into())].clone()
    }
}

fn no(code: &str) -> (u16, Value) {
    (400, json!({ "__type": code, "message": "no" }))
}

/// A page of host keys: fingerprints as AWS shows them.
pub(super) fn listed(fingerprints: &[&str]) -> Value {
    let key = |fingerprint: &&str| {
        json!({ "Arn": "arn:aws:transfer:us-east-1:000000000000:host-key/s-1/hostkey-1", "HostKeyId": "hostkey-1",
            "Type": "ssh-ed25519", "Fingerprint": format!("{fingerprint}=") })
    };
    json!({ "ServerId": "s-1", "HostKeys": fingerprints.iter().map(key).collect::<Vec<_>>() })
}

async fn import(app: &App, record: &ServerRecord) -> Result<Vec<String>, Error> {
    let server = main();
    let (item, deployment, lease) = (record.clone().into(), testing::deployment(), testing::lease());
    Visit::new(app, &deployment, &server, &lease, &item, invocation(now())).import_missing_host_keys("s-1").await
}

/// The host key of this kind of `main`, which AWS does not have.
pub(super) async fn obtain(app: &App, kind: Kind) -> Result<(String, String), Error> {
    let (server, mut record) = (main(), testing::record());
    record.status.host_key_fingerprints.clear();
    let (item, deployment, lease) = (record.into(), testing::deployment(), testing::lease());
    let visit = Visit::new(app, &deployment, &server, &lease, &item, invocation(now()));
    visit.host_key(kind, &[]).await.map(|(key, fingerprint)| (key.reveal().to_owned(), fingerprint))
}

#[tokio::test]
async fn a_server_gets_one_key_of_each_algorithm_and_the_same_ones_again() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    keys.answer(&cloud, "");
    cloud.answer("ListHostKeys", listed(&["SHA256:stranger"]));

    let fingerprints = import(&app, &record).await.unwrap();

    assert_eq!(keys.names(), [CURRENT, "ecdsa", "rsa"].map(|label| (SECRET.to_owned(), label.to_owned())));
    assert_eq!(keys.imported.lock().unwrap().len(), 3);
    assert_eq!((fingerprints.len(), fingerprints[3].as_str()), (4, "SHA256:stranger"));
    // A list that is out of date: AWS says that it has them.
    assert_eq!(import(&app, &record).await.unwrap(), fingerprints);
    assert_eq!((keys.names().len(), keys.imported.lock().unwrap().len()), (3, 3));
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
    keys.keep(SECRET, CURRENT, "somebody's notes");
    keys.answer(&cloud, "ECDSA");
    cloud.answer("ListHostKeys", listed(&[]));

    let error = import(&app, &record).await.unwrap_err();

    assert!(!error.is_temporary() && error.sentence().contains(SECRET), "{}", error.sentence());
    let imported = keys.imported.lock().unwrap().clone();
    assert_eq!(imported, [keys.under("rsa")], "the RSA key alone");
}

#[tokio::test]
async fn the_key_that_release_0_1_reads_stays_the_only_current_one() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    keys.answer(&cloud, "");
    let first = obtain(&app, Kind::Ed25519).await.unwrap();
    cloud.answer("ListHostKeys", listed(&[]));

    import(&app, &record).await.unwrap();

    assert_eq!(keys.under(CURRENT), first.0);
    let calls = cloud.calls();
    let stored: Vec<&Value> = calls.iter().filter(|(name, _)| name == "PutSecretValue").map(|it| &it.1).collect();
    assert_eq!(
        stored.iter().map(|input| &input["VersionStages"]).collect::<Vec<_>>(),
        [&json!(["ecdsa"]), &json!(["rsa"])]
    );
    assert_ne!(stored[0]["ClientRequestToken"], stored[1]["ClientRequestToken"]);
}

#[tokio::test]
async fn of_two_who_make_a_key_at_the_same_moment_both_use_the_one_that_was_stored_first() {
    let (cloud, app) = cloud_with(&testing::record());
    let keys = Keys::default();
    keys.keep(SECRET, CURRENT, "the first key");
    keys.answer(&cloud, "");
    let stored = obtain(&app, Kind::Ecdsa).await.unwrap();

    // The other one has asked before it was stored, or AWS was late to show it.
    let (answers, is_early) = (keys.clone(), AtomicBool::new(true));
    cloud.answer_with(move |operation, input| {
        let hides = operation == "GetSecretValue" && input["VersionStage"] == "ecdsa" && is_early.swap(false, Relaxed);
        if hides { Some(no("ResourceNotFoundException")) } else { answers.answer_to(operation, input, "") }
    });
    let other = obtain(&app, Kind::Ecdsa).await.unwrap();

    assert_eq!(cloud.count("PutSecretValue"), 2, "each has made one");
    assert_eq!(other, stored);
    assert_eq!(keys.under("ecdsa"), stored.0);
}

#[tokio::test]
async fn no_key_becomes_the_current_one_of_a_secret_that_has_none() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    // Somebody made the secret, and put nothing into it.
    let answers = keys.clone();
    cloud.answer_with(move |operation, input| match operation {
        "CreateSecret" => Some(no("ResourceExistsException")),
        _ => answers.answer_to(operation, input, ""),
    });
    cloud.answer("ListHostKeys", listed(&[]));

    let error = import(&app, &record).await.unwrap_err();

    assert_eq!(cloud.count("PutSecretValue"), 0);
    let told = error.sentence();
    assert!(told.contains(&format!("--secret-id {SECRET} --version-stages AWSCURRENT ")), "{told}");
}

#[tokio::test]
async fn a_label_that_somebody_took_away_is_told_and_no_other_key_takes_its_place() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    keys.answer(&cloud, "");
    cloud.answer("ListHostKeys", listed(&[]));
    import(&app, &record).await.unwrap();
    let rsa = keys.under("rsa");
    keys.versions.lock().unwrap().remove(&(SECRET.to_owned(), "rsa".to_owned()));

    let told = import(&app, &record).await.unwrap_err().sentence();

    assert!(told.contains("--version-stages rsa "), "{told}");
    assert!(!told.contains(rsa.lines().nth(1).unwrap()), "{told}");
    keys.keep(SECRET, "rsa", &rsa);
    assert_eq!(import(&app, &record).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_secret_that_is_about_to_be_deleted_is_restored_once_before_its_keys_are_looked_at() {
    let (cloud, app) = cloud_with(&testing::record());
    let keys = Keys::default();
    keys.keep(SECRET, CURRENT, "the first key");
    let (answers, is_marked) = (keys.clone(), AtomicBool::new(true));
    cloud.answer_with(move |operation, input| match operation {
        "RestoreSecret" => {
            is_marked.store(false, Relaxed);
            Some((200, json!({})))
        }
        "GetSecretValue" if is_marked.load(Relaxed) => {
            let message = "You can't perform this operation on the secret because it was marked for deletion.";
            Some((400, json!({ "__type": "InvalidRequestException", "message": message })))
        }
        _ => answers.answer_to(operation, input, ""),
    });

    let (server, item) = (main(), testing::record().into());
    let (deployment, lease) = (testing::deployment(), testing::lease());
    let visit = Visit::new(&app, &deployment, &server, &lease, &item, invocation(now()));
    let _ = visit.lacks(&testing::server(AwsState::Online), None).await;

    assert_eq!((cloud.count("RestoreSecret"), cloud.count("GetSecretValue")), (1, 4));
}

#[tokio::test]
async fn the_secret_of_all_host_keys_goes_with_the_server() {
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
    let deleted: Vec<_> = deleted.map(|(_, input)| input["SecretId"].as_str().unwrap()).collect();
    assert_eq!(deleted, [SECRET]);
    assert!(app.table.get::<ServerRecord>(&servers::key(&main())).await.unwrap().is_none());
}

/// A private key that somebody made.
fn theirs() -> String {
    let key = PrivateKey::random(&mut Chance::seeded(99).key_generator(), Algorithm::Ed25519).unwrap();
    key.to_openssh(LineEnding::LF).unwrap().to_string()
}

#[tokio::test]
async fn a_key_that_somebody_put_there_first_is_not_used() {
    let (cloud, app) = cloud_with(&testing::record());
    let keys = Keys::default();
    keys.keep(SECRET, CURRENT, &theirs());
    keys.answer(&cloud, "");

    let error = obtain(&app, Kind::Ed25519).await.unwrap_err();

    assert_eq!((error.code(), error.is_temporary()), ("host_key_found", false));
    assert!(error.remedy().contains("--force-delete-without-recovery"), "{}", error.remedy());
    assert_eq!(keys.under(CURRENT), theirs());
}

#[tokio::test]
async fn a_key_that_somebody_put_in_the_place_of_ours_is_not_used() {
    let (cloud, app) = cloud_with(&testing::record());
    let keys = Keys::default();
    keys.answer(&cloud, "");
    let (ours, fingerprint) = obtain(&app, Kind::Ed25519).await.unwrap();
    keys.keep(SECRET, CURRENT, &theirs());
    assert_eq!(obtain(&app, Kind::Ed25519).await.unwrap_err().code(), "host_key_found");
    keys.keep(SECRET, CURRENT, &ours);
    assert_eq!(obtain(&app, Kind::Ed25519).await.unwrap(), (ours, fingerprint));
}

#[tokio::test]
async fn a_key_that_the_server_has_is_taken_for_ours_and_stays_so() {
    let record = testing::record();
    let (cloud, app) = cloud_with(&record);
    let keys = Keys::default();
    keys.keep(SECRET, CURRENT, &theirs());
    keys.answer(&cloud, "");
    let fingerprint = obtain(&app, Kind::Ed25519).await.unwrap_err().sentence();
    let fingerprint = fingerprint.split(['(', ')']).nth(1).unwrap().to_owned();
    cloud.answer("ListHostKeys", listed(&[&fingerprint]));

    assert_eq!(import(&app, &record).await.unwrap()[0], fingerprint);

    assert_eq!(obtain(&app, Kind::Ed25519).await.unwrap(), (theirs(), fingerprint), "also when it sleeps");
}

#[tokio::test]
async fn a_key_whose_storing_was_not_answered_is_known_for_ours() {
    let (cloud, app) = cloud_with(&testing::record());
    let keys = Keys::default();
    let answers = keys.clone();
    cloud.answer_with(move |operation, input| {
        let answer = answers.answer_to(operation, input, "");
        let lost = (500, json!({ "__type": "InternalServiceError", "message": "lost" }));
        if operation == "CreateSecret" { Some(lost) } else { answer }
    });
    assert!(obtain(&app, Kind::Ed25519).await.unwrap_err().is_temporary());
    keys.answer(&cloud, "");
    assert_eq!(obtain(&app, Kind::Ed25519).await.unwrap().0, keys.under(CURRENT));
}

#[tokio::test]
async fn a_server_in_whose_secret_is_a_key_of_others_does_not_sleep() {
    let record = testing::record();
    let (cloud, app) = super::rebuild::whole(&record).await;
    let keys = Keys::default();
    keys.keep(SECRET, "ecdsa", &theirs());
    keys.answer(&cloud, "");
    cloud.answer("ListHostKeys", listed(&[]));
    let (server, item) = (main(), record.into());
    let (deployment, lease) = (testing::deployment(), testing::lease());
    let visit = Visit::new(&app, &deployment, &server, &lease, &item, invocation(now()));
    let lacks = visit.lacks(&testing::server(AwsState::Online), None).await;
    assert!(matches!(&lacks[..], [Lack::HostKeyFound(found)] if found.version.label == "ecdsa"), "{lacks:?}");
}
