//! Service deployments and revisions as people see them, and what they may do to a deployment that is under way.

use serde_json::{Value, json};

use super::{
    Ecs,
    model::{Revision, ServiceRecord, State, TaskStatus, invalid},
    service_deployment::{HookStatus, ServiceDeployment, Stage, Status},
};
use crate::{
    error::AwsError,
    input::{text, texts, whole},
    page::page,
};

/// So many ARNs can be described in one call.
const MOST_DESCRIBED: usize = 20;

impl Ecs {
    pub(super) fn list_service_deployments(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let cluster = state.cluster(text(input, "cluster"))?;
        let service = state.service_mut(&cluster, text(input, "service").unwrap_or_default())?;
        let (wanted, created) = (texts(input, "status"), &input["createdAt"]);
        let chosen = service.history.iter().filter(|one| {
            (wanted.is_empty() || wanted.iter().any(|status| status == one.status.name()))
                && created["before"].as_f64().is_none_or(|before| one.created < before)
                && created["after"].as_f64().is_none_or(|after| one.created > after)
        });
        let key = service.key();
        let keyed = chosen.map(|one| (one.id.clone(), self.show_brief(&key, one)));
        let limit = whole(input, "maxResults").map_or(20, |limit| usize::try_from(limit).unwrap_or(0).clamp(1, 100));
        let page = page(keyed, text(input, "nextToken"), limit)
            .ok_or_else(|| invalid("Invalid token. It is not one that this operation has given."))?;
        let mut answer = json!({"serviceDeployments": page.items});
        if let Some(next) = page.next {
            answer["nextToken"] = next.into();
        }
        Ok(answer)
    }

    pub(super) fn describe_service_deployments(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns(input, "serviceDeploymentArns")? {
            match find(&state, &arn) {
                Some((service, deployment)) => found.push(self.show_service_deployment(&state, service, deployment)),
                None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
            }
        }
        Ok(json!({"serviceDeployments": found, "failures": failures}))
    }

    pub(super) fn describe_service_revisions(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for arn in arns(input, "serviceRevisionArns")? {
            let revision = place(&arn, "service-revision").and_then(|(key, number)| {
                let service = state.services.get(&key)?;
                service.revisions.iter().find(|one| one.number == number).map(|revision| (service, revision))
            });
            match revision {
                Some((service, revision)) => found.push(self.show_revision(service, revision)),
                None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
            }
        }
        Ok(json!({"serviceRevisions": found, "failures": failures}))
    }

    pub(super) fn stop_service_deployment(&self, input: &Value) -> Result<Value, AwsError> {
        if let Some(other) = text(input, "stopType").filter(|kind| *kind != "ROLLBACK") {
            return Err(invalid(format!("Invalid stop type {other}: only ROLLBACK is valid.")));
        }
        let arn = text(input, "serviceDeploymentArn").unwrap_or_default();
        let now = self.now();
        let mut state = self.state();
        let deployment = find_mut(&mut state, arn)?;
        match deployment.status {
            Status::Pending | Status::InProgress => {
                let reason = "Rollback requested by StopServiceDeployment.".to_owned();
                deployment.turn(Status::RollbackRequested, Some(reason), now);
            }
            Status::StopRequested | Status::RollbackRequested | Status::RollbackInProgress => {}
            Status::Stopped | Status::Successful | Status::RollbackSuccessful | Status::RollbackFailed => {
                let message = format!("The service deployment is {} and can't be stopped.", deployment.status.name());
                return Err(AwsError::client("ConflictException", message));
            }
        }
        Ok(json!({"serviceDeploymentArn": arn}))
    }

    pub(super) fn continue_service_deployment(&self, input: &Value) -> Result<Value, AwsError> {
        let arn = text(input, "serviceDeploymentArn").unwrap_or_default();
        let status = match text(input, "action").unwrap_or("CONTINUE") {
            "CONTINUE" => HookStatus::Succeeded,
            "ROLLBACK" => HookStatus::Failed,
            other => return Err(invalid(format!("Invalid action {other}."))),
        };
        let mut state = self.state();
        let deployment = find_mut(&mut state, arn)?;
        let id = text(input, "hookId").unwrap_or_default();
        let hook = deployment.hooks.iter_mut().find(|hook| hook.id == id && hook.status == HookStatus::AwaitingAction);
        let hook = hook.ok_or_else(|| invalid("The hook does not exist, or does not await an action."))?;
        hook.status = status;
        let hook = hook.clone();
        let (key, _) = place(arn, "service-deployment").unwrap_or_default();
        self.announce_hook(&key, deployment, &hook);
        Ok(json!({"serviceDeploymentArn": arn}))
    }

