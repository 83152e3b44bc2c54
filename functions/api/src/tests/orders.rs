//! A person's orders about a site's rollouts: to roll out, to break off, to go back, and not to for a while.

use serde_json::{Value, json};
use wharfinger_decisions::{
    names::SiteName,
    rollout::{Rollout, State},
    window::Window,
};
use wharfinger_store::{rollouts::RolloutRecord, windows::WindowRecord};

use super::{furnished, site, with};
use crate::testing::Stage;

const ROLLOUTS: &str = "/v1/sites/blog/rollouts";
const FIRST: &str = "01890000-0000-7000-8000-000000000001";
const SECOND: &str = "01890000-0000-7000-8000-000000000002";

fn blog() -> SiteName {
    SiteName::parse("blog").unwrap()
}

/// A rollout of the site in `state`, from revision 1 to revision 2.
async fn rolled_out(stage: &Stage, id: &str, state: State) {
    let window = stage.table.window(&blog()).await.unwrap();
    let cause = Window::default().cause("nothing has changed for 1m".into());
    let revisions = json!({"before": "web:1", "after": "web:2"});
    let rollout = json!({"id": id, "site": "blog", "state": state, "reason": "so it is", "cause": cause,
        "task_definition": revisions, "deployment_id": "ecs-svc/1", "started_at": "2026-01-01T00:00:00Z"});
    let rollout: Rollout = serde_json::from_value(rollout).unwrap();
    let record = RolloutRecord::begun(rollout.clone(), "2026-01-01T00:00:00Z".parse().unwrap());
    let turns = stage.table.turns(&serde_json::from_value(site()).unwrap()).await.unwrap();
    let window = WindowRecord { rollout: Some(id.into()), ..window };
    stage.table.claim(&window, &turns, &record).await.unwrap();
    if state.is_final() {
        stage.table.free_window(&rollout).await.unwrap();
    }
}

fn why(reason: &str) -> Value {
    json!({ "reason": reason })
}

