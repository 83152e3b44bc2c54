//! Windows as events make them: late ones, such as name no file system, such as a site ignores, and what persons say.

use serde_json::{Value, json};
use wharfinger_decisions::window::WaitsFor;
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::{Guard, Key},
};

use super::*;

/// The site `blog` with more in its spec.
async fn blog_with(stage: &Stage, more: Value) {
    let key = sites::key(&blog());
    let mut record: SiteRecord = stage.app.table.get(&key).await.unwrap().unwrap();
    let mut spec = serde_json::to_value(&record.intent).unwrap();
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record.intent = serde_json::from_value(spec).unwrap();
    stage.app.table.put(&key, &record, Guard::none()).await.unwrap();
}

async fn changes(stage: &Stage) -> u64 {
    stage.app.table.window(&blog()).await.unwrap().window.changes()
}

#[tokio::test]
async fn a_change_from_before_a_marker_that_comes_after_the_claim_needs_no_second_rollout() {
    let stage = Stage::new();
    blog_with(&stage, json!({"finish": {"marker": ".deploy"}})).await;
    assert_eq!(stage.send(&[upload(1, "/sites/blog/.deploy", at(10))], at(11)).await, [""; 0]);
    stage.tick(at(12)).await;
    assert_eq!(stage.latest().await.state, State::Deploying);
    assert_eq!(stage.send(&[upload(2, "/sites/blog/late", at(9))], at(13)).await, [""; 0]);
    assert_eq!(changes(&stage).await, 0);
    assert_eq!(stage.send(&[upload(2, "/sites/blog/late", at(9))], at(14)).await, [""; 0], "nor when it comes again");
    stage.complete();
    stage.tick(at(90)).await;
    stage.tick(at(200)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
    assert_eq!(stage.send(&[upload(3, "/sites/blog/later", at(201))], at(201)).await, [""; 0]);
    assert_eq!(changes(&stage).await, 1);
}

/// The server `main`, which AWS knows as `s-1`, with the user alice, who sees `root` as `/`.
async fn with_alice(stage: &Stage, root: Option<&str>) {
    let put = async |pk: &str, sk: &str, item: Value| {
        stage.app.table.put(&Key::new(pk, sk), &item, Guard::none()).await.unwrap();
    };
    let spec = json!({"file_system_id": FS, "network": {"vpc_id": "vpc-0a1b2c3d", "subnet_ids": ["subnet-0a1b2c3d"],
        "security_group_ids": ["sg-0a1b2c3d"]}});
    let power = json!({"power": "online", "by": {"person": "me"}, "reason": "it was made", "at": at(0)});
    let status = json!({"power": "online", "reason": "it is", "server_id": "s-1"});
    let intent = json!({"spec": spec, "power": power});
    put("SERVERS", "main", json!({"intent": intent, "status": status, "version": 1, "deleting": false})).await;
    let applied = root.map(|root| json!({"server_id": "s-1", "role": "r", "root": root}));
    let status = json!({"state": "ready", "reason": "it is", "applied": applied});
    let intent = json!({"public_keys": [], "directory": "/sites/blog"});
    put("USERS#main", "alice", json!({"intent": intent, "status": status, "version": 1, "deleting": false})).await;
}

fn logical(event: u32, path: &str, server: &str) -> Value {
    let mut upload = upload(event, "", at(0));
    upload["detail"]["file-path"] = json!(path);
    upload["detail"]["server-id"] = json!(server);
    upload
}

#[tokio::test]
async fn a_path_that_names_no_file_system_lies_in_what_its_user_sees() {
    let stage = Stage::new();
    with_alice(&stage, Some(&format!("/{FS}/sites/blog"))).await;
    assert_eq!(stage.send(&[logical(1, "/a/b.html", "s-1")], at(1)).await, [""; 0]);
    let record = stage.app.table.window(&blog()).await.unwrap();
    assert_eq!(record.window.files.keys().collect::<Vec<_>>(), ["a/b.html"]);
    assert_eq!(stage.app.table.unplaced("s-1").await.unwrap(), None);
}

#[tokio::test]
async fn a_path_is_placed_though_its_server_s_record_can_t_be_read() {
    let stage = Stage::new();
    with_alice(&stage, Some(&format!("/{FS}/sites/blog"))).await;
    let odd = json!({"intent": "of another version", "status": {"server_id": "s-1"}, "version": 1});
    stage.cloud.put_plain("SERVERS", "main", &odd);
    assert_eq!(stage.send(&[logical(1, "/a/b.html", "s-1")], at(1)).await, [""; 0]);
    assert_eq!(changes(&stage).await, 1);
}

#[tokio::test]
async fn a_path_that_nobody_can_place_is_told_and_comes_not_again() {
    let stage = Stage::new();
    with_alice(&stage, None).await;
    assert_eq!(stage.send(&[logical(1, "/a", "s-1"), logical(2, "/b", "s-other")], at(1)).await, [""; 0]);
    let told = stage.app.table.unplaced("s-1").await.unwrap().unwrap();
    assert_eq!((told.path.as_str(), told.user.as_str(), told.at), ("/a", "alice", at(1)));
    assert_eq!(stage.app.table.unplaced("s-other").await.unwrap(), None, "that server is somebody else's");
    assert_eq!(changes(&stage).await, 0);
}

#[tokio::test]
async fn a_path_comes_again_while_the_table_does_not_answer() {
    let stage = Stage::new();
    with_alice(&stage, Some(&format!("/{FS}/sites/blog"))).await;
    stage.answer_with(|operation, input| {
        let asked = operation == "GetItem" && input["Key"]["pk"]["S"] == "USERS#main";
        asked.then(|| (500, json!({"__type": "InternalServerError"})))
    });
    assert_eq!(stage.send(&[logical(1, "/a", "s-1")], at(1)).await, ["0"]);
    stage.answer_with(|_, _| None);
    assert_eq!(stage.send(&[logical(1, "/a", "s-1")], at(2)).await, [""; 0]);
    assert_eq!(changes(&stage).await, 1);
}

#[tokio::test]
async fn what_a_site_ignores_opens_no_window() {
    let stage = Stage::new();
    blog_with(&stage, json!({"finish": {"ignore": ["*.tmp"]}})).await;
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a.tmp", at(0))], at(1)).await, [""; 0]);
    assert!(changes(&stage).await == 0 && stage.cloud.messages().is_empty());
}

#[tokio::test]
async fn a_frozen_window_is_rolled_out_when_the_freeze_ends() {
    let stage = Stage::new();
    // 0 is a Friday, 08:00.
    blog_with(&stage, json!({"finish": {"freeze": ["Fri 00:00 - Sat 00:00"]}})).await;
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(1)).await, [""; 0]);
    stage.tick(at(60)).await;
    let record = stage.app.table.window(&blog()).await.unwrap();
    let site = stage.app.table.sites().await.unwrap().remove(0).unwrap().1;
    let decided = record.decide(&site.intent, at(60));
    assert!(matches!(decided, wharfinger_decisions::window::Decision::Wait { waits_for: WaitsFor::Freeze, .. }));
    assert!(record.armed_until.is_some_and(|until| until > at(60)), "a tick looks again");
    assert_eq!(stage.ecs.lock().unwrap().updates, 0);
    stage.tick(at(16 * 3_600)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
}

