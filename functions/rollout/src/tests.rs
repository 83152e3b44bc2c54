//! The function over a table in memory and an ECS of a few lines.

mod compare;
mod course;
mod orders;
mod shared;
mod way_back;
mod windows;
mod world;

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    names::SiteName,
    rollout::{Rollout, State},
};
use wharfinger_store::{page::PageRequest, windows::WindowRecord};
use wharfinger_test_cloud::{Cloud, TABLE};

use super::*;

const FS: &str = "fs-0a1b2c3d";
const LOG_GROUP: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/vendedlogs/sftp";

/// What ECS holds: the revisions of `web`, and what runs which service.
#[derive(Default)]
struct Services {
    /// Environment and tags of revision 1 and on; `None`: it is deregistered.
    revisions: Vec<Option<Value>>,
    web: Value,
    asked_of: Vec<String>,
    updates: usize,
    /// The revisions that were deployed, whoever did it.
    begun: Vec<String>,
}

struct Stage {
    cloud: Cloud,
    app: App,
    ecs: Arc<Mutex<Services>>,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn arn(revision: usize) -> String {
    format!("arn:aws:ecs:us-east-1:000000000000:task-definition/web:{revision}")
}

fn deployment(id: usize, revision: &str, state: &str) -> Value {
    json!({"id": format!("ecs-svc/{id}"), "status": "PRIMARY", "taskDefinition": revision, "rolloutState": state,
        "desiredCount": 1, "runningCount": 1})
}

impl Services {
    /// Makes a deployment of `revision` the PRIMARY one, if the service has another.
    fn deploy(&mut self, revision: &str) {
        if self.web["taskDefinition"] == revision {
            return;
        }
        self.begun.push(revision.to_owned());
        let new = deployment(self.begun.len(), revision, "IN_PROGRESS");
        let replaced = self.web["deployments"].as_array_mut().unwrap();
        replaced.iter_mut().for_each(|one| one["status"] = json!("ACTIVE"));
        replaced.insert(0, new);
        self.web["taskDefinition"] = json!(revision);
    }

