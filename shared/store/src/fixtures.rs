//! Items as released versions wrote them, in DynamoDB's JSON: `fixtures/previous` are those of the release before this
//! one, `fixtures/present` what this one writes. With `FIXTURES=write` the tests write the latter anew.

use std::path::PathBuf;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wharfinger_decisions::{cidr::Cidr, idle::Action, server::Power};

use crate::{
    record::{Record, WrittenRecord},
    rollouts::RolloutRecord,
    servers::ServerItem,
    sites::SiteRecord,
    stored::{FORMAT, Intent},
    table::{Attributes, read},
    users::UserRecord,
    windows::WindowRecord,
};

fn path(release: &str, name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", release, &format!("{name}.json")].iter().collect()
}

fn fixture(release: &str, name: &str) -> serde_dynamo::Item {
    serde_json::from_slice(&std::fs::read(path(release, name)).unwrap()).unwrap()
}

#[track_caller]
fn of<T: DeserializeOwned>(release: &str, name: &str) -> T {
    let item: Attributes = fixture(release, name).into();
    read(item).unwrap_or_else(|unreadable| panic!("{name}: {unreadable}"))
}

#[test]
fn servers_of_the_previous_release_are_read() {
    let server: ServerItem = of("previous", "server");
    let (record, spec) = (&server.record, &server.record.intent.spec);
    assert_eq!((record.version, record.deleting, record.status.settled_version), (3, false, 3));
    assert_eq!(spec.network.allowed_cidrs, [Cidr::parse("203.0.113.0/24").unwrap()]);
    assert_eq!(spec.idle.unwrap().after.to_string(), "30m");
    assert_eq!(record.status.endpoint.as_ref().unwrap().host, "198.51.100.7");
    assert_eq!((server.decision.unwrap().action, server.armed.tries), (Action::Keep, 2));
    assert_eq!(record.condition(), None);
    let leaving: ServerItem = of("previous", "server-deleting");
    assert!(leaving.record.deleting);
    assert_eq!(leaving.record.intent.power.power, Power::Stopped);
}

#[test]
fn users_and_sites_of_the_previous_release_are_read() {
    let user: UserRecord = of("previous", "user");
    assert_eq!(
        (user.intent.site.as_ref().unwrap().as_str(), user.intent.posix.secondary_gids.as_slice()),
        ("blog", &[2000][..])
    );
    assert!(user.intent.public_keys[0].to_string().ends_with(" alice@laptop"));
    let root: UserRecord = of("previous", "user-root");
    assert_eq!(root.intent.directory.unwrap().as_str(), "/home/root");
    let site: SiteRecord = of("previous", "site");
    assert_eq!((site.intent.keep_revisions, site.intent.finish.marker.as_deref()), (5, Some(".deploy")));
    assert_eq!((user.condition(), site.condition()), (None, None));
}

#[test]
fn windows_and_rollouts_of_the_previous_release_are_read() {
    let window: WindowRecord = of("previous", "window");
    assert!(window.window.is_open() && window.rollout.is_some());
    let rollout: RolloutRecord = of("previous", "rollout");
    assert_eq!((rollout.looks, rollout.version, rollout.rollout.cause.summary.changes), (1, 5, 2));
}

/// That this version writes `record` as the fixture `name` has it, and reads it back.
#[track_caller]
fn is_written<I, S>(name: &str, record: &Record<I, S>)
where
    I: Intent + DeserializeOwned + PartialEq + std::fmt::Debug,
    S: Serialize + DeserializeOwned + Default + PartialEq + std::fmt::Debug,
{
    let written = WrittenRecord { record, format: FORMAT, written_by: "00000000000000000000000000000001" };
    let item: serde_dynamo::Item = serde_dynamo::to_item(&written).unwrap();
    let json: Value = serde_json::to_value(&item).unwrap();
    if std::env::var("FIXTURES").as_deref() == Ok("write") {
        std::fs::write(path("present", name), format!("{json:#}\n")).unwrap();
    }
    assert_eq!(serde_json::to_value(fixture("present", name)).unwrap(), json, "{name}");
    assert_eq!(of::<Record<I, S>>("present", name), *record, "{name}");
}

#[test]
fn this_version_writes_its_fixtures_and_reads_them() {
    is_written("server", &of::<ServerItem>("previous", "server").record);
    is_written("user", &of::<UserRecord>("previous", "user"));
    is_written("site", &of::<SiteRecord>("previous", "site"));
}
