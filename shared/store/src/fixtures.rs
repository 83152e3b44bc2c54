//! Items as released versions wrote them, in DynamoDB's JSON: `fixtures/previous` are those of the release before this
//! one, `fixtures/present` what this one writes. With `FIXTURES=write` the tests write the latter anew.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    cidr::Cidr,
    condition::{Condition, Severity},
    diff::Difference,
    drift::{Comparison, NOT_MOUNTED, Repair},
    duration::HumanDuration,
    idle::Action,
    names::{ServerName, SiteName},
    rollout::{Failure, Rollout, Trigger, Wanted},
    seen_events::SeenEvents,
    server::{Asleep, Power, ServerPhase, ServerStatus},
    sftp_event::{Change, Effect},
    site::{Drift, SiteSpec},
};
use wharfinger_test_cloud::{Cloud, TABLE};

use crate::{
    activity::Activity,
    item::read,
    lease::Claim,
    record::{Record, WrittenRecord},
    rollouts::RolloutRecord,
    servers::{self, ServerItem},
    sites::SiteRecord,
    stored::{FORMAT, Intent},
    table::{Attributes, Table},
    users::UserRecord,
    windows::{WindowRecord, old_place::OldPlace},
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
    assert_eq!((rollout.tries, rollout.version, rollout.rollout.cause.summary.changes), (1, 5, 2));
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
    is_present(name, &serde_json::to_value(&item).unwrap());
    assert_eq!(of::<Record<I, S>>("present", name), *record, "{name}");
}

/// That the fixture `name` has `item`, which this version wrote.
#[track_caller]
fn is_present(name: &str, item: &Value) {
    if std::env::var("FIXTURES").as_deref() == Ok("write") {
        std::fs::write(path("present", name), format!("{item:#}\n")).unwrap();
    }
    assert_eq!(serde_json::to_value(fixture("present", name)).unwrap(), *item, "{name}");
}

#[test]
fn this_version_writes_its_fixtures_and_reads_them() {
    is_written("server", &of::<ServerItem>("previous", "server").record);
    is_written("user", &of::<UserRecord>("previous", "user"));
    is_written("site", &site());
    let site: SiteRecord = of("previous", "site");
    let spec = SiteSpec {
        container: None,
        mount_path: None,
        mounts: site.intent.places(),
        drift: Drift::Report,
        verdict_after: Some(HumanDuration::from_secs(7_200)),
        ..site.intent
    };
    is_written("site-mounts", &SiteRecord { intent: spec, ..site });
}

#[tokio::test]
async fn this_version_writes_its_fixture_of_a_server_that_sleeps_and_reads_it() {
    let cloud = Cloud::new();
    let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, Chance::seeded(1));
    let mut item = serde_json::to_value(fixture("present", "server")).unwrap();
    (item["pk"], item["sk"]) = (json!({ "S": servers::PARTITION }), json!({ "S": "main" }));
    cloud.put(&item);
    let (server, since) = (ServerName::parse("main").unwrap(), "2026-01-01T00:05:00Z".parse().unwrap());
    let settings = json!({ "members": { "PreAuthenticationLoginBanner": "ahoy" }, "tags": { "team": "web" } });
    let asleep = Asleep { since, settings: serde_json::from_value(settings).unwrap() };
    let status = ServerStatus { power: ServerPhase::Stopped, ..ServerStatus::default() };

    let claim = table.lease(&servers::key(&server), "a visit", since, SignedDuration::from_mins(1)).await.unwrap();
    let Claim::Taken(lease) = claim else { panic!("it is free") };
    let record_id = table.give_record_id(&lease).await.unwrap();
    table.write_server_status(&lease, &status, Some(&asleep)).await.unwrap();
    table.release_lease(&lease, &lease.armed).await.unwrap();

    is_present("server-asleep", &cloud.item(servers::PARTITION, "main").unwrap());
    let read: ServerItem = of("present", "server-asleep");
    assert_eq!((read.phase(), read.asleep, read.record_id), (ServerPhase::Asleep, Some(asleep), Some(record_id)));
}

/// What the previous release wrote, and all that this one knows beside.
fn site() -> SiteRecord {
    let mut record: SiteRecord = of("previous", "site");
    let finish = json!({"quiet_period": "1m", "max_wait": "15m", "marker": ".deploy", "hold_partial_for": "30m",
        "min_interval": "1h", "ignore": ["*.tmp"], "freeze": ["Fri 16:00 - Mon 08:00"], "time_zone": "Europe/Berlin"});
    record.intent.finish = serde_json::from_value(finish).unwrap();
    SiteRecord { intent: SiteSpec { approval: true, ..record.intent }, ..record }
}