#[tokio::test]
async fn a_window_waits_for_an_upload_that_the_log_shows_open_but_not_for_ever() {
    let stage = Stage::new();
    with_alice(&stage, None).await;
    let open = json!({"activity-type": "OPEN", "session-id": "1", "mode": "CREATE|TRUNCATE|WRITE",
        "path": format!("/{FS}/sites/blog/big.iso")});
    let is_closed = Arc::new(Mutex::new(false));
    let closed = Arc::clone(&is_closed);
    stage.answer_with(move |operation, input| {
        (operation == "FilterLogEvents").then(|| {
            assert!(input["filterPattern"].as_str().unwrap().contains("server/s-1"), "{input}");
            let mut close = open.clone();
            close["activity-type"] = json!("CLOSE");
            let lines = if *closed.lock().unwrap() { vec![&open, &close] } else { vec![&open] };
            let event = |(second, line): (i64, &Value)| {
                json!({"timestamp": at(second).as_millisecond(), "message": line.to_string()})
            };
            let events: Vec<Value> = (10..).zip(lines).map(event).collect();
            (200, json!({"events": events}))
        })
    });
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(1)).await, [""; 0]);
    stage.tick(at(60)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 0);
    let armed = stage.app.table.window(&blog()).await.unwrap().armed_until;
    assert!(armed.is_some_and(|until| until > at(60)), "a tick looks again");
    *is_closed.lock().unwrap() = true;
    stage.tick(at(120)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
    stage.complete();
    stage.tick(at(150)).await;
    *is_closed.lock().unwrap() = false;
    assert_eq!(stage.send(&[upload(2, "/sites/blog/b", at(200))], at(201)).await, [""; 0]);
    stage.tick(at(201 + 45 * 60 - 1)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 1);
    stage.tick(at(201 + 45 * 60)).await;
    assert_eq!(stage.ecs.lock().unwrap().updates, 2, "max_wait and hold_partial_for are over");
}

#[tokio::test]
async fn a_log_that_can_t_be_read_holds_nothing_up() {
    let stage = Stage::new();
    with_alice(&stage, None).await;
    stage.answer_with(|operation, _| {
        (operation == "FilterLogEvents").then(|| (400, json!({"__type": "ResourceNotFoundException"})))
    });
    stage.deploy(1, 0).await;
}
