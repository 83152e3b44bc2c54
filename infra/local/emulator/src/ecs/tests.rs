mod definitions;
mod refusals;
mod strategies;

use std::{fs, time::Duration};

use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::{ec2::Ec2, events::bus::EventBus, testing::context};

const FILE_SYSTEM: &str = "fs-0a1b2c3d4e5f60718";

struct Fixture {
    ecs: Arc<Ecs>,
    efs: Arc<Efs>,
    events: UnboundedReceiver<Value>,
    directory: tempfile::TempDir,
    shutdown: CancellationToken,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut context = context();
        let (bus, events) = EventBus::new(context.clock.clone());
        context.bus = bus;
        context.file_systems = Arc::new(directory.path().to_owned());
        let ec2 = Ec2::new(context.clone(), None).unwrap();
        let efs = Efs::new(context.clone(), None, Arc::clone(&ec2)).unwrap();
        let ecs = Ecs::new(context, None, Arc::clone(&efs)).unwrap();
        ec2.add_vpc("vpc-1", "10.0.0.0/16", "main");
        ec2.add_subnet("subnet-a", "vpc-1", "us-east-1a", "10.0.0.0/20");
        plant(&efs, &ecs).await.unwrap();
        let shutdown = CancellationToken::new();
        ecs.start(None, shutdown.clone());
        let fixture = Self { ecs, efs, events, directory, shutdown };
        fixture.wait(|service| service["deployments"][0]["rolloutState"] == "COMPLETED").await;
        fixture
    }

    /// A revision of `web` that serves a directory of the file system.
    async fn register(&self, root: &str) -> String {
        let volume = json!({"name": "site", "efsVolumeConfiguration": {
            "fileSystemId": FILE_SYSTEM, "rootDirectory": root, "transitEncryption": "ENABLED",
        }});
        let container = json!({"name": "web", "image": "httpd:2.4", "mountPoints": [
            {"sourceVolume": "site", "containerPath": "/usr/local/apache2/htdocs"},
        ]});
        let input = json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
            "memory": "512", "volumes": [volume], "containerDefinitions": [container],
        });
        let output = self.ecs.call("RegisterTaskDefinition", input).await.unwrap();
        output["taskDefinition"]["taskDefinitionArn"].as_str().unwrap().to_owned()
    }

    async fn call(&self, operation: &str, input: Value) -> Value {
        self.ecs.call(operation, input).await.unwrap()
    }

    async fn update(&self, change: Value) -> Result<Value, AwsError> {
        let mut input = json!({"cluster": "local", "service": "web"});
        input.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Ok(self.ecs.call("UpdateService", input).await?["service"].clone())
    }

    async fn describe(&self) -> Value {
        let input = json!({"cluster": "local", "services": ["web"]});
        self.ecs.call("DescribeServices", input).await.unwrap()["services"][0].clone()
    }

    async fn wait(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let reached = async {
            loop {
                let service = self.describe().await;
                if holds(&service) {
                    return service;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the service never got there")
    }

    async fn get(&self, path: &str) -> (u16, String, String) {
        let answer = self.ecs.answer("local", "web", &http::Method::GET, path, &http::HeaderMap::new()).await;
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let definition = header("x-task-definition").unwrap_or_default();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, definition, String::from_utf8_lossy(&body).into_owned())
    }

    fn event_names(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .map(|event| event["detail"]["eventName"].as_str().unwrap().to_owned())
            .collect()
    }

    fn site(&self) -> std::path::PathBuf {
        self.directory.path().join(FILE_SYSTEM).join("sites/blog")
    }
}

/// A file system, and a service `web` that mounts nothing yet.
async fn plant(efs: &Efs, ecs: &Ecs) -> Result<(), AwsError> {
    efs.add_file_system(FILE_SYSTEM, &json!({"CreationToken": "local"})).unwrap();
    efs.add_mount_target("fsmt-1", FILE_SYSTEM, "subnet-a", &[])?;
    efs.make_directory(FILE_SYSTEM, "/sites/blog").unwrap();
    ecs.call("CreateCluster", json!({"clusterName": "local"})).await?;
    let container = json!({
        "name": "web", "image": "httpd:2.4", "essential": true,
        "portMappings": [{"containerPort": 80, "protocol": "tcp"}],
    });
    let definition = json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "containerDefinitions": [container],
    });
    ecs.call("RegisterTaskDefinition", definition).await?;
    let service = json!({
        "cluster": "local", "serviceName": "web", "taskDefinition": "web:1", "desiredCount": 1,
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-a"], "securityGroups": ["sg-1"]}},
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
    });
    ecs.call("CreateService", service).await.map(drop)
}

fn settled(service: &Value) -> bool {
    service["deployments"].as_array().unwrap().len() == 1 && service["deployments"][0]["rolloutState"] == "COMPLETED"
}

