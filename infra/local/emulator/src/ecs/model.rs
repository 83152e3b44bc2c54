//! What ECS keeps: clusters, task definitions, services with their deployments, and tasks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    configuration::Configuration,
    service_deployment::{ServiceDeployment, Status},
};
use crate::error::AwsError;

pub(super) use super::service_deployment::Stage;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub clusters: BTreeMap<String, Cluster>,
    /// By family, oldest revision first.
    pub families: BTreeMap<String, Vec<Definition>>,
    /// By `cluster/service`.
    pub services: BTreeMap<String, ServiceRecord>,
    /// By id.
    pub tasks: BTreeMap<String, Task>,
    /// The CloudWatch alarms that are in ALARM, by name.
    #[serde(default)]
    pub ringing: BTreeSet<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Cluster {
    pub tags: Vec<Value>,
}

/// A task-definition revision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Definition {
    pub family: String,
    pub revision: u64,
    pub active: bool,
    /// What was registered, with members that this region does not know, too.
    pub body: Map<String, Value>,
    pub registered: f64,
    pub deregistered: Option<f64>,
    pub tags: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ServiceStatus {
    Active,
    Draining,
    Inactive,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ServiceRecord {
    pub cluster: String,
    pub name: String,
    pub status: ServiceStatus,
    pub desired: usize,
    /// The members of the service that are only kept and shown.
    pub body: Map<String, Value>,
    pub created: f64,
    /// Newest first: the first is PRIMARY, the others are ACTIVE until their tasks have stopped.
    pub deployments: Vec<Deployment>,
    /// The last deployment that completed, and its task definition: what a rollback goes back to.
    pub last_good: Option<(String, String)>,
    /// Each with its number, the oldest first.
    #[serde(default)]
    pub revisions: Vec<Revision>,
    /// The service deployments, the newest first.
    #[serde(default)]
    pub history: Vec<ServiceDeployment>,
    /// Whether ECS manages the service's resources, as it does those of Express services.
    #[serde(default)]
    pub express: bool,
    /// Newest first.
    pub events: Vec<Value>,
    pub tags: Vec<Value>,
}

/// What a service was to run, at one of its deployments. It never changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Revision {
    /// 19 digits.
    pub number: String,
    /// The ARN of its task definition.
    pub definition: String,
    /// The members of the service whose change starts a deployment.
    pub body: Map<String, Value>,
    pub created: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Deployment {
    /// `ecs-svc/` and 19 digits.
    pub id: String,
    /// The ARN of its task definition.
    pub definition: String,
    pub rollout: Rollout,
    pub reason: String,
    pub created: f64,
    pub updated: f64,
    pub failed_tasks: usize,
    /// Not before this time is another task started, after one failed.
    pub retry: f64,
    /// Whether it goes back to what was good.
    pub rollback: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TaskStatus {
    Pending,
    Running,
    Stopping,
    Stopped,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub id: String,
    pub cluster: String,
    pub service: String,
    pub deployment: String,
    pub definition: String,
    pub status: TaskStatus,
    /// When a task that is pending or stopping gets to its next status.
    pub due: f64,
    pub created: f64,
    pub started: Option<f64>,
    pub stopping: Option<f64>,
    pub stopped: Option<f64>,
    pub stop_code: Option<String>,
    pub stopped_reason: Option<String>,
}

impl Task {
    /// Whether the task uses capacity.
    pub(super) fn lives(&self) -> bool {
        self.status != TaskStatus::Stopped
    }

    /// Begins to stop the task.
    pub(super) fn stop(&mut self, now: f64, due: f64, code: &str, reason: &str) {
        if matches!(self.status, TaskStatus::Pending | TaskStatus::Running) {
            self.status = TaskStatus::Stopping;
            self.due = due;
            self.stopping = Some(now);
            self.stop_code = Some(code.to_owned());
            self.stopped_reason = Some(reason.to_owned());
        }
    }
}

impl ServiceRecord {
    /// A service without anything to run.
    pub(super) fn new(cluster: String, name: String, desired: usize, tags: Vec<Value>, now: f64) -> Self {
        Self {
            cluster,
            name,
            status: ServiceStatus::Active,
            desired,
            body: Map::new(),
            created: now,
            deployments: Vec::new(),
            last_good: None,
            revisions: Vec::new(),
            history: Vec::new(),
            express: false,
            events: Vec::new(),
            tags,
        }
    }

    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.cluster, self.name)
    }

    /// Writes an event that people see in DescribeServices. AWS keeps the last hundred.
    pub(super) fn log(&mut self, now: f64, message: String) {
        let id = crate::ids::random_uuid().to_string();
        self.events.insert(0, serde_json::json!({"id": id, "createdAt": now, "message": message}));
        self.events.truncate(100);
    }

    /// A number of the deployment configuration; `default` without one.
    pub(super) fn percent(&self, member: &str, default: usize) -> usize {
        let value = self.body.get("deploymentConfiguration").and_then(|configuration| configuration.get(member));
        value.and_then(Value::as_u64).and_then(|value| usize::try_from(value).ok()).unwrap_or(default)
    }

    /// Who deploys the service: ECS itself, or somebody else.
    pub(super) fn controller(&self) -> &str {
        self.body.get("deploymentController").and_then(|controller| controller["type"].as_str()).unwrap_or("ECS")
    }

    /// The configuration of the service's newest deployment, which it keeps to its end.
    pub(super) fn configuration(&self) -> Configuration {
        self.history.first().map(|newest| self.configuration_of(newest)).unwrap_or_default()
    }

    /// The configuration of a service deployment.
    pub(super) fn configuration_of(&self, deployment: &ServiceDeployment) -> Configuration {
        // It was read when the deployment began.
        Configuration::read(&deployment.configuration, self.controller()).unwrap_or_default()
    }

    /// Whether the service's strategy runs old and new tasks side by side.
    pub(super) fn shifts_traffic(&self) -> bool {
        let value = self.body.get("deploymentConfiguration");
        value.is_some_and(|value| value.get("strategy").is_some_and(|strategy| strategy != "ROLLING"))
    }

    /// The service deployment that is under way.
    pub(super) fn under_way(&self) -> Option<&ServiceDeployment> {
        self.history.first().filter(|newest| !newest.status.finished())
    }

    /// How far a deployment that goes forward has come.
    pub(super) fn stage(&self) -> Option<Stage> {
        let forward = |one: &&ServiceDeployment| matches!(one.status, Status::Pending | Status::InProgress);
        self.under_way().filter(forward).map(|one| one.stage)
    }

    /// The deployment that serves while another comes: the last one that was good, or else the newest before it.
    pub(super) fn source(&self) -> Option<&Deployment> {
        let mut others = self.deployments.iter().skip(1);
        let good = self.last_good.as_ref().map(|(id, _)| id);
        others.clone().find(|one| Some(&one.id) == good).or_else(|| others.next())
    }

    /// The deployment that gets a share of the production traffic of its own, and its percentage. `None` while all
    /// running tasks share it.
    pub(super) fn shifted(&self) -> Option<(&str, f64)> {
        let primary = self.deployments.first()?;
        let newest = self.history.first().filter(|_| self.configuration().shifts_traffic())?;
        let weight = match newest.status {
            Status::Successful | Status::RollbackSuccessful => return None,
            _ if self.source().is_none() => 100.0,
            Status::RollbackInProgress | Status::RollbackFailed => 100.0,
            _ => newest.weight,
        };
        Some((&primary.id, weight))
    }
}