    fn answer(&mut self, operation: &str, input: &Value) -> Option<Value> {
        let named = || input["taskDefinition"].as_str().unwrap_or_default().to_owned();
        Some(match operation {
            "DescribeServices" => {
                self.asked_of.push(input["services"][0].as_str().unwrap().to_owned());
                let services = if input["services"][0] == "web" { json!([self.web]) } else { json!([]) };
                json!({"services": services})
            }
            "DescribeTaskDefinition" => {
                let number: usize = named().rsplit(':').next().unwrap().parse().unwrap();
                let input = self.revisions[number - 1].clone().unwrap();
                json!({"taskDefinition": input, "tags": input["tags"]})
            }
            "RegisterTaskDefinition" => {
                self.revisions.push(Some(input.clone()));
                json!({"taskDefinition": {"taskDefinitionArn": arn(self.revisions.len())}})
            }
            "UpdateService" => {
                self.updates += 1;
                self.deploy(&named());
                json!({"service": self.web})
            }
            // Two a page, the newest first.
            "ListTaskDefinitions" => {
                let active = (1..=self.revisions.len()).rev().filter(|number| self.revisions[number - 1].is_some());
                let arns: Vec<String> = active.map(arn).collect();
                let start: usize = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
                let page: Vec<&String> = arns.iter().skip(start).take(2).collect();
                let next = (start + 2 < arns.len()).then(|| (start + 2).to_string());
                json!({"taskDefinitionArns": page, "nextToken": next})
            }
            // Service deployments and their revisions have the task definition's name; later ones are created later.
            "ListServiceDeployments" => {
                let listed = (0..).zip(&self.begun).map(|(number, revision)| {
                    json!({"serviceDeploymentArn": revision, "createdAt": at(100_000 + number).as_second()})
                });
                json!({"serviceDeployments": listed.collect::<Vec<_>>()})
            }
            "DescribeServiceDeployments" => {
                let listed = (0..).zip(&self.begun).map(|(number, revision)| {
                    json!({"serviceDeploymentArn": revision, "createdAt": at(100_000 + number).as_second(),
                        "status": "SUCCESSFUL", "targetServiceRevision": {"arn": revision}})
                });
                json!({"serviceDeployments": listed.collect::<Vec<_>>()})
            }
            "DescribeServiceRevisions" => {
                let told = self
                    .begun
                    .iter()
                    .map(|revision| json!({"serviceRevisionArn": revision, "taskDefinition": revision}));
                json!({"serviceRevisions": told.collect::<Vec<_>>()})
            }
            "DeregisterTaskDefinition" => {
                let number: usize = named().rsplit(':').next().unwrap().parse().unwrap();
                self.revisions[number - 1] = None;
                json!({"taskDefinition": {}})
            }
            _ => return None,
        })
    }
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::new();
        let environment = Environment::from_iter([
            ("TABLE_NAME", TABLE),
            ("TICKS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/0/ticks"),
            ("SFTP_LOG_GROUP", LOG_GROUP),
            ("SERVICES", "local/*"),
            ("TASK_ROLES", "wharfinger/*"),
        ]);
        let app = App::new(&cloud.sdk(), &environment, Chance::seeded(1)).unwrap();
        let first = json!({"family": "web", "containerDefinitions": [{"name": "web", "image": "httpd"}]});
        let web = json!({"serviceArn": "arn:aws:ecs:us-east-1:0:service/local/web", "status": "ACTIVE",
            "taskDefinition": arn(1), "deployments": [deployment(0, &arn(1), "COMPLETED")]});
        let ecs = Arc::new(Mutex::new(Services { revisions: vec![Some(first)], web, ..Services::default() }));
        let stage = Self { cloud, app, ecs };
        stage.answer_with(|_, _| None);
        stage.site("blog", "web", 2);
        stage
    }

    /// ECS answers, unless `answers` does.
    fn answer_with(&self, answers: impl Fn(&str, &Value) -> Option<(u16, Value)> + Send + Sync + 'static) {
        let ecs = Arc::clone(&self.ecs);
        self.cloud.answer_with(move |operation, input| {
            let own = || ecs.lock().unwrap().answer(operation, input).map(|answer| (200, answer));
            answers(operation, input).or_else(own)
        });
    }

    fn site(&self, name: &str, service: &str, keep_revisions: u32) {
        self.site_in(&format!("/sites/{name}"), name, service, keep_revisions);
    }

    fn site_in(&self, directory: &str, name: &str, service: &str, keep_revisions: u32) {
        self.put_site(name, 1, &[("directory", directory), ("service", service)], keep_revisions);
    }

    /// A site at `version`, with `fields` beside what all sites have.
    fn put_site(&self, name: &str, version: u64, fields: &[(&str, &str)], keep_revisions: u32) {
        let directory = format!("/sites/{name}");
        let mut spec = json!({"keep_revisions": {"N": keep_revisions.to_string()}});
        for (field, value) in [
            ("file_system_id", FS),
            ("directory", directory.as_str()),
            ("cluster", "local"),
            ("service", "web"),
            ("container", "web"),
            ("mount_path", "/srv"),
        ]
        .iter()
        .chain(fields)
        {
            spec[*field] = json!({"S": value});
        }
        self.cloud.put(&json!({"pk": {"S": "SITES"}, "sk": {"S": name}, "intent": {"M": spec}, "status": {"M": {}},
            "version": {"N": version.to_string()}, "deleting": {"BOOL": false},
            "created_at": {"S": at(0).to_string()}, "updated_at": {"S": at(0).to_string()}}));
    }