#[tokio::test]
async fn a_rollout_brings_the_mounted_directory_to_the_site() {
    let mut fixture = Fixture::new().await;
    assert_eq!(
        fixture.get("/").await,
        (200, "web:1".to_owned(), "<html><body><h1>It works!</h1></body></html>\n".to_owned())
    );
    fs::write(fixture.site().join("index.html"), "hello").unwrap();
    let arn = fixture.register("/sites/blog").await;
    let updated = fixture.update(json!({"taskDefinition": arn})).await.unwrap();
    assert_eq!(updated["deployments"].as_array().unwrap().len(), 2);
    assert_eq!(updated["deployments"][0]["status"], "PRIMARY");
    assert_eq!(updated["deployments"][1]["status"], "ACTIVE");
    let service = fixture.wait(settled).await;
    assert_eq!(service["taskDefinition"], arn.as_str());
    assert_eq!(fixture.get("/").await, (200, "web:2".to_owned(), "hello".to_owned()));
    let names = fixture.event_names();
    let (started, done) = ("SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED");
    assert_eq!(names, [started, done, started, done]);
}

#[tokio::test]
async fn the_same_task_definition_without_force_starts_nothing() {
    let fixture = Fixture::new().await;
    let before = fixture.describe().await["deployments"][0]["id"].clone();
    let same = fixture.update(json!({"taskDefinition": "web:1"})).await.unwrap();
    assert_eq!(same["deployments"][0]["id"], before);
    let forced = fixture.update(json!({"forceNewDeployment": true})).await.unwrap();
    assert_ne!(forced["deployments"][0]["id"], before);
    let id = forced["deployments"][0]["id"].as_str().unwrap();
    assert_eq!(id.strip_prefix("ecs-svc/").map(str::len), Some(19));
}

#[tokio::test]
async fn the_circuit_breaker_rolls_back_to_what_was_good() {
    let mut fixture = Fixture::new().await;
    let arn = fixture.register("/sites/missing").await;
    let failing = fixture.update(json!({"taskDefinition": arn})).await.unwrap()["deployments"][0]["id"].clone();
    let service = fixture.wait(|service| settled(service) && service["deployments"][0]["id"] != failing).await;
    assert!(service["taskDefinition"].as_str().unwrap().ends_with("web:1"), "{service}");
    let names = fixture.event_names();
    let (started, done) = ("SERVICE_DEPLOYMENT_IN_PROGRESS", "SERVICE_DEPLOYMENT_COMPLETED");
    assert_eq!(names, [started, done, started, "SERVICE_DEPLOYMENT_FAILED", started, done]);
    assert_eq!(fixture.get("/").await.0, 200);
}

#[tokio::test]
async fn without_rollback_a_failed_deployment_stays_and_the_old_tasks_serve_on() {
    let fixture = Fixture::new().await;
    let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": false}});
    let arn = fixture.register("/sites/missing").await;
    fixture.update(json!({"taskDefinition": arn, "deploymentConfiguration": breaker})).await.unwrap();
    let service = fixture.wait(|service| service["deployments"][0]["rolloutState"] == "FAILED").await;
    assert_eq!(service["deployments"][0]["failedTasks"], 3);
    assert_eq!(fixture.get("/").await.1, "web:1");
}

#[tokio::test]
async fn a_superseded_deployment_is_gone_once_the_next_one_is_complete() {
    let fixture = Fixture::new().await;
    let (first, second) = (fixture.register("/sites/blog").await, fixture.register("/").await);
    fixture.update(json!({"taskDefinition": first})).await.unwrap();
    let service = fixture.update(json!({"taskDefinition": second})).await.unwrap();
    assert_eq!(service["deployments"].as_array().unwrap().len(), 3);
    let service = fixture.wait(settled).await;
    assert_eq!(service["taskDefinition"], second.as_str());
}

#[tokio::test]
async fn a_deregistered_revision_is_refused() {
    let fixture = Fixture::new().await;
    let arn = fixture.register("/sites/blog").await;
    fixture.ecs.call("DeregisterTaskDefinition", json!({"taskDefinition": arn})).await.unwrap();
    let refused = fixture.update(json!({"taskDefinition": arn})).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("ClientException", "TaskDefinition is inactive"));
    let unknown = fixture.update(json!({"taskDefinition": "web:99"})).await.unwrap_err();
    assert_eq!(unknown.message, "TaskDefinition not found.");
    let cluster = fixture.ecs.call("UpdateService", json!({"cluster": "x", "service": "web"})).await.unwrap_err();
    assert_eq!(cluster.code, "ClusterNotFoundException");
    let service = fixture.ecs.call("UpdateService", json!({"cluster": "local", "service": "x"})).await.unwrap_err();
    assert_eq!(service.code, "ServiceNotFoundException");
}