    pub(super) fn service_deployment_arn(&self, key: &str, id: &str) -> String {
        self.context.arn("ecs", &format!("service-deployment/{key}/{id}"))
    }

    pub(super) fn service_revision_arn(&self, key: &str, number: &str) -> String {
        self.context.arn("ecs", &format!("service-revision/{key}/{number}"))
    }

    fn show_brief(&self, key: &str, deployment: &ServiceDeployment) -> Value {
        let mut shown = json!({
            "serviceDeploymentArn": self.service_deployment_arn(key, &deployment.id),
            "serviceArn": self.service_arn(key),
            "clusterArn": self.cluster_arn(key.split('/').next().unwrap_or_default()),
            "createdAt": deployment.created,
            "targetServiceRevisionArn": self.service_revision_arn(key, &deployment.target),
            "status": deployment.status.name(),
        });
        for (member, time) in [("startedAt", deployment.started), ("finishedAt", deployment.finished)] {
            if let Some(time) = time {
                shown[member] = time.into();
            }
        }
        if let Some(reason) = &deployment.reason {
            shown["statusReason"] = reason.clone().into();
        }
        shown
    }

    fn show_service_deployment(&self, state: &State, service: &ServiceRecord, deployment: &ServiceDeployment) -> Value {
        let key = service.key();
        let mut shown = self.show_brief(&key, deployment);
        if let Some(members) = shown.as_object_mut() {
            members.remove("targetServiceRevisionArn");
        }
        let revision = |number: &String| self.show_summary(state, service, deployment, number);
        shown["updatedAt"] = deployment.updated.into();
        shown["sourceServiceRevisions"] = deployment.sources.iter().map(revision).collect();
        shown["targetServiceRevision"] = revision(&deployment.target);
        shown["deploymentConfiguration"] = deployment.configuration.clone();
        shown["deploymentCircuitBreaker"] = show_breaker(service, deployment);
        shown["alarms"] = show_alarms(service, deployment);
        if deployment.status == Status::InProgress {
            // The model knows no stage before the shift: it is the shift that waits.
            let stage = match deployment.stage {
                Stage::PreProductionTrafficShift => Stage::ProductionTrafficShift,
                stage => stage,
            };
            shown["lifecycleStage"] = stage.name().into();
        }
        if !deployment.hooks.is_empty() {
            shown["lifecycleHookDetails"] = deployment.show_hooks();
        }
        if let Some(stopped) = deployment.stopped {
            shown["stoppedAt"] = stopped.into();
        }
        if let Some(rollback) = &deployment.rollback {
            shown["rollback"] = json!({
                "reason": rollback.reason, "startedAt": rollback.started,
                "serviceRevisionArn": self.service_revision_arn(&key, &rollback.revision),
            });
        }
        shown
    }

    /// A revision's tasks, and its traffic where that is shifted.
    fn show_summary(
        &self,
        state: &State,
        service: &ServiceRecord,
        deployment: &ServiceDeployment,
        number: &str,
    ) -> Value {
        let key = service.key();
        let (requested, running, pending) = match deployment.summaries.iter().find(|one| one.revision == number) {
            Some(kept) => (kept.requested, kept.running, kept.pending),
            None if deployment.status.finished() => (0, 0, 0),
            None => count_revision(state, service, number),
        };
        let mut shown = json!({
            "arn": self.service_revision_arn(&key, number), "requestedTaskCount": requested,
            "runningTaskCount": running, "pendingTaskCount": pending,
        });
        if deployment.configuration.get("strategy").is_some_and(|strategy| strategy != "ROLLING") {
            let back = deployment.rollback.is_some();
            let share = |percent: f64| if number == deployment.target { percent } else { 100.0 - percent };
            let tested = deployment.stage >= Stage::TestTrafficShift && !back;
            shown["requestedProductionTrafficWeight"] = share(if back { 0.0 } else { deployment.weight }).into();
            shown["requestedTestTrafficWeight"] = share(if tested { 100.0 } else { 0.0 }).into();
        }
        shown
    }