/// What the previous release wrote, and all that this one knows beside.
fn window() -> WindowRecord {
    let mut record: WindowRecord = of("previous", "window");
    record.window.opened = record.window.first_change;
    (record.window.claimed_at, record.window.covered_until) = (record.window.opened, record.window.opened);
    let at = "2026-01-01T00:00:00Z";
    let word = json!({
        "hold": {"until": "2026-01-02T00:00:00Z", "reason": "the sale", "by": "anonymous", "at": at},
        "order": {"id": "2", "reason": "it failed", "by": "anonymous", "at": at, "undoes": "1"},
        "cancellation": {"rollout": "1", "by": "anonymous", "at": at},
    });
    record.word = serde_json::from_value(word).unwrap();
    record.rollout_spec = Some(of::<SiteRecord>("previous", "site").intent);
    let at = "2026-01-01T00:00:30Z".parse().unwrap();
    record.wanted = Some(Wanted { trigger: Trigger::Drift, reason: "another deployed it without".into(), at });
    record.waits = Some("it follows the rollout of docs".into());
    record.compared = Some(Comparison {
        at,
        spec_version: 3,
        task_definition: Some("arn:aws:ecs:us-east-1:000000000000:task-definition/web:3".into()),
        condition: Some(Condition {
            code: NOT_MOUNTED.into(),
            severity: Severity::Error,
            message: "web:3 runs without the site".into(),
            remedy: String::new(),
            since: at,
        }),
        repairs: vec![Repair { at, against: "arn:aws:iam::000000000000:role/ci".into() }],
    });
    WindowRecord { version: 0, ..record }
}

#[tokio::test]
async fn this_version_writes_its_fixtures_of_windows_rollouts_and_activity_and_reads_them() {
    let cloud = Cloud::new();
    let table = Table::new(aws_sdk_dynamodb::Client::new(&cloud.sdk()), TABLE, Chance::seeded(1));
    let (site, now) = (SiteName::parse("blog").unwrap(), "2026-01-01T00:01:00Z".parse().unwrap());

    let window = window();
    let change = Change {
        event: 9,
        at: now,
        dated: true,
        file: "index.html".into(),
        effect: Effect::Whole,
        bytes: 1,
        user: None,
        marker: false,
    };
    let seen = window.window.clone().absorb(&SeenEvents::default(), &[change], now).events;
    let window = table.count(&site, &window, &seen, now).await.unwrap();
    is_present("window", &cloud.item("WINDOW#blog", "current").unwrap());
    assert_eq!(of::<WindowRecord>("present", "window"), WindowRecord { old: OldPlace::Absent, ..window.clone() });

    let known: RolloutRecord = of("previous", "rollout");
    let spec = of::<SiteRecord>("previous", "site").intent;
    let turns = table.turns(&spec).await.unwrap();
    let docs = SiteName::parse("docs").unwrap();
    let turns = turns.with(turns.turns.queued(&docs, now).taken(&site, &known.rollout.id));
    table.claim(&window, &turns, &RolloutRecord::begun(known.rollout.clone(), now)).await.unwrap();
    is_present("turns", &cloud.item("TURNS#local/web", "current").unwrap());
    assert_eq!(table.turns(&spec).await.unwrap().turns, turns.turns);
    let claimed = table.rollout_record(&site, &known.rollout.id).await.unwrap().unwrap();
    let rollout = RolloutRecord {
        version: claimed.version,
        expires_at: claimed.expires_at,
        left: spec.places(),
        spec: Some(spec),
        outdated: Some("arn:aws:ecs:us-east-1:000000000000:task-definition/web:2".into()),
        base_since: Some(now),
        paused_since: Some(now),
        rollout: Rollout {
            failure: Some(Failure::Tasks),
            spec_version: Some(3),
            undoes: Some("1".into()),
            broken_off_by: Some("anonymous".into()),
            changes: vec![Difference { path: "/cpu".into(), before: json!("256"), after: json!(null) }],
            ..known.rollout.clone()
        },
        ..known
    };
    let rollout = table.write_rollout(&rollout).await.unwrap();
    is_present("rollout", &cloud.item("ROLLOUTS#blog", &rollout.rollout.id).unwrap());
    assert_eq!(of::<RolloutRecord>("present", "rollout"), rollout);

    table.note_activity("s-0a1b2c3d4e5f60718", now).await.unwrap();
    is_present("activity", &cloud.item("ACTIVITY", "s-0a1b2c3d4e5f60718").unwrap());
    assert_eq!(of::<Activity>("present", "activity"), of::<Activity>("previous", "activity"));
}