#[tokio::test]
async fn the_site_never_leaves_the_mounted_directory() {
    let fixture = Fixture::new().await;
    let root = fixture.directory.path();
    fs::write(root.join("secret"), "secret").unwrap();
    fs::write(root.join(FILE_SYSTEM).join("beside"), "secret").unwrap();
    fs::create_dir(fixture.site().join("inner")).unwrap();
    fs::write(fixture.site().join("a b.css"), "x").unwrap();
    for (target, link) in [("/etc/passwd", "l1"), ("../../beside", "l2"), ("..", "l3"), ("a b.css", "l4")] {
        std::os::unix::fs::symlink(target, fixture.site().join(link)).unwrap();
    }
    let arn = fixture.register("/sites/blog").await;
    fixture.update(json!({"taskDefinition": arn})).await.unwrap();
    fixture.wait(settled).await;
    for path in ["/l1", "/l2", "/l3/blog/x", "/../beside", "/%2e%2e/beside", "/inner/../../beside", "/..%2fbeside"] {
        let (status, _, body) = fixture.get(path).await;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
        assert!(!body.contains("secret") && !body.contains("root:"), "{path}: {body}");
    }
    assert_eq!(fixture.get("/l4").await.2, "x");
    assert_eq!(fixture.get("/a%20b.css").await.2, "x");
    assert_eq!(fixture.get("/inner").await.0, 301);
    assert!(fixture.get("/").await.2.contains("a b.css"), "a directory without an index is listed");
}

#[tokio::test]
async fn a_stopped_task_is_replaced_and_an_empty_service_answers_503() {
    let fixture = Fixture::new().await;
    let tasks = fixture.ecs.call("ListTasks", json!({"cluster": "local", "serviceName": "web"})).await.unwrap();
    let task = tasks["taskArns"][0].clone();
    fixture.ecs.call("StopTask", json!({"cluster": "local", "task": task, "reason": "test"})).await.unwrap();
    assert_eq!(fixture.get("/").await.0, 503);
    fixture.wait(|service| service["runningCount"] == 1).await;
    assert_eq!(fixture.get("/").await.0, 200);
    let stopped = fixture.ecs.call("DescribeTasks", json!({"cluster": "local", "tasks": [task]})).await.unwrap();
    assert_eq!(stopped["tasks"][0]["desiredStatus"], "STOPPED");
    assert_eq!(stopped["tasks"][0]["stoppedReason"], "test");
}

#[tokio::test]
async fn a_restart_in_mid_deployment_goes_on_to_its_end() {
    let fixture = Fixture::new().await;
    fs::write(fixture.site().join("index.html"), "hello").unwrap();
    let arn = fixture.register("/sites/blog").await;
    fixture.update(json!({"taskDefinition": arn})).await.unwrap();
    fixture.shutdown.cancel();
    let context = fixture.ecs.context.clone();
    let ecs = Ecs::new(context, Some(fixture.ecs.snapshot()), Arc::clone(&fixture.efs)).unwrap();
    let mut again = Fixture::new().await;
    ecs.start(None, again.shutdown.clone());
    again.ecs = ecs;
    let service = again.wait(settled).await;
    assert_eq!(service["taskDefinition"], arn.as_str());
    assert_eq!(again.get("/").await.2, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_passes_over_a_deployment() {
    let fixture = Fixture::new().await;
    let arn = fixture.register("/").await;
    fixture.update(json!({"taskDefinition": arn})).await.unwrap();
    fixture.wait(settled).await;
}

#[tokio::test]
async fn a_deleted_service_drains() {
    let fixture = Fixture::new().await;
    let input = json!({"cluster": "local", "service": "web"});
    let refused = fixture.ecs.call("DeleteService", input).await.unwrap_err();
    assert_eq!(refused.code, "InvalidParameterException");
    fixture.ecs.call("DeleteService", json!({"cluster": "local", "service": "web", "force": true})).await.unwrap();
    fixture.wait(|service| service["status"] == "INACTIVE").await;
    assert_eq!(fixture.update(json!({"desiredCount": 1})).await.unwrap_err().code, "ServiceNotActiveException");
    let missing = json!({"cluster": "local", "services": ["nothing"]});
    let answer = fixture.ecs.call("DescribeServices", missing).await.unwrap();
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
}

#[tokio::test]
async fn a_cluster_takes_no_settings_that_do_nothing() {
    let fixture = Fixture::new().await;
    let settings = json!([{"name": "containerInsights", "value": "enabled"}]);
    let create = json!({"clusterName": "watched", "settings": settings});
    assert_eq!(fixture.ecs.call("CreateCluster", create).await.unwrap_err().code, "InvalidParameterException");
    let tasks = json!({"cluster": "local", "startedBy": "me"});
    assert_eq!(fixture.ecs.call("ListTasks", tasks).await.unwrap_err().code, "InvalidParameterException");
}