    /// The revisions that have a deployment now.
    pub(super) fn show_current_revisions(&self, state: &State, service: &ServiceRecord) -> Value {
        let revisions = service.deployments.iter().map(|deployment| {
            let (requested, running, pending) = count_revision(state, service, deployment.revision());
            json!({
                "arn": self.service_revision_arn(&service.key(), deployment.revision()),
                "requestedTaskCount": requested, "runningTaskCount": running, "pendingTaskCount": pending,
            })
        });
        revisions.collect()
    }

    fn show_revision(&self, service: &ServiceRecord, revision: &Revision) -> Value {
        let mut shown = Value::Object(revision.body.clone());
        shown["serviceRevisionArn"] = self.service_revision_arn(&service.key(), &revision.number).into();
        shown["serviceArn"] = self.service_arn(&service.key()).into();
        shown["clusterArn"] = self.cluster_arn(&service.cluster).into();
        shown["taskDefinition"] = revision.definition.clone().into();
        shown["createdAt"] = revision.created.into();
        shown
    }
}

/// How many tasks of a revision are wanted, run, and are about to.
fn count_revision(state: &State, service: &ServiceRecord, number: &str) -> (usize, usize, usize) {
    let Some(at) = service.deployments.iter().position(|one| one.revision() == number) else { return (0, 0, 0) };
    let count = |status| state.count(&service.key(), &service.deployments[at].id, status);
    (service.wanted_of(at), count(TaskStatus::Running), count(TaskStatus::Pending))
}

fn show_breaker(service: &ServiceRecord, deployment: &ServiceDeployment) -> Value {
    let breaker = service.configuration_of(deployment).breaker;
    let status = monitor(deployment, breaker.is_some(), deployment.tripped);
    let present = service.deployments.first().filter(|one| one.revision() == deployment.target);
    let failures = present.map_or(deployment.failed_tasks, |one| one.failed_tasks.max(deployment.failed_tasks));
    let threshold = breaker.map_or(3, |breaker| breaker.threshold(service.desired));
    json!({"status": status, "failureCount": failures, "threshold": threshold})
}

fn show_alarms(service: &ServiceRecord, deployment: &ServiceDeployment) -> Value {
    match service.configuration_of(deployment).alarms {
        None => json!({"status": "DISABLED", "alarmNames": [], "triggeredAlarmNames": []}),
        Some(alarms) => {
            let status = monitor(deployment, deployment.watches_alarms, !deployment.rang.is_empty());
            json!({"status": status, "alarmNames": alarms.names, "triggeredAlarmNames": deployment.rang})
        }
    }
}

fn monitor(deployment: &ServiceDeployment, enabled: bool, triggered: bool) -> &'static str {
    match (enabled, triggered) {
        (false, _) => "DISABLED",
        (true, true) => "TRIGGERED",
        (true, false) if deployment.status.finished() => "MONITORING_COMPLETE",
        (true, false) => "MONITORING",
    }
}

fn arns(input: &Value, member: &str) -> Result<Vec<String>, AwsError> {
    let arns = texts(input, member);
    if arns.is_empty() || arns.len() > MOST_DESCRIBED {
        return Err(invalid(format!("{member} must contain between 1 and {MOST_DESCRIBED} elements.")));
    }
    Ok(arns)
}

/// The service's key and the id in an ARN of `kind`.
fn place(arn: &str, kind: &str) -> Option<(String, String)> {
    let rest = arn.splitn(6, ':').nth(5)?.strip_prefix(kind)?.strip_prefix('/')?;
    let (key, id) = rest.rsplit_once('/')?;
    Some((key.to_owned(), id.to_owned()))
}

fn find<'a>(state: &'a State, arn: &str) -> Option<(&'a ServiceRecord, &'a ServiceDeployment)> {
    let (key, id) = place(arn, "service-deployment")?;
    let service = state.services.get(&key)?;
    service.history.iter().find(|one| one.id == id).map(|deployment| (service, deployment))
}

fn find_mut<'a>(state: &'a mut State, arn: &str) -> Result<&'a mut ServiceDeployment, AwsError> {
    let found = place(arn, "service-deployment").and_then(|(key, id)| {
        let service = state.services.get_mut(&key)?;
        service.history.iter_mut().find(|one| one.id == id)
    });
    found.ok_or_else(|| AwsError::client("ServiceDeploymentNotFoundException", "The service deployment doesn't exist."))
}
