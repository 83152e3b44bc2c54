//! Deployments: how one begins, how it ends, and the events that tell of it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Ecs,
    model::{Deployment, Revision, Rollout, ServiceRecord, State, TaskStatus},
    service_deployment::{Hook, Rollback, ServiceDeployment, Stage, Status, Summary},
    services::DEPLOYED,
};

/// Why a deployment ends badly.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Too many tasks could not be started.
    Breaker,
    /// Alarms rang.
    Alarms(Vec<String>),
    /// Somebody stopped it.
    Stopped,
    /// Somebody did not continue it at a hook, or nobody answered in time.
    Hook,
}

impl Failure {
    /// What DescribeServices says of the deployment that failed.
    fn of_deployment(&self) -> String {
        match self {
            Self::Breaker => "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
            Self::Alarms(_) => "ECS deployment failed: alarm detected.".to_owned(),
            Self::Stopped => "ECS deployment was stopped.".to_owned(),
            Self::Hook => "ECS deployment failed: a lifecycle hook did not succeed.".to_owned(),
        }
    }

    /// What DescribeServices says of the deployment that comes back, whose id is `id`.
    fn of_return(&self, id: &str) -> String {
        match self {
            Self::Breaker => format!("ECS deployment circuit breaker: rolling back to deploymentId {id}."),
            Self::Alarms(_) => format!("ECS deployment alarm: rolling back to deploymentId {id}."),
            Self::Stopped | Self::Hook => format!("ECS deployment: rolling back to deploymentId {id}."),
        }
    }

    /// What the service deployment says.
    fn of_service_deployment(&self, verb: &str) -> String {
        let why = match self {
            Self::Breaker => "because the circuit breaker threshold was exceeded.".to_owned(),
            Self::Alarms(names) => format!("because of the alarms {}.", names.join(", ")),
            Self::Stopped => "because of a StopServiceDeployment request.".to_owned(),
            Self::Hook => "because a lifecycle hook did not succeed.".to_owned(),
        };
        format!("Service deployment {verb} {why}")
    }
}

impl Ecs {
    /// Makes a deployment of `definition` the service's PRIMARY one. What was under way is given up.
    pub(super) fn deploy(&self, state: &mut State, key: &str, definition: String) {
        let now = self.now();
        let ringing = state.ringing.clone();
        let with_tasks = |deployment: &&Deployment| state.alive(key, &deployment.id) > 0;
        let Some(service) = state.services.get(key) else { return };
        let sources = service.deployments.iter().filter(with_tasks).map(|one| one.revision().to_owned()).collect();
        let Some(service) = state.services.get_mut(key) else { return };
        let deployment = Deployment::new(definition, now);
        service.revisions.push(Revision {
            number: deployment.revision().to_owned(),
            definition: deployment.definition.clone(),
            body: deployed_members(service),
            created: now,
        });
        if service.controller() == "ECS" {
            if let Some(older) = service.history.first_mut().filter(|older| !older.status.finished()) {
                let reason = "Service deployment stopped because a new service deployment was started.";
                older.turn(Status::StopRequested, Some(reason.to_owned()), now);
            }
            let configuration = service.body.get("deploymentConfiguration").cloned().unwrap_or_default();
            let number = deployment.revision().to_owned();
            let mut begun = ServiceDeployment::new(number, sources, configuration, now);
            let watched = texts_of(&begun.configuration["alarms"]["alarmNames"]);
            begun.watches_alarms = watched.iter().all(|name| !ringing.contains(name));
            service.history.insert(0, begun);
        }
        self.announce(service, &deployment, "INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS");
        service.deployments.insert(0, deployment);
    }

    /// Ends the PRIMARY deployment well.
    pub(super) fn complete(&self, state: &mut State, key: &str, now: f64) {
        let summaries = summaries(state, key);
        let Some(service) = state.services.get_mut(key) else { return };
        let Some(primary) = service.deployments.first_mut() else { return };
        primary.rollout = Rollout::Completed;
        primary.updated = now;
        primary.reason = format!("ECS deployment {} completed.", primary.id);
        let primary = primary.clone();
        service.last_good = Some((primary.id.clone(), primary.definition.clone()));
        if let Some(newest) = service.history.first_mut().filter(|newest| !newest.status.finished()) {
            let status = match newest.status {
                Status::RollbackInProgress => Status::RollbackSuccessful,
                _ => Status::Successful,
            };
            newest.turn(status, None, now);
            newest.summaries = summaries;
        }
        service.log(now, format!("(service {}) (deployment {}) deployment completed.", service.name, primary.id));
        service.log(now, format!("(service {}) has reached a steady state.", service.name));
        self.announce(service, &primary, "INFO", "SERVICE_DEPLOYMENT_COMPLETED");
    }

    /// Ends the PRIMARY deployment badly, and goes back to the last good one if that is wanted.
    pub(super) fn fail(&self, state: &mut State, key: &str, failure: &Failure, now: f64) {
        let counted = summaries(state, key);
        let Some(service) = state.services.get_mut(key) else { return };
        let configuration = service.configuration();
        let Some(primary) = service.deployments.first_mut() else { return };
        primary.rollout = Rollout::Failed;
        primary.updated = now;
        primary.reason = failure.of_deployment();
        let failed = primary.clone();
        let why = failed.reason.rsplit(": ").next().unwrap_or_default();
        service.log(now, format!("(service {}) (deployment {}) deployment failed: {why}", service.name, failed.id));
        if configuration.breaker.is_some() {
            self.announce(service, &failed, "ERROR", "SERVICE_DEPLOYMENT_FAILED");
        }
        let wanted = match failure {
            Failure::Breaker => configuration.breaker.is_some_and(|breaker| breaker.rollback),
            Failure::Alarms(_) => configuration.alarms.as_ref().is_some_and(|alarms| alarms.rollback),
            Failure::Stopped | Failure::Hook => true,
        };
        let good = service.last_good.clone().filter(|(id, _)| *id != failed.id && !failed.rollback);
        let Some(newest) = service.history.first_mut() else { return };
        note_failure(newest, failure, failed.failed_tasks);
        match good {
            Some((id, definition)) if wanted => self.go_back(service, failure, (&id, definition), now),
            _ => {
                let (status, verb) = match wanted {
                    true => (Status::RollbackFailed, "could not be rolled back"),
                    false => (Status::Stopped, "stopped"),
                };
                newest.turn(status, Some(failure.of_service_deployment(verb)), now);
                newest.summaries = counted;
            }
        }
    }