    async fn send(&self, bodies: &[Value], now: Timestamp) -> Vec<String> {
        let records: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| json!({"messageId": number.to_string(), "body": body.to_string()}))
            .collect();
        let event = serde_json::from_value(json!({"Records": records})).unwrap();
        let answer = handle(&self.app, event, Moment::new(now, now + SignedDuration::from_secs(30))).await;
        answer.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    async fn tick(&self, now: Timestamp) {
        self.tick_of("blog", now).await;
    }

    async fn tick_of(&self, site: &str, now: Timestamp) {
        assert_eq!(self.send(&[json!({"site": site})], now).await, [""; 0]);
    }

    async fn latest(&self) -> Rollout {
        self.latest_of("blog").await
    }

    async fn latest_of(&self, site: &str) -> Rollout {
        let site = SiteName::parse(site).unwrap();
        self.app.table.latest_rollout(&site).await.unwrap().unwrap().rollout
    }

    async fn window_of(&self, site: &str) -> WindowRecord {
        self.app.table.window(&SiteName::parse(site).unwrap()).await.unwrap()
    }

    /// Uploads a file, and lets its rollout come to deploy.
    async fn deploy(&self, event: u32, now: i64) {
        assert_eq!(self.send(&[upload(event, "/sites/blog/a", at(now))], at(now)).await, [""; 0]);
        self.tick(at(now + 60)).await;
        assert_eq!(self.latest().await.state, State::Deploying);
    }

    /// ECS is done with the PRIMARY deployment.
    fn complete(&self) {
        let mut ecs = self.ecs.lock().unwrap();
        let deployments = ecs.web["deployments"].as_array_mut().unwrap();
        deployments.truncate(1);
        deployments[0]["rolloutState"] = json!("COMPLETED");
    }
}

fn blog() -> SiteName {
    SiteName::parse("blog").unwrap()
}

fn upload(event: u32, path: &str, at: Timestamp) -> Value {
    json!({"id": event.to_string(), "source": "aws.transfer", "detail-type": "SFTP Server File Upload Completed",
        "time": at, "detail": {"file-path": format!("/{FS}{path}"), "bytes": 10, "username": "alice"}})
}

#[tokio::test]
async fn a_batch_that_comes_again_counts_once_and_arms_its_tick_again() {
    let stage = Stage::new();
    let batch: Vec<Value> = (0..3).map(|event| upload(event, "/sites/blog/a", at(0))).collect();
    for _ in 0..2 {
        assert!(stage.send(&batch, at(1)).await.is_empty());
        assert_eq!(stage.cloud.messages(), [json!({"site": "blog"})]);
    }
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().window.changes(), 3);
}

#[tokio::test]
async fn a_download_is_a_sign_of_use_and_opens_no_window() {
    let stage = Stage::new();
    stage.cloud.put(&json!({"pk": {"S": "SITES"}, "sk": {"S": "unreadable"}}));
    let mut download = upload(1, "/sites/blog/a", at(5));
    download["detail-type"] = json!("SFTP Server File Download Failed");
    download["detail"]["server-id"] = json!("s-1");
    assert_eq!(stage.send(&[download], at(9)).await, [""; 0]);
    assert_eq!(stage.app.table.last_activity("s-1").await.unwrap(), Some(at(5)));
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().window.changes(), 0);
    assert!(stage.cloud.messages().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_met_another_writer_is_made_anew_after_a_wait() {
    let stage = Stage::new();
    let left = Mutex::new(3);
    stage.answer_with(move |operation, input| {
        let window = operation == "PutItem" && input["Item"]["pk"]["S"] == "WINDOW#blog";
        let mut left = left.lock().unwrap();
        (window && *left > 0).then(|| {
            *left -= 1;
            (400, json!({"__type": "ConditionalCheckFailedException"}))
        })
    });
    let began = tokio::time::Instant::now();
    assert!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(1)).await.is_empty());
    assert!(began.elapsed() > std::time::Duration::ZERO);
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().window.changes(), 1);
}

