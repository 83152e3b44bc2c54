//! Rollouts in a person's hand: now, broken off, back, not for a while, and only when somebody says so.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{LocalRegion, blog, brisk, server};

/// Sends an order, which is taken.
pub(crate) async fn order(local: &LocalRegion, path: &str) -> anyhow::Result<Value> {
    let said = json!({ "reason": "somebody wants to see it" });
    local.api.ask(Method::POST, &format!("/v1/sites/blog/rollouts{path}"), Some(&said)).await?.taken(path)
}

async fn running(local: &LocalRegion) -> String {
    let asked = json!({ "cluster": "local", "services": ["web"] });
    let services = local.region.call("ecs", "DescribeServices", asked).await.expect("ECS answers");
    services["services"][0]["taskDefinition"].as_str().unwrap_or_default().to_owned()
}

async fn until_window(local: &LocalRegion, state: &str) -> Value {
    local
        .until(&format!("the window is {state}"), || async {
            let window = local.api.get("/v1/sites/blog").await?.taken("site")?["status"]["window"].clone();
            Ok((window["state"] == state).then_some(window))
        })
        .await
}

async fn until_rollout(local: &LocalRegion, id: &Value, state: &str) -> Value {
    let path = format!("/v1/sites/blog/rollouts/{}", id.as_str().unwrap_or_default());
    local
        .until(&format!("the rollout {id} is {state}"), || async {
            let rollout = local.api.get(&path).await?.taken("rollout")?;
            Ok((rollout["state"] == state).then_some(rollout))
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_rolls_out_now_and_goes_back() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"one").await.unwrap();
    local.until_rolled_out("succeeded").await;
    let before = running(&local).await;

    let forecast = order(&local, "?dry_run=true").await.unwrap();
    assert_eq!((&forecast["would"], &forecast["revision"]["before"]), (&json!("create"), &json!(before)));
    let ordered = order(&local, "").await.unwrap();
    let done = until_rollout(&local, &ordered["id"], "succeeded").await;
    assert_eq!((&done["cause"]["trigger"], &done["task_definition"]["before"]), (&json!("order"), &json!(before)));
    assert!(done["changes"].to_string().contains("WHARFINGER_ROLLOUT"), "{done}");
    assert_ne!(running(&local).await, before);

    let id = done["id"].as_str().unwrap();
    let back = order(&local, &format!("/{id}/rollback")).await.unwrap();
    let back = until_rollout(&local, &back["id"], "succeeded").await;
    assert_eq!((&back["undoes"], running(&local).await), (&json!(id), before));
    assert_eq!(local.page("/").await, "one");
    alice.log_out().await.unwrap();
    assert_eq!(local.region.calls().refused(), [], "a function was refused what it needs");
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_gather_while_a_site_is_held_frozen_or_unapproved() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    let until = (Timestamp::now() + SignedDuration::from_hours(1)).to_string();
    local.api.put("/v1/sites/blog/hold", &json!({ "until": until, "reason": "the sale" })).await.unwrap();
    alice.put("index.html", b"held").await.unwrap();
    let window = until_window(&local, "on_hold").await;
    assert!(window["reason"].as_str().unwrap().contains("the sale"), "{window}");
    assert_eq!(local.calls("ecs", "UpdateService"), 0);
    local.api.ask(Method::DELETE, "/v1/sites/blog/hold", None).await.unwrap();
    local.until_rolled_out("succeeded").await;

    let day = |hours| (Timestamp::now() + SignedDuration::from_hours(hours)).strftime("%a").to_string();
    let mut frozen = blog("1s");
    frozen["finish"]["freeze"] = json!([format!("{} 00:00 - {} 00:00", day(0), day(48))]);
    local.api.put("/v1/sites/blog", &frozen).await.unwrap();
    alice.put("index.html", b"frozen").await.unwrap();
    let window = until_window(&local, "frozen").await;
    assert!(window["reason"].as_str().unwrap().starts_with("frozen until"), "{window}");

    let mut careful = blog("1s");
    careful["approval"] = json!(true);
    local.api.put("/v1/sites/blog", &careful).await.unwrap();
    until_window(&local, "unapproved").await;
    let updates = local.calls("ecs", "UpdateService");
    let approved = order(&local, "").await.unwrap();
    until_rollout(&local, &approved["id"], "succeeded").await;
    assert_eq!(local.calls("ecs", "UpdateService"), updates + 1);
    alice.log_out().await.unwrap();
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_under_way_is_not_rolled_out_in_its_midst() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    let mut large = alice.sftp.create("large.bin").await.unwrap();
    large.write_all(b"the first half").await.unwrap();
    large.flush().await.unwrap();
    alice.put("index.html", b"small").await.unwrap();
    let window = local
        .until("the window waits for the upload", || async {
            let window = local.api.get("/v1/sites/blog").await?.taken("site")?["status"]["window"].clone();
            let waits = window["reason"].as_str().is_some_and(|reason| reason.contains("has been uploading"));
            Ok(waits.then_some(window))
        })
        .await;
    assert!(window["reason"].as_str().unwrap().contains("alice"), "{window}");
    assert_eq!(local.calls("ecs", "UpdateService"), 0);
    large.shutdown().await.unwrap();
    let rollouts = local.until_rolled_out("succeeded").await;
    assert_eq!((rollouts.len(), &rollouts[0]["cause"]["changes"]), (1, &json!(2)));
    alice.log_out().await.unwrap();
    local.close().await;
}

/// A rollout that would bake for an hour, broken off by a person.
pub(crate) async fn bake_and_break_off(local: &LocalRegion) -> anyhow::Result<Value> {
    let update = |strategy: Value| json!({ "cluster": "local", "service": "web", "deploymentConfiguration": strategy });
    let slow = update(json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 60 }));
    local.region.call("ecs", "UpdateService", slow).await?;
    let ordered = order(local, "").await?;
    until_rollout(local, &ordered["id"], "deploying").await;
    local.api.delete(&format!("/v1/sites/blog/rollouts/{}", ordered["id"].as_str().unwrap_or_default())).await?;
    let over = until_rollout(local, &ordered["id"], "rolled_back").await;
    local.region.call("ecs", "UpdateService", update(json!({ "strategy": "ROLLING" }))).await?;
    Ok(over)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_broken_off_while_ecs_bakes_it() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let alice = local.log_in().await;
    alice.put("index.html", b"one").await.unwrap();
    local.until_rolled_out("succeeded").await;
    let before = running(&local).await;

    let over = bake_and_break_off(&local).await.unwrap();

    assert!(over["broken_off_by"].is_string() && over["failure"].is_null(), "{over}");
    assert_eq!((running(&local).await, local.calls("ecs", "StopServiceDeployment")), (before, 1));
    alice.log_out().await.unwrap();
    assert_eq!(local.region.calls().refused(), [], "a function was refused what it needs");
    local.close().await;
}
