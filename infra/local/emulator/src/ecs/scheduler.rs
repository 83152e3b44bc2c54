//! The scheduler: starts and stops tasks until each service has what is wanted of it. It decides from what is there,
//! so that it goes on where it was after a restart.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Ecs, definitions,
    model::{Deployment, Rollout, ServiceRecord, ServiceStatus, State, Task, TaskStatus, bare},
};
use crate::{
    efs::Mount,
    input::{list, text},
};

/// How long ECS shows a stopped task, in seconds.
const STOPPED_TASKS_ARE_KEPT: f64 = 3600.0;

/// How long ECS shows a service deployment, in seconds.
const HISTORY_IS_KEPT: f64 = 90.0 * 24.0 * 3600.0;

impl Ecs {
    /// Brings the services to what is wanted, for ever.
    pub(super) async fn run(self: Arc<Self>, listens: bool, shutdown: CancellationToken) {
        self.remount();
        loop {
            let next = self.advance();
            if listens {
                self.listen_to_all(&shutdown).await;
            }
            // A scheduler with nothing due sets no timer, so that a paused runtime doesn't jump to it.
            let Some(next) = next else {
                self.changed.notified().await;
                continue;
            };
            let wait = Duration::from_secs_f64((next - self.now()).max(0.001));
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.context.clock.sleep(wait) => {}
            }
        }
    }

    /// Does what is due, and says when the next thing is, in epoch seconds.
    pub(super) fn advance(&self) -> Option<f64> {
        let now = self.now();
        let mut state = self.state();
        let due: Vec<String> = state
            .tasks
            .values()
            .filter(|task| matches!(task.status, TaskStatus::Pending | TaskStatus::Stopping) && task.due <= now)
            .map(|task| task.id.clone())
            .collect();
        for id in due {
            self.finish_transition(&mut state, &id, now);
        }
        for key in state.services.keys().cloned().collect::<Vec<String>>() {
            self.steer(&mut state, &key, now);
        }
        state.tasks.retain(|_, task| task.stopped.is_none_or(|at| now - at < STOPPED_TASKS_ARE_KEPT));
        let transitions = state.tasks.values().filter_map(|task| match task.status {
            TaskStatus::Pending | TaskStatus::Stopping => Some(task.due),
            TaskStatus::Running | TaskStatus::Stopped => None,
        });
        let deployments = state.services.values().flat_map(|service| &service.deployments);
        let looks = state.services.values().filter_map(ServiceRecord::next_look);
        let later = deployments.map(|deployment| deployment.retry).chain(looks).filter(|at| *at > now);
        transitions.chain(later).min_by(f64::total_cmp)
    }

    /// When a transition that begins now ends.
    pub(super) fn transition_end(&self) -> f64 {
        self.now() + self.context.pace.task_transition.as_secs_f64()
    }

    fn finish_transition(&self, state: &mut State, id: &str, now: f64) {
        let Some(task) = state.tasks.get(id).cloned() else { return };
        let mounted = (task.status == TaskStatus::Pending).then(|| self.mount(state, &task));
        let Some(task) = state.tasks.get_mut(id) else { return };
        match mounted {
            Some(Ok(mount)) => {
                task.status = TaskStatus::Running;
                task.started = Some(now);
                self.mounts().insert(task.id.clone(), mount);
                let task = task.clone();
                note_success(state, &task);
            }
            Some(Err(why)) => {
                task.stop_code = Some("TaskFailedToStart".to_owned());
                task.stopped_reason = Some(why);
                task.status = TaskStatus::Stopped;
                task.stopped = Some(now);
                let task = task.clone();
                self.note_failure(state, &task, now);
            }
            None => {
                task.status = TaskStatus::Stopped;
                task.stopped = Some(now);
                self.mounts().remove(id);
            }
        }
    }

    /// Counts a task that could not be started, and puts off the next: a little longer each time.
    fn note_failure(&self, state: &mut State, task: &Task, now: f64) {
        let Some(service) = state.services.get_mut(&task.service) else { return };
        let why = task.stopped_reason.as_deref().unwrap_or_default();
        let message = format!("(service {}) failed to start task {}: {why}", service.name, task.id);
        tracing::warn!(service = task.service, task = task.id, why, "An ECS task can't be started");
        service.log(now, message);
        let pace = self.context.pace.task_transition.as_secs_f64();
        if let Some(deployment) = service.deployments.iter_mut().find(|one| one.id == task.deployment) {
            deployment.failed_tasks += 1;
            deployment.updated = now;
            let failures = u32::try_from(deployment.failed_tasks).unwrap_or(u32::MAX);
            deployment.retry = now + pace * f64::from(failures.saturating_sub(3).min(60));
        }
    }

    /// Takes one service as far as it comes now.
    fn steer(&self, state: &mut State, key: &str, now: f64) {
        let draining = state.services.get(key).is_some_and(|service| service.status == ServiceStatus::Draining);
        if draining {
            self.scale(state, key);
        } else {
            self.attend(state, key, now);
            loop {
                self.scale(state, key);
                if !self.progress(state, key, now) {
                    break;
                }
            }
        }
        clear(state, key, now);
    }

    /// Starts and stops tasks of one service, within the limits of its deployment configuration.
    fn scale(&self, state: &mut State, key: &str) {
        let Some(service) = state.services.get(key) else { return };
        let Some(primary) = service.deployments.first().cloned() else { return };
        let wanted = service.deployments.iter().enumerate().map(|(at, one)| (at, one.clone(), service.wanted_of(at)));
        let kept: Vec<(usize, Deployment, usize)> = wanted.filter(|(at, _, wanted)| *at == 0 || *wanted > 0).collect();
        let shifts = service.shifted().is_some();
        let part = |percent: usize| service.desired * percent;
        let most = if shifts { usize::MAX } else { part(service.percent("maximumPercent", 200)) / 100 };
        let fewest = if shifts { 0 } else { part(service.percent("minimumHealthyPercent", 100)).div_ceil(100) };
        let leaves_old = primary.rollout == Rollout::Failed && service.status == ServiceStatus::Active;
        for (_, deployment, wanted) in &kept {
            self.bring_to(state, key, deployment, *wanted, most);
        }
        if !leaves_old {
            let is_old = |task: &Task| kept.iter().all(|(_, one, _)| one.id != task.deployment);
            self.stop_old_tasks(state, key, &primary.id, is_old, fewest);
        }
    }

    /// Gives a deployment so many tasks, as far as the service may have `most`.
    fn bring_to(&self, state: &mut State, key: &str, deployment: &Deployment, wanted: usize, most: usize) {
        let now = self.now();
        let alive = state.tasks_of(key).filter(|task| task.lives()).count();
        let pending = state.count(key, &deployment.id, TaskStatus::Pending);
        let present = pending + state.count(key, &deployment.id, TaskStatus::Running);
        if deployment.rollout != Rollout::Failed && deployment.retry <= now {
            for _ in 0..wanted.saturating_sub(present).min(most.saturating_sub(alive)) {
                self.start_task(state, key, &deployment.id, &deployment.definition, now);
            }
        }
        let surplus = present.saturating_sub(wanted);
        let own = |task: &Task| task.deployment == deployment.id;
        self.stop_tasks(state, key, surplus, own, "Scaling activity initiated");
    }

    /// Stops tasks of superseded deployments: those that don't run at once, those that do as new ones take over.
    fn stop_old_tasks(
        &self,
        state: &mut State,
        key: &str,
        primary: &str,
        is_old: impl Fn(&Task) -> bool,
        fewest: usize,
    ) {
        let old = |task: &Task, status| is_old(task) && task.status == status;
        let reason = format!("Scaling activity initiated by (deployment {primary})");
        self.stop_tasks(state, key, usize::MAX, |task| old(task, TaskStatus::Pending), &reason);
        let running = state.tasks_of(key).filter(|task| task.status == TaskStatus::Running).count();
        let spare = running.saturating_sub(fewest);
        self.stop_tasks(state, key, spare, |task| old(task, TaskStatus::Running), &reason);
    }

    fn start_task(&self, state: &mut State, key: &str, deployment: &str, definition: &str, now: f64) {
        let id = crate::ids::random_uuid().simple().to_string();
        let Some(service) = state.services.get_mut(key) else { return };
        service.log(now, format!("(service {}) has started 1 tasks: (task {id}).", service.name));
        let task = Task {
            id: id.clone(),
            cluster: service.cluster.clone(),
            service: key.to_owned(),
            deployment: deployment.to_owned(),
            definition: definition.to_owned(),
            status: TaskStatus::Pending,
            due: self.transition_end(),
            created: now,
            started: None,
            stopping: None,
            stopped: None,
            stop_code: None,
            stopped_reason: None,
        };
        state.tasks.insert(id, task);
    }

    fn stop_tasks(&self, state: &mut State, key: &str, limit: usize, chosen: impl Fn(&Task) -> bool, reason: &str) {
        let (now, due) = (self.now(), self.transition_end());
        let alive = |task: &&mut Task| matches!(task.status, TaskStatus::Pending | TaskStatus::Running);
        let of_service = state.tasks.values_mut().filter(|task| task.service == key).filter(alive);
        for task in of_service.filter(|task| chosen(task)).take(limit) {
            task.stop(now, due, "ServiceSchedulerInitiated", reason);
        }
    }

    /// Takes the handles of the tasks that ran before a restart again.
    fn remount(&self) {
        let mut state = self.state();
        let running: BTreeMap<String, Task> = state
            .tasks
            .iter()
            .filter(|(_, task)| task.status == TaskStatus::Running)
            .map(|(id, task)| (id.clone(), task.clone()))
            .collect();
        let now = self.now();
        for (id, task) in running {
            match self.mount(&state, &task) {
                Ok(mount) => {
                    self.mounts().insert(id, mount);
                }
                Err(why) => {
                    if let Some(task) = state.tasks.get_mut(&id) {
                        task.stop(now, now, "EssentialContainerExited", &why);
                    }
                }
            }
        }
    }

    /// What a task serves: the first mount point of its containers. None when they mount nothing. Every EFS volume
    /// must be there, or the task can't start.
    fn mount(&self, state: &State, task: &Task) -> Result<Option<Mount>, String> {
        let definition = definitions::find(state, &task.definition)
            .ok_or_else(|| format!("The task definition {} does not exist", bare(&task.definition)))?;
        let body = Value::Object(definition.body.clone());
        let mut mounts = BTreeMap::new();
        for volume in list(&body, "volumes") {
            let Some(efs) = volume.get("efsVolumeConfiguration").filter(|one| one.is_object()) else { continue };
            let root = text(efs, "rootDirectory").unwrap_or("/");
            let point = text(&efs["authorizationConfig"], "accessPointId");
            let mount = self.efs.mount(text(efs, "fileSystemId").unwrap_or_default(), point, root).map_err(|why| {
                format!("ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: {why}")
            })?;
            mounts.insert(text(volume, "name").unwrap_or_default().to_owned(), mount);
        }
        let points = list(&body, "containerDefinitions").iter().flat_map(|container| list(container, "mountPoints"));
        let mut sources = points.filter_map(|point| text(point, "sourceVolume"));
        Ok(sources.find_map(|source| mounts.remove(source)))
    }
}