    /// Makes the deployment that was good the PRIMARY one again, under its own id, with what its revision says.
    fn go_back(&self, service: &mut ServiceRecord, failure: &Failure, to: (&str, String), now: f64) {
        let (id, definition) = to;
        let number = super::model::bare(id).to_owned();
        if let Some(newest) = service.history.first_mut() {
            let reason = failure.of_service_deployment("rolled back");
            newest.rollback = Some(Rollback { reason: reason.clone(), started: now, revision: number.clone() });
            newest.turn(Status::RollbackInProgress, Some(reason), now);
            newest.hooks.clear();
        }
        service.deployments.retain(|deployment| deployment.id != id);
        service.log(now, format!("(service {}) rolling back to deployment {id}.", service.name));
        let reason = failure.of_return(id);
        let deployment = Deployment { rollback: true, reason, ..Deployment::of_revision(&number, definition, now) };
        if let Some(revision) = service.revisions.iter().find(|revision| revision.number == number) {
            let members = revision.body.clone();
            service.body.extend(members);
        }
        self.announce(service, &deployment, "INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS");
        service.deployments.insert(0, deployment);
    }

    /// Puts `ECS Deployment State Change` on the bus.
    fn announce(&self, service: &ServiceRecord, deployment: &Deployment, kind: &str, name: &str) {
        let detail = json!({
            "eventType": kind,
            "eventName": name,
            "clusterArn": self.cluster_arn(&service.cluster),
            "deploymentId": deployment.id,
            "updatedAt": self.timestamp(self.now()),
            "reason": deployment.reason,
        });
        let resources = [self.service_arn(&service.key())];
        self.context.bus.put("aws.ecs", "ECS Deployment State Change", &resources, detail);
    }

    /// Puts `ECS Hook State Change` on the bus.
    pub(super) fn announce_hook(&self, key: &str, deployment: &ServiceDeployment, hook: &Hook) {
        let arn = self.service_deployment_arn(key, &deployment.id);
        let detail = json!({
            "eventType": "INFO",
            "eventName": format!("HOOK_{}", hook.status.name()),
            "hookId": hook.id,
            "hookType": "PAUSE",
            "expiresAt": self.timestamp(hook.expires),
            "lifecycleStage": deployment.stage.name(),
            "clusterArn": self.cluster_arn(key.split('/').next().unwrap_or_default()),
            "serviceArn": self.service_arn(key),
            "serviceDeploymentArn": arn,
            "updatedAt": self.timestamp(self.now()),
        });
        self.context.bus.put("aws.ecs", "ECS Hook State Change", &[arn], detail);
    }

    /// Epoch seconds as events write them.
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
    fn timestamp(&self, at: f64) -> String {
        Timestamp::from_millisecond((at * 1000.0).round() as i64).unwrap_or_default().to_string()
    }
}

/// What the service is to run, apart from its task definition.
fn deployed_members(service: &ServiceRecord) -> serde_json::Map<String, Value> {
    let members = DEPLOYED.iter().chain(&["launchType"]);
    members.filter_map(|member| Some(((*member).to_owned(), service.body.get(*member)?.clone()))).collect()
}

fn texts_of(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

fn note_failure(newest: &mut ServiceDeployment, failure: &Failure, failed_tasks: usize) {
    newest.failed_tasks = newest.failed_tasks.max(failed_tasks);
    match failure {
        Failure::Breaker => newest.tripped = true,
        Failure::Alarms(names) => newest.rang.clone_from(names),
        Failure::Stopped | Failure::Hook => {}
    }
}

/// How many tasks each deployment of a service has.
fn summaries(state: &State, key: &str) -> Vec<Summary> {
    let Some(service) = state.services.get(key) else { return Vec::new() };
    let summary = |(index, deployment): (usize, &Deployment)| Summary {
        revision: deployment.revision().to_owned(),
        requested: service.wanted_of(index),
        running: state.count(key, &deployment.id, TaskStatus::Running),
        pending: state.count(key, &deployment.id, TaskStatus::Pending),
    };
    service.deployments.iter().enumerate().map(summary).collect()
}

impl ServiceRecord {
    /// How many tasks the deployment at this place is to have: the newest all, but not before it scales up; the one
    /// that serves meanwhile as well.
    pub(super) fn wanted_of(&self, index: usize) -> usize {
        let shifts = self.configuration().shifts_traffic();
        let source = self.source().map(|source| &source.id);
        let is_source = self.deployments.get(index).map(|one| &one.id) == source;
        match self.stage() {
            Some(Stage::ReconcileService | Stage::PreScaleUp) if index == 0 => 0,
            Some(Stage::ReconcileService | Stage::PreScaleUp) if is_source => self.desired,
            Some(stage) if is_source && shifts && stage < Stage::CleanUp => self.desired,
            _ if index == 0 => self.desired,
            _ => 0,
        }
    }
}
