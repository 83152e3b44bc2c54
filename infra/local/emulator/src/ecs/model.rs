//! What ECS keeps: clusters, task definitions, services with their deployments, and tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::AwsError;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub clusters: BTreeMap<String, Cluster>,
    /// By family, oldest revision first.
    pub families: BTreeMap<String, Vec<Definition>>,
    /// By `cluster/service`.
    pub services: BTreeMap<String, ServiceRecord>,
    /// By id.
    pub tasks: BTreeMap<String, Task>,
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
    /// Newest first.
    pub events: Vec<Value>,
    pub tags: Vec<Value>,
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
    /// Whether the circuit breaker made it.
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

    /// Whether the circuit breaker is on, and whether it rolls back.
    pub(super) fn circuit_breaker(&self) -> (bool, bool) {
        let breaker = self.body.get("deploymentConfiguration").map(|one| &one["deploymentCircuitBreaker"]);
        let flag = |member: &str| breaker.and_then(|breaker| breaker[member].as_bool()).unwrap_or(false);
        (flag("enable"), flag("rollback"))
    }
}

impl Deployment {
    pub(super) fn new(definition: String, now: f64) -> Self {
        let number: u64 = fastrand::u64(1_000_000_000_000_000_000..10_000_000_000_000_000_000);
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
}

impl State {
    /// The tasks of a service.
    pub(super) fn tasks_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks.values().filter(move |task| task.service == service)
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