/// A task that runs makes the circuit breaker forget those that didn't.
fn note_success(state: &mut State, task: &Task) {
    let Some(service) = state.services.get_mut(&task.service) else { return };
    let forgets = service.configuration().breaker.is_none_or(|breaker| breaker.resets);
    let deployment = service.deployments.iter_mut().find(|one| one.id == task.deployment);
    if let Some(deployment) = deployment.filter(|_| forgets) {
        deployment.failed_tasks = 0;
    }
}

/// Forgets deployments whose tasks have stopped, and all of a service that has drained.
fn clear(state: &mut State, key: &str, now: f64) {
    let Some(service) = state.services.get(key) else { return };
    let alive: Vec<bool> = service.deployments.iter().map(|one| state.alive(key, &one.id) > 0).collect();
    let Some(service) = state.services.get_mut(key) else { return };
    let drained = service.status == ServiceStatus::Draining && !alive.contains(&true);
    if drained {
        service.status = ServiceStatus::Inactive;
        service.deployments.clear();
        service.revisions.clear();
        service.history.clear();
    }
    let mut alive = alive.into_iter().enumerate();
    service.deployments.retain(|_| alive.next().is_some_and(|(at, alive)| at == 0 || alive));
    service.history.retain(|one| one.finished.is_none_or(|at| now - at < HISTORY_IS_KEPT));
}