#[tokio::test]
async fn an_upload_becomes_a_rollout_that_succeeds() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    stage.complete();
    stage.tick(at(90)).await;
    assert_eq!(stage.latest().await.state, State::Succeeded);
    let window = stage.app.table.window(&blog()).await.unwrap();
    assert_eq!((window.window.is_open(), window.rollout), (false, None));
}

#[tokio::test]
async fn a_site_changed_during_its_rollout_gets_the_verdict_of_the_service_that_was_rolled_out() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    stage.site("blog", "another", 2);
    stage.complete();
    stage.ecs.lock().unwrap().asked_of.clear();
    stage.tick(at(90)).await;
    let rollout = stage.latest().await;
    assert_eq!(rollout.state, State::Succeeded, "{}", rollout.reason);
    assert!(stage.ecs.lock().unwrap().asked_of.iter().all(|service| service == "web"));
}

#[tokio::test]
async fn a_rollout_that_an_earlier_version_ended_holds_the_window_no_longer() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    let mut record = stage.app.table.rollout_record(&blog(), &stage.latest().await.id).await.unwrap().unwrap();
    record.rollout.state = State::Failed;
    stage.app.table.write_rollout(&record).await.unwrap();
    stage.tick(at(90)).await;
    assert_eq!(stage.latest().await.state, State::Failed);
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().rollout, None);
    assert_eq!(stage.ecs.lock().unwrap().revisions.len(), 2, "nothing was registered anew");
}

#[tokio::test]
async fn an_unreadable_site_holds_up_no_other_and_loses_no_upload() {
    let stage = Stage::new();
    let spec = json!({"M": {"file_system_id": {"S": FS}, "directory": {"S": "/sites/shop"}}});
    stage.cloud.put(&json!({"pk": {"S": "SITES"}, "sk": {"S": "shop"}, "intent": spec}));
    let batch = [upload(1, "/sites/blog/a", at(0)), upload(2, "/sites/shop/a", at(0))];
    assert_eq!(stage.send(&batch, at(1)).await, ["1"]);
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().window.changes(), 1);
}

#[tokio::test]
async fn uploads_of_an_unreadable_site_are_not_those_of_the_site_around_it() {
    let stage = Stage::new();
    stage.site_in("/sites", "all", "all", 2);
    let spec = json!({"M": {"file_system_id": {"S": FS}, "directory": {"S": "/sites/shop"}}});
    stage.cloud.put(&json!({"pk": {"S": "SITES"}, "sk": {"S": "shop"}, "intent": spec}));
    let paths = ["/sites/shop/a", "/sites/a", "/sites/shopping/a", "/sites/blog/a"];
    let batch: Vec<Value> = (1..).zip(paths).map(|(event, path)| upload(event, path, at(0))).collect();
    assert_eq!(stage.send(&batch, at(1)).await, ["0"]);
    let all = SiteName::parse("all").unwrap();
    assert_eq!(stage.app.table.window(&all).await.unwrap().window.changes(), 2);
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().window.changes(), 1);
}

#[tokio::test]
async fn an_unreadable_site_of_an_unknown_directory_loses_no_upload_to_another() {
    let stage = Stage::new();
    let spec = json!({"M": {"file_system_id": {"S": FS}, "directory": {"N": "5"}}});
    stage.cloud.put(&json!({"pk": {"S": "SITES"}, "sk": {"S": "shop"}, "intent": spec}));
    assert_eq!(stage.send(&[upload(1, "/sites/blog/shop/a", at(0))], at(1)).await, ["0"]);
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().window.changes(), 1, "it may be the blog's");
}