impl Deployment {
    pub(super) fn new(definition: String, now: f64) -> Self {
        let number: u64 = fastrand::u64(1_000_000_000_000_000_000..10_000_000_000_000_000_000);
        Self::of_revision(&number.to_string(), definition, now)
    }

    /// The deployment of the service revision with this number.
    pub(super) fn of_revision(number: &str, definition: String, now: f64) -> Self {
        let id = format!("ecs-svc/{number}");
        Self {
            reason: format!("ECS deployment {id} in progress."),
            id,
            definition,
            rollout: Rollout::InProgress,
            created: now,
            updated: now,
            failed_tasks: 0,
            retry: now,
            rollback: false,
        }
    }

    /// The number of its service revision.
    pub(super) fn revision(&self) -> &str {
        bare(&self.id)
    }
}

impl State {
    /// The tasks of a service.
    pub(super) fn tasks_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks.values().filter(move |task| task.service == service)
    }

    /// How many tasks of a deployment have not stopped.
    pub(super) fn alive(&self, service: &str, deployment: &str) -> usize {
        self.tasks_of(service).filter(|task| task.deployment == deployment && task.lives()).count()
    }

    /// How many tasks of a deployment have this status.
    pub(super) fn count(&self, service: &str, deployment: &str, status: TaskStatus) -> usize {
        self.tasks_of(service).filter(|task| task.deployment == deployment && task.status == status).count()
    }

    /// The name of a cluster that is given by name or ARN; `default` when none is given.
    ///
    /// # Errors
    /// `ClusterNotFoundException`.
    pub(super) fn cluster(&self, id: Option<&str>) -> Result<String, AwsError> {
        let name = bare(id.unwrap_or("default"));
        if self.clusters.contains_key(name) {
            return Ok(name.to_owned());
        }
        Err(AwsError::client("ClusterNotFoundException", "Cluster not found."))
    }

    /// The service with this name or ARN.
    ///
    /// # Errors
    /// `ServiceNotFoundException`.
    pub(super) fn service_mut(&mut self, cluster: &str, id: &str) -> Result<&mut ServiceRecord, AwsError> {
        let key = format!("{cluster}/{}", bare(id));
        self.services.get_mut(&key).ok_or_else(|| AwsError::client("ServiceNotFoundException", "Service not found."))
    }
}

/// The last part of an ARN, or the name itself.
pub(super) fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

pub(super) fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::client("InvalidParameterException", message)
}

pub(super) fn client_error(message: impl Into<String>) -> AwsError {
    AwsError::client("ClientException", message)
}