fn detail(body: &Value) -> &str {
    body["detail"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_person_rolls_out_now_and_takes_it_back() {
    let stage = furnished().await;
    let forecast = stage.ask(&format!("POST {ROLLOUTS}?dry_run=true"), &why("the mount was mended")).await.expect(200);
    assert_eq!(forecast.body["would"], "create");
    assert!(stage.messages().is_empty());
    let ordered = stage.ask(&format!("POST {ROLLOUTS}"), &why(" the mount was mended ")).await.expect(202);
    let id = ordered.body["id"].as_str().unwrap().to_owned();
    assert_eq!(ordered.header("location"), format!("{ROLLOUTS}/{id}"));
    assert_eq!(ordered.body["reason"], "anonymous asked for it: the mount was mended");
    assert_eq!(stage.messages(), [json!({"site": "blog"})]);
    assert_eq!(stage.get(&format!("GET {ROLLOUTS}/{id}")).await.expect(200).body["state"], "ordered");
    let blog = stage.get("GET /v1/sites/blog").await.expect(200).body;
    assert_eq!(blog["status"]["window"]["state"], "finished", "{blog}");
    let again = stage.ask(&format!("POST {ROLLOUTS}"), &why("at once!")).await.expect(409);
    assert!(again.problem() == "not-now" && detail(&again.body).contains(&id), "{}", again.body);
    stage.get(&format!("DELETE {ROLLOUTS}/{id}?dry_run=true")).await.expect(204);
    stage.get(&format!("DELETE {ROLLOUTS}/{id}")).await.expect(204);
    stage.get(&format!("DELETE {ROLLOUTS}/{id}")).await.expect(404);
    stage.get(&format!("GET {ROLLOUTS}/{id}")).await.expect(404);
}

/// ECS with the service `web`, which runs revision 2 of a task definition that has three.
fn with_ecs(stage: &Stage) {
    stage.cloud.answer_with(|operation, input| {
        let revision = |number: &str, image: &str| {
            json!({"taskDefinition": {"taskDefinitionArn": format!("web:{number}"), "family": "web",
                "containerDefinitions": [{"name": "web", "image": image}]}, "tags": []})
        };
        let answer = match (operation, input["taskDefinition"].as_str()) {
            ("DescribeServices", _) if input["services"][0] == "web" => {
                json!({"services": [{"status": "ACTIVE", "taskDefinition": "web:2", "deployments": []}]})
            }
            ("DescribeServices", _) => json!({"services": []}),
            ("DescribeTaskDefinition", Some("web:1")) => revision("1", "httpd:1"),
            ("DescribeTaskDefinition", Some("web:2")) => revision("2", "httpd:2"),
            _ => return None,
        };
        Some((200, answer))
    });
}

#[tokio::test]
async fn a_dry_run_shows_what_would_differ() {
    let stage = furnished().await;
    with_ecs(&stage);
    let shown = stage.ask(&format!("POST {ROLLOUTS}?dry_run=true"), &why("a look")).await.expect(200).body;
    assert_eq!((&shown["revision"]["before"], &shown["revision"]["obstacle"]), (&json!("web:2"), &Value::Null));
    let changes = shown["revision"]["changes"].as_array().unwrap();
    let mount = changes.iter().find(|change| change["path"].as_str().unwrap().contains("/mountPoints/")).unwrap();
    assert_eq!(mount["after"]["containerPath"], "/usr/local/apache2/htdocs", "{shown}");
    rolled_out(&stage, FIRST, State::Succeeded).await;
    let back = format!("POST {ROLLOUTS}/{FIRST}/rollback?dry_run=true");
    let shown = stage.ask(&back, &why("a look")).await.expect(200).body;
    assert_eq!(shown["revision"]["after"], "web:1");
    let image = json!([{"path": "/containerDefinitions/web/image", "before": "httpd:2", "after": "httpd:1"}]);
    assert_eq!(shown["revision"]["changes"], image);
    assert!(stage.messages().is_empty() && stage.table.window(&blog()).await.unwrap().word.is_empty());
    stage.ask("PUT /v1/sites/blog", &with(site(), "/service", json!("none"))).await.expect(200);
    let shown = stage.ask(&format!("POST {ROLLOUTS}?dry_run=true"), &why("a look")).await.expect(200).body;
    assert!(shown["revision"]["obstacle"].as_str().unwrap().contains("no service none"), "{shown}");
}

#[tokio::test]
async fn a_dry_run_tells_nothing_of_a_service_that_is_not_open() {
    for services in ["tagged", "others/*"] {
        let stage = Stage::reaching(services);
        stage.ask("PUT /v1/sites/blog", &site()).await.expect(201);
        with_ecs(&stage);
        stage.calls();
        let shown = stage.ask(&format!("POST {ROLLOUTS}?dry_run=true"), &why("a look")).await.expect(200).body;
        let told = &shown["revision"];
        assert_eq!((&told["before"], &told["changes"]), (&Value::Null, &json!([])), "{shown}");
        assert!(told["obstacle"].as_str().unwrap().contains("is not open"), "{shown}");
        assert!(!stage.calls().contains(&"DescribeTaskDefinition".to_owned()));
    }
}

#[tokio::test]
async fn an_order_says_why_and_names_what_exists() {
    let stage = furnished().await;
    for reason in ["", "  ", "two\nlines", "two\u{2028}lines", "turned\u{202e}round", &"x".repeat(201)] {
        let refused = stage.ask(&format!("POST {ROLLOUTS}"), &why(reason)).await.expect(422);
        assert_eq!(refused.body["field"], "/reason");
    }
    stage.get(&format!("POST {ROLLOUTS}")).await.expect(400);
    stage.ask("POST /v1/sites/none/rollouts", &why("x")).await.expect(404);
    stage.ask(&format!("POST {ROLLOUTS}/{FIRST}/rollback"), &why("x")).await.expect(404);
    stage.get(&format!("DELETE {ROLLOUTS}/{FIRST}")).await.expect(404);
    assert!(stage.messages().is_empty());
}

#[tokio::test]
async fn a_rollout_under_way_is_broken_off_and_not_rolled_back() {
    let stage = furnished().await;
    rolled_out(&stage, FIRST, State::Deploying).await;
    let refused = stage.ask(&format!("POST {ROLLOUTS}/{FIRST}/rollback"), &why("it is wrong")).await.expect(409);
    assert!(detail(&refused.body).contains("DELETE it"), "{}", refused.body);
    stage.get(&format!("DELETE {ROLLOUTS}/{FIRST}?dry_run=true")).await.expect(202);
    assert_eq!(stage.table.window(&blog()).await.unwrap().word.cancellation, None);
    for _ in 0..2 {
        let accepted = stage.get(&format!("DELETE {ROLLOUTS}/{FIRST}")).await.expect(202);
        assert_eq!(accepted.body["state"], "deploying");
        assert_eq!(stage.messages(), [json!({"site": "blog"})]);
    }
    let given = stage.table.window(&blog()).await.unwrap().word.cancellation.unwrap();
    assert_eq!((given.rollout.as_str(), given.by.as_str()), (FIRST, "anonymous"));
}

#[tokio::test]
async fn a_rollout_that_is_over_is_rolled_back_and_not_broken_off() {
    let stage = furnished().await;
    rolled_out(&stage, FIRST, State::Succeeded).await;
    let refused = stage.get(&format!("DELETE {ROLLOUTS}/{FIRST}")).await.expect(409);
    assert!(detail(&refused.body).contains("rollback"), "{}", refused.body);
    let ordered = stage.ask(&format!("POST {ROLLOUTS}/{FIRST}/rollback"), &why("it is wrong")).await.expect(202);
    assert_eq!(ordered.body["reason"], format!("anonymous asked to roll {FIRST} back: it is wrong"));
    let order = stage.table.window(&blog()).await.unwrap().word.order.unwrap();
    assert_eq!(order.undoes.as_deref(), Some(FIRST));
    stage.get(&format!("DELETE {ROLLOUTS}/{}", order.id)).await.expect(204);
    rolled_out(&stage, SECOND, State::Succeeded).await;
    let refused = stage.ask(&format!("POST {ROLLOUTS}/{FIRST}/rollback"), &why("it is wrong")).await.expect(409);
    assert!(detail(&refused.body).contains(SECOND), "{}", refused.body);
}

#[tokio::test]
async fn a_record_that_can_t_be_read_keeps_nobody_from_breaking_off_or_going_back() {
    let stage = furnished().await;
    rolled_out(&stage, SECOND, State::Succeeded).await;
    stage.cloud.put_plain("ROLLOUTS#blog", FIRST, &json!({ "id": "of another version" }));
    stage.ask(&format!("POST {ROLLOUTS}/{SECOND}/rollback"), &why("it is wrong")).await.expect(202);

    let stage = furnished().await;
    rolled_out(&stage, FIRST, State::Deploying).await;
    stage.cloud.put_plain("SITES", "blog", &json!({ "intent": "of another version", "version": 1 }));
    stage.get(&format!("DELETE {ROLLOUTS}/{FIRST}")).await.expect(202);
    assert!(stage.table.window(&blog()).await.unwrap().word.cancellation.is_some());
}

#[tokio::test]
async fn a_hold_is_shown_until_it_ends_and_refuses_orders() {
    let stage = furnished().await;
    let hold = |until: &str| json!({"until": until, "reason": "the sale"});
    for until in ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let refused = stage.ask("PUT /v1/sites/blog/hold", &hold(until)).await.expect(422);
        assert_eq!(refused.body["field"], "/until");
    }
    let soon = |minutes| {
        let until = crate::testing::now() + jiff::SignedDuration::from_mins(minutes);
        hold(&until.to_string())
    };
    stage.ask("PUT /v1/sites/blog/hold?dry_run=true", &soon(10)).await.expect(200);
    assert!(stage.messages().is_empty());
    stage.ask("PUT /v1/sites/blog/hold", &soon(10)).await.expect(201);
    stage.ask("PUT /v1/sites/blog/hold", &soon(20)).await.expect(200);
    assert_eq!(stage.messages(), [json!({"site": "blog"}), json!({"site": "blog"})]);
    let shown = stage.get("GET /v1/sites/blog").await.expect(200).body;
    assert_eq!(
        (&shown["status"]["hold"]["reason"], &shown["status"]["hold"]["by"]),
        (&json!("the sale"), &json!("anonymous"))
    );
    let refused = stage.ask(&format!("POST {ROLLOUTS}"), &why("now")).await.expect(409);
    assert!(detail(&refused.body).contains("the sale"), "{}", refused.body);
    for _ in 0..2 {
        stage.get("DELETE /v1/sites/blog/hold").await.expect(204);
    }
    assert_eq!(stage.get("GET /v1/sites/blog").await.expect(200).body["status"]["hold"], Value::Null);
    stage.ask(&format!("POST {ROLLOUTS}"), &why("now")).await.expect(202);
}

#[tokio::test]
async fn what_says_when_rollouts_begin_is_checked_with_sentences_that_help() {
    let stage = furnished().await;
    let finish = |finish: Value| with(site(), "/finish", finish);
    for (wrong, field, helps) in [
        (json!({"freeze": ["Friday"]}), "/finish/freeze/0", "Fri 16:00 - Mon 08:00"),
        (
            json!({"freeze": ["Mon 00:00 - Thu 00:00", "Thu 00:00 - Mon 00:00"]}),
            "/finish/freeze",
            "no minute of the week",
        ),
        (json!({"time_zone": "Berlin"}), "/finish/time_zone", "Europe/Berlin"),
        (json!({"ignore": ["a/b"]}), "/finish/ignore/0", "*.tmp"),
        (json!({"min_interval": "often"}), "/finish/min_interval", "30m"),
    ] {
        let refused = stage.ask("PUT /v1/sites/blog", &finish(wrong)).await.expect(422);
        assert_eq!(refused.body["field"], field, "{}", refused.body);
        assert!(detail(&refused.body).contains(helps), "{}", refused.body);
    }
    let right = json!({"min_interval": "1h", "ignore": ["*.tmp", ".*.filepart"], "freeze": ["Fri 16:00 - Mon 08:00"],
        "time_zone": "Europe/Berlin"});
    let put = stage.ask("PUT /v1/sites/blog", &with(finish(right), "/approval", json!(true))).await.expect(200).body;
    assert_eq!(put["spec"]["finish"]["freeze"], json!(["Fri 16:00 - Mon 08:00"]));
    assert_eq!(stage.get("GET /v1/sites/blog").await.expect(200).body["spec"], put["spec"]);
    let none = json!({"ignore": [], "freeze": []});
    stage.ask("PUT /v1/sites/blog", &finish(none)).await.expect(200);
}