#[tokio::test]
async fn an_outage_of_ecs_throws_no_upload_away() {
    for down in ["DescribeServices", "RegisterTaskDefinition", "UpdateService"] {
        let stage = Stage::new();
        stage.answer_with(move |operation, _| {
            (operation == down).then(|| (500, json!({"__type": "ServerException", "message": "down"})))
        });
        assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
        for hour in 0..5 {
            stage.tick(at(60 + hour * 3_600)).await;
        }
        let rollout = stage.latest().await;
        assert!(!rollout.state.is_final(), "{down}: {}", rollout.reason);
        stage.answer_with(|_, _| None);
        stage.tick(at(6 * 3_600)).await;
        stage.complete();
        stage.tick(at(6 * 3_600 + 30)).await;
        assert_eq!(stage.latest().await.state, State::Succeeded, "{down}");
    }
}

#[tokio::test]
async fn an_ecs_that_fails_a_claim_is_not_asked_again_in_the_same_look() {
    let stage = Stage::new();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(0)).await, [""; 0]);
    stage.answer_with(|operation, _| {
        (operation == "DescribeServices").then(|| (500, json!({"__type": "ServerException", "message": "down"})))
    });
    let _ = stage.cloud.calls();
    stage.tick(at(60)).await;
    assert_eq!(stage.cloud.count("DescribeServices"), 1, "two that are not answered would take all of its time");
    assert_eq!(stage.latest().await.state, State::Claimed);
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_comes_again_and_what_is_done_does_not() {
    let stage = Stage::new();
    stage.cloud.leave_unanswered(|operation, _| operation == "DescribeServices");
    let began = tokio::time::Instant::now();
    let late = at(3_600);
    let batch = [upload(1, "/sites/blog/a", at(0)), json!({"site": "blog"})];
    assert_eq!(stage.send(&batch, late).await, ["1"], "the upload is counted, its site is not looked at");
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
    assert_eq!(stage.app.table.window(&blog()).await.unwrap().window.changes(), 1);

    let stage = Stage::new();
    stage.cloud.leave_unanswered(|operation, _| operation == "PutItem");
    let began = tokio::time::Instant::now();
    assert_eq!(stage.send(&[upload(1, "/sites/blog/a", at(0))], at(1)).await, ["0"]);
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
}

#[tokio::test]
async fn a_deployment_that_ecs_tells_nothing_of_is_given_up_after_an_hour() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    stage.answer_with(|operation, _| {
        (operation == "DescribeServices").then(|| (500, json!({"__type": "ServerException", "message": "down"})))
    });
    stage.tick(at(1_800)).await;
    assert_eq!(stage.latest().await.state, State::Deploying);
    stage.tick(at(3_700)).await;
    assert_eq!(stage.latest().await.state, State::Failed);
}

#[tokio::test]
async fn old_revisions_go_however_many_pages_ecs_lists() {
    let stage = Stage::new();
    for round in 1..=6 {
        let now = i64::from(round) * 1_000;
        stage.deploy(round, now).await;
        stage.complete();
        stage.tick(at(now + 90)).await;
        // As if nothing had been deregistered until the last: it then has more than a page to do.
        if round == 5 {
            let mut ecs = stage.ecs.lock().unwrap();
            let last = ecs.revisions.last().unwrap().clone();
            ecs.revisions[1..].iter_mut().for_each(|revision| *revision = last.clone());
        }
    }
    let active: Vec<usize> = {
        let ecs = stage.ecs.lock().unwrap();
        (1..=ecs.revisions.len()).filter(|number| ecs.revisions[number - 1].is_some()).collect()
    };
    assert_eq!(active, [1, 6, 7], "the first is not ours, two are kept");
}

#[tokio::test]
async fn the_whole_history_is_read_however_many_pages_it_has() {
    let stage = Stage::new();
    stage.deploy(1, 0).await;
    let record = stage.app.table.latest_rollout(&blog()).await.unwrap().unwrap();
    for number in 0..600 {
        stage.cloud.put_plain("ROLLOUTS#blog", &format!("0{number:05}"), &record);
    }
    for (most, read) in [(usize::MAX, 601), (550, 550), (7, 7)] {
        assert_eq!(crate::old_revisions::history(&stage.app, &blog(), most).await.unwrap().len(), read);
    }
}
