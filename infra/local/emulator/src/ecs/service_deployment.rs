//! A service deployment: one way of a service from its present revision to the next, by which all strategies are
//! judged, and the record of how it ended.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where a service deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Pending,
    InProgress,
    StopRequested,
    Stopped,
    Successful,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::StopRequested => "STOP_REQUESTED",
            Self::Stopped => "STOPPED",
            Self::Successful => "SUCCESSFUL",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    /// Whether it has come to its end, good or bad.
    pub(super) fn finished(self) -> bool {
        matches!(self, Self::Stopped | Self::Successful | Self::RollbackSuccessful | Self::RollbackFailed)
    }
}

/// The stages of a deployment, in their order. Linear and canary deployments come to the traffic shift repeatedly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Stage {
    ReconcileService,
    PreScaleUp,
    ScaleUp,
    PostScaleUp,
    TestTrafficShift,
    PostTestTrafficShift,
    PreProductionTrafficShift,
    ProductionTrafficShift,
    PostProductionTrafficShift,
    BakeTime,
    CleanUp,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ReconcileService => "RECONCILE_SERVICE",
            Self::PreScaleUp => "PRE_SCALE_UP",
            Self::ScaleUp => "SCALE_UP",
            Self::PostScaleUp => "POST_SCALE_UP",
            Self::TestTrafficShift => "TEST_TRAFFIC_SHIFT",
            Self::PostTestTrafficShift => "POST_TEST_TRAFFIC_SHIFT",
            Self::PreProductionTrafficShift => "PRE_PRODUCTION_TRAFFIC_SHIFT",
            Self::ProductionTrafficShift => "PRODUCTION_TRAFFIC_SHIFT",
            Self::PostProductionTrafficShift => "POST_PRODUCTION_TRAFFIC_SHIFT",
            Self::BakeTime => "BAKE_TIME",
            Self::CleanUp => "CLEAN_UP",
        }
    }
}

/// Where a hook of the present stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum HookStatus {
    AwaitingAction,
    Succeeded,
    Failed,
    TimedOut,
}

impl HookStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AwaitingAction => "AWAITING_ACTION",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
        }
    }
}

/// A pause hook at work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hook {
    pub id: String,
    pub status: HookStatus,
    pub expires: f64,
    /// Whether the deployment goes on at `expires`, instead of back.
    pub continues: bool,
}

/// A way back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rollback {
    pub reason: String,
    pub started: f64,
    /// The number of the revision that it goes back to.
    pub revision: String,
}

/// How many tasks of a revision were wanted, ran and were about to, when a deployment ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Summary {
    /// The revision's number.
    pub revision: String,
    pub requested: usize,
    pub running: usize,
    pub pending: usize,
}

/// A service deployment, in ECS's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ServiceDeployment {
    /// The last part of its ARN.
    pub id: String,
    /// The number of the revision that it brings, which the `id` of DescribeServices' deployment has after `ecs-svc/`.
    pub target: String,
    /// The numbers of the revisions that had tasks when it began.
    pub sources: Vec<String>,
    pub status: Status,
    pub reason: Option<String>,
    pub created: f64,
    pub started: Option<f64>,
    pub updated: f64,
    pub finished: Option<f64>,
    pub stopped: Option<f64>,
    /// The deployment configuration when it began.
    pub configuration: Value,
    pub stage: Stage,
    /// When it came to `stage`.
    pub since: f64,
    /// The percentage of the production traffic that its revision gets.
    pub weight: f64,
    /// The hooks of `stage`.
    pub hooks: Vec<Hook>,
    pub rollback: Option<Rollback>,
    /// Whether its alarms are watched: not when one of them rang before it began.
    pub watches_alarms: bool,
    pub rang: Vec<String>,
    /// Whether the circuit breaker ended it.
    pub tripped: bool,
    /// What it failed to start.
    pub failed_tasks: usize,
    /// Kept when it ends; before, the tasks are counted.
    pub summaries: Vec<Summary>,
}

impl ServiceDeployment {
    /// One that has not begun.
    pub(super) fn new(target: String, sources: Vec<String>, configuration: Value, now: f64) -> Self {
        let rolls = configuration.get("strategy").is_none_or(|strategy| strategy == "ROLLING");
        let reconciles = sources.len() > 1 && !rolls;
        Self {
            id: random_id(),
            target,
            stage: if reconciles { Stage::ReconcileService } else { Stage::PreScaleUp },
            sources,
            status: Status::Pending,
            reason: None,
            created: now,
            started: None,
            updated: now,
            finished: None,
            stopped: None,
            configuration,
            since: now,
            weight: 0.0,
            hooks: Vec::new(),
            rollback: None,
            watches_alarms: false,
            rang: Vec::new(),
            tripped: false,
            failed_tasks: 0,
            summaries: Vec::new(),
        }
    }

    /// Goes to a status, for a reason.
    pub(super) fn turn(&mut self, status: Status, reason: Option<String>, now: f64) {
        self.status = status;
        self.reason = reason.or(self.reason.take());
        self.updated = now;
        match status {
            Status::InProgress => self.started = Some(now),
            Status::Stopped => {
                self.stopped = Some(now);
                self.finished = Some(now);
            }
            Status::Successful | Status::RollbackSuccessful | Status::RollbackFailed => self.finished = Some(now),
            Status::Pending | Status::StopRequested | Status::RollbackRequested | Status::RollbackInProgress => {}
        }
    }

    /// Whether somebody has yet to continue it.
    pub(super) fn is_paused(&self) -> bool {
        self.hooks.iter().any(|hook| hook.status == HookStatus::AwaitingAction)
    }

    pub(super) fn show_hooks(&self) -> Value {
        let hooks = self.hooks.iter().map(|hook| {
            json!({
                "hookId": hook.id, "targetType": "PAUSE", "status": hook.status.name(), "expiresAt": hook.expires,
                "timeoutAction": if hook.continues { "CONTINUE" } else { "ROLLBACK" },
            })
        });
        hooks.collect()
    }
}

/// An id as ECS gives them: 21 characters.
fn random_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(21).collect()
}

/// The id of a pause hook at work.
pub(super) fn hook_id() -> String {
    format!("ecs-pause-{}", std::iter::repeat_with(fastrand::alphanumeric).take(43).collect::<String>())
}
