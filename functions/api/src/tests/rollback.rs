//! The release before this one reads what this one wrote, so that it can be deployed again.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wharfinger_decisions::{
    condition::{Condition, Severity},
    deployment::OtherServer,
    names::{ServerName, SiteName},
    rollout::{Cause, Revisions, Rollout, State},
    seen_events::SeenEvents,
    server::{Asleep, Draining, ServerPhase, ServerStatus},
    settings::Settings,
    sftp_event::{Change, Effect},
};
use wharfinger_previous as previous;
use wharfinger_store::{
    rollouts::RolloutRecord,
    servers::{self, ServerItem},
    table::Key,
};

use super::{furnished, server, site, user, with};

fn condition() -> Condition {
    Condition {
        code: "address_missing".into(),
        severity: Severity::Error,
        message: "an Elastic IP is gone".into(),
        remedy: "give another one".into(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

#[tokio::test]
async fn the_previous_release_reads_what_this_one_wrote() {
    let stage = furnished().await;
    let name = ServerName::parse("main").unwrap();
    let since = "2026-01-01T00:00:00Z".parse().unwrap();
    let other = OtherServer { server_id: "s-1".into(), deployment: "another".into() };
    let status = ServerStatus {
        power: ServerPhase::Online,
        conditions: vec![condition()],
        draining: Some(Draining { since, users: vec!["alice".into()], until: Some(since) }),
        keyed: Some("s-1".into()),
        other_deployment: Some(other.clone()),
        obeyed: Some(since),
        ..ServerStatus::default()
    };
    let asleep = Asleep { since, settings: Settings::default() };
    stage.show(&name, &status, Some(&asleep)).await;
    stage.ask("PUT /v1/servers/main", &with(server(), "/idle", Value::Null)).await.expect(200);
    stage.get("POST /v1/servers/main/sleep").await.expect(202);
    stage.get("POST /v1/servers/main/adopt").await.expect(202);
    stage.ask("PUT /v1/sites/blog", &with(site(), "/keep_revisions", json!(5))).await.expect(200);
    stage.plant("SITES", "odd", &json!({"version": "strange"})).await;
    let second = with(with(site(), "/directory", json!("/second")), "/mount_path", json!("/second"));
    stage.ask("PUT /v1/sites/odd", &second).await.expect(200);
    stage.plant("USERS#main", "odd", &json!({})).await;
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);

    let server: previous::ServerItem = read(&stage.table, "SERVERS", "main").await;
    assert_eq!((server.record.version, server.record.status.power), (2, previous::server::ServerPhase::Online));
    assert_eq!(server.record.intent.power.power, previous::server::Power::Stopped);
    let blog: previous::SiteRecord = read(&stage.table, "SITES", "blog").await;
    assert_eq!(blog.intent.keep_revisions, 5);
    let odd: previous::SiteRecord = read(&stage.table, "SITES", "odd").await;
    assert_eq!(odd.intent.mount_path.as_str(), "/second", "what was replaced can be read again");
    let alice: previous::UserRecord = read(&stage.table, "USERS#main", "alice").await;
    assert!(alice.deleting && alice.intent.public_keys.len() == 1);
}

#[tokio::test]
async fn what_a_server_is_rebuilt_from_outlives_the_previous_release() {
    let stage = furnished().await;
    let (name, since) = (ServerName::parse("main").unwrap(), "2026-01-01T00:00:00Z".parse().unwrap());
    let settings: Settings = serde_json::from_value(json!({
        "members": { "SecurityPolicyName": "TransferSecurityPolicy-2025-03" }, "tags": { "team": "web" },
    }))
    .unwrap();
    let asleep = Asleep { since, settings };
    let stopped = ServerStatus { power: ServerPhase::Stopped, ..ServerStatus::default() };
    stage.show(&name, &stopped, Some(&asleep)).await;

    // It reads the whole item by its own types, and writes the status alone.
    let seen: previous::ServerItem = read(&stage.table, "SERVERS", "main").await;
    stage.table.write_status(&servers::key(&name), &seen.record.status).await.unwrap();

    let item: ServerItem = read(&stage.table, "SERVERS", "main").await;
    assert_eq!((item.phase(), item.asleep), (ServerPhase::Asleep, Some(asleep)));
}

#[tokio::test]
async fn the_previous_release_reads_windows_rollouts_and_activity_that_this_one_wrote() {
    let stage = furnished().await;
    let (table, site, now) = (&stage.table, SiteName::parse("blog").unwrap(), "2026-01-01T00:00:00Z".parse().unwrap());
    let change = |event| Change {
        dated: true,
        event,
        at: now,
        file: format!("page-{event}.html"),
        effect: Effect::Whole,
        bytes: 10,
        user: Some("alice".into()),
        marker: false,
    };
    let mut window = table.window_to_change(&site, now).await.unwrap();
    let absorbed = window.window.absorb(&SeenEvents::default(), &[change(1), change(2)], now);
    let mut window = table.count(&site, &window, &absorbed.events, now).await.unwrap();
    let old: previous::window::WindowRecord = read(table, "WINDOWS", "blog").await;
    assert_eq!((old.window.seq, old.window.claimed_seq, old.window.last_change), (2, 0, Some(now)));

    let rollout = rollout(&site, window.window.cause("nothing has changed for 1m".into()), now);
    window.rollout = Some(rollout.id.clone());
    let turns = table.turns(&serde_json::from_value(super::site()).unwrap()).await.unwrap();
    table.claim(&window, &turns, &RolloutRecord::begun(rollout.clone(), now)).await.unwrap();
    for state in STATES {
        let mut record = table.rollout_record(&site, &rollout.id).await.unwrap().unwrap();
        record.rollout.state = state;
        record.leased_until = Some(now);
        let written = table.write_rollout(&record).await.unwrap();
        let old: previous::rollout::RolloutRecord = read(table, "ROLLOUTS#blog", &rollout.id).await;
        assert_eq!((old.version, old.leased_until), (written.version, Some(now)));
        assert_eq!(serde_json::to_value(&old.rollout).unwrap(), serde_json::to_value(&written.rollout).unwrap());
    }

    table.note_activity("s-0a1b2c3d4e5f60718", now).await.unwrap();
    let old: previous::activity::Activity = read(table, "ACTIVITY", "s-0a1b2c3d4e5f60718").await;
    assert_eq!(old.last_event, now);
}

/// All of them.
const STATES: [State; 8] = [
    State::Claimed,
    State::Registering,
    State::Registered,
    State::Deploying,
    State::Succeeded,
    State::Failed,
    State::RolledBack,
    State::Superseded,
];

fn rollout(site: &SiteName, cause: Cause, now: Timestamp) -> Rollout {
    Rollout {
        id: "01890000-0000-7000-8000-000000000001".into(),
        site: site.clone(),
        state: State::Claimed,
        reason: "the window is over".into(),
        cause,
        task_definition: Revisions { before: Some("web:1".into()), after: Some("web:2".into()) },
        deployment_id: Some("ecs-svc/1".into()),
        started_at: now,
        finished_at: Some(now),
        failure: None,
        spec_version: None,
        undoes: None,
        broken_off_by: None,
        changes: Vec::new(),
    }
}

async fn read<T: DeserializeOwned>(table: &wharfinger_store::table::Table, pk: &str, sk: &str) -> T {
    table.get(&Key::new(pk, sk)).await.unwrap().unwrap()
}

#[test]
fn the_previous_release_is_as_strict_as_it_was() {
    let spec = with(user(), "/site", json!("Blog"));
    assert!(serde_json::from_value::<previous::user::UserSpec>(spec).is_err());
    assert!(serde_json::from_value::<previous::site::SiteSpec>(with(site(), "/new", json!(1))).is_err());
}
