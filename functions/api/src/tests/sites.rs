//! Sites and rollouts.

use serde_json::{Value, json};
use wharfinger_decisions::{
    names::SiteName,
    rollout::{Rollout, State},
    window::Window,
};
use wharfinger_store::{rollouts::RolloutRecord, windows::WindowRecord};

use super::{furnished, site, with};
use crate::testing::Stage;

async fn roll_out(stage: &Stage, id: &str) {
    let site = SiteName::parse("blog").unwrap();
    let window = stage.table.window(&site).await.unwrap();
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let rollout = Rollout {
        id: id.into(),
        site,
        state: State::Claimed,
        reason: "the window is over".into(),
        cause: Window::default().cause("nothing has changed for 1m".into()),
        task_definition: Default::default(),
        deployment_id: None,
        started_at: at,
        finished_at: None,
        failure: None,
        spec_version: None,
        undoes: None,
        broken_off_by: None,
        changes: Vec::new(),
    };
    let spec = serde_json::from_value(super::site()).unwrap();
    let turns = stage.table.turns(&spec).await.unwrap();
    let window = WindowRecord { rollout: Some(id.into()), ..window };
    stage.table.claim(&window, &turns, &RolloutRecord::begun(rollout, at)).await.unwrap();
}

#[tokio::test]
async fn a_site_shows_defaults_window_and_rollout() {
    let stage = furnished().await;
    let blog = stage.get("GET /v1/sites/blog").await.expect(200).body;
    assert_eq!(blog["spec"]["finish"]["quiet_period"], "1m");
    assert_eq!(blog["spec"]["keep_revisions"], 10);
    assert_eq!((&blog["status"]["window"]["state"], &blog["status"]["rollout"]), (&json!("empty"), &Value::Null));
    assert_eq!(stage.get("GET /v1/sites").await.expect(200).body["items"][0], blog);
}

#[tokio::test]
async fn a_directory_and_a_mount_belong_to_one_site() {
    let stage = furnished().await;
    let second = with(site(), "/mount_path", json!("/second"));
    let answer = stage.ask("PUT /v1/sites/second", &second).await.expect(409);
    assert_eq!((answer.problem(), &answer.body["field"]), ("taken", &json!("/directory")));
    let second = with(site(), "/directory", json!("/sites/second"));
    let answer = stage.ask("PUT /v1/sites/second", &second).await.expect(409);
    assert_eq!(answer.body["field"], "/mount_path");
    stage.ask("PUT /v1/sites/second", &with(second, "/container", json!("side"))).await.expect(201);
}

#[tokio::test]
async fn a_site_that_users_see_stays_and_its_move_wakes_their_server() {
    let stage = furnished().await;
    let answer = stage.get("DELETE /v1/sites/blog").await.expect(409);
    assert!(answer.body["detail"].as_str().unwrap().contains("alice on main"), "{}", answer.body);
    let elsewhere = with(site(), "/file_system_id", json!("fs-1a1b2c3d4e5f60718"));
    assert_eq!(stage.ask("PUT /v1/sites/blog", &elsewhere).await.expect(409).problem(), "in-use");
    assert!(stage.messages().is_empty());
    stage.ask("PUT /v1/sites/blog", &with(site(), "/directory", json!("/sites/new"))).await.expect(200);
    assert_eq!(stage.messages(), [json!({"site": "blog"}), json!({"server": "main"})]);
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    stage.get("DELETE /v1/sites/blog").await.expect(204);
    stage.get("GET /v1/sites/blog").await.expect(404);
    stage.get("DELETE /v1/sites/blog").await.expect(404);
}

#[tokio::test]
async fn rollouts_come_latest_first_and_hold_their_site() {
    let stage = furnished().await;
    let blog = "GET /v1/sites/blog/rollouts";
    assert_eq!(stage.get(blog).await.expect(200).body, json!({"items": [], "next": null}));
    let ids = ["01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"];
    for id in ids {
        roll_out(&stage, id).await;
    }
    let first = stage.get(&format!("{blog}?limit=1")).await.expect(200).body;
    assert_eq!(first["items"][0]["id"], ids[1]);
    let last = stage.get(&format!("{blog}?limit=1&after={}", first["next"].as_str().unwrap())).await.expect(200).body;
    assert_eq!((&last["items"][0]["id"], &last["next"]), (&json!(ids[0]), &Value::Null));
    assert_eq!(stage.get(&format!("{blog}/{}", ids[0])).await.expect(200).body["state"], "claimed");
    assert_eq!(stage.get("GET /v1/sites/blog").await.expect(200).body["status"]["rollout"]["id"], ids[1]);
    for missing in [format!("{blog}/{}", "x".repeat(3000)), format!("{blog}/x"), "GET /v1/sites/none/rollouts".into()] {
        stage.get(&missing).await.expect(404);
    }
    stage.get("DELETE /v1/servers/main/users/alice").await.expect(202);
    let answer = stage.get("DELETE /v1/sites/blog").await.expect(409);
    assert!(answer.body["detail"].as_str().unwrap().contains(ids[1]), "{}", answer.body);
}

#[tokio::test]
async fn a_site_is_mounted_in_several_places_and_each_is_its_own() {
    let stage = furnished().await;
    let place = |container: &str, path: &str| json!({"container": container, "path": path, "read_only": true});
    let mut second = with(with(site(), "/directory", json!("/second")), "/mounts", json!([place("web", "/second")]));
    let refused = stage.ask("PUT /v1/sites/second", &second).await.expect(422);
    assert_eq!(refused.body["field"], "/mounts");
    for field in ["container", "mount_path"] {
        second.as_object_mut().unwrap().remove(field);
    }
    stage.ask("PUT /v1/sites/second", &second).await.expect(201);
    let taken = json!([place("web", "/third"), place("web", "/second")]);
    let third = with(with(second.clone(), "/directory", json!("/third")), "/mounts", taken);
    let refused = stage.ask("PUT /v1/sites/third", &third).await.expect(409);
    assert_eq!(refused.body["field"], "/mounts");
    let shown = stage.get("GET /v1/sites/second").await.expect(200).body;
    assert_eq!(shown["spec"]["mounts"], json!([place("web", "/second")]));
    assert!(shown["spec"].get("container").is_none());
}

#[tokio::test]
async fn a_site_shows_what_it_waits_for_and_what_is_not_as_wanted() {
    let stage = furnished().await;
    let site = SiteName::parse("blog").unwrap();
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut window = stage.table.window(&site).await.unwrap();
    (window.window.seq, window.window.first_change, window.window.last_change) = (1, Some(at), Some(at));
    window.waits = Some("it follows the site docs".into());
    let condition = json!({"code": "not_mounted", "severity": "error", "message": "gone", "since": at});
    let compared = json!({"at": at, "spec_version": 1, "condition": condition});
    window.compared = serde_json::from_value(compared).unwrap();
    stage.table.write_window(&site, &window).await.unwrap();
    let status = stage.get("GET /v1/sites/blog").await.expect(200).body["status"].clone();
    assert_eq!(status["window"]["state"], "queued");
    assert_eq!(status["window"]["reason"], "nothing has changed for 1m; it follows the site docs");
    assert_eq!(status["conditions"][0]["code"], "not_mounted");
}
