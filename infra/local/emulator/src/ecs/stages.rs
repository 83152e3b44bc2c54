//! How a service deployment goes from stage to stage, and what ends it on the way.

use super::{
    Ecs,
    configuration::Pause,
    deployments::Failure,
    model::{Rollout, ServiceRecord, Stage, State, TaskStatus},
    service_deployment::{Hook, HookStatus, ServiceDeployment, Status, hook_id},
};

/// The tasks of a service while a deployment is under way.
struct Tasks {
    /// Of the PRIMARY deployment, running.
    running: usize,
    /// Of the deployment that serves meanwhile, not yet stopped.
    source: usize,
    /// Of all.
    alive: usize,
}

impl Ecs {
    /// Begins what waits to begin, and ends what has been asked to end or has failed.
    pub(super) fn attend(&self, state: &mut State, key: &str, now: f64) {
        let Some(service) = state.services.get_mut(key) else { return };
        for older in service.history.iter_mut().filter(|one| one.status == Status::StopRequested) {
            older.turn(Status::Stopped, None, now);
        }
        if service.history.first().is_some_and(|newest| newest.status == Status::Pending) {
            let stage = service.history.first().map_or(Stage::PreScaleUp, |newest| newest.stage);
            if let Some(newest) = service.history.first_mut() {
                newest.turn(Status::InProgress, None, now);
            }
            self.enter(service, stage, now);
        }
        self.expire_hooks(service, now);
        if let Some(failure) = failure(state, key) {
            self.fail(state, key, &failure, now);
        }
    }

    /// Takes the deployment that is under way on by one stage, or to its end. False when it has to wait.
    pub(super) fn progress(&self, state: &mut State, key: &str, now: f64) -> bool {
        let Some(tasks) = tasks(state, key) else { return false };
        let Some(service) = state.services.get_mut(key) else { return false };
        let Some(primary) = service.deployments.first().filter(|primary| primary.rollout == Rollout::InProgress) else {
            return false;
        };
        let done = tasks.running == service.desired && tasks.alive == tasks.running;
        let forward = !primary.rollback && service.controller() == "ECS";
        if !forward {
            if done {
                self.complete(state, key, now);
            }
            return false;
        }
        match service.stage() {
            // A service that was saved by an earlier version has no stages.
            None if done && service.under_way().is_none() => {
                self.complete(state, key, now);
                false
            }
            None => false,
            Some(Stage::CleanUp) => {
                let cleaned = !service.configuration().shifts_traffic() || done;
                if cleaned {
                    self.complete(state, key, now);
                }
                false
            }
            Some(stage) => match service.next_stage(stage, &tasks, now) {
                Some(next) => {
                    self.enter(service, next, now);
                    true
                }
                None => false,
            },
        }
    }

    /// Comes to a stage: its pauses begin, and its share of the traffic moves.
    fn enter(&self, service: &mut ServiceRecord, stage: Stage, now: f64) {
        let (key, configuration) = (service.key(), service.configuration());
        let Some(newest) = service.history.first_mut() else { return };
        newest.stage = stage;
        newest.since = now;
        newest.updated = now;
        if stage == Stage::ProductionTrafficShift {
            newest.weight = configuration.next_weight(newest.weight);
        }
        let pauses = configuration.pauses.iter().filter(|pause| pause.stages.contains(&stage));
        newest.hooks = pauses.map(|pause| begin(pause, now)).collect();
        for hook in &newest.hooks {
            self.announce_hook(&key, newest, hook);
        }
    }

    fn expire_hooks(&self, service: &mut ServiceRecord, now: f64) {
        let key = service.key();
        let Some(newest) = service.history.first_mut().filter(|newest| newest.status == Status::InProgress) else {
            return;
        };
        let waits = |hook: &&mut Hook| hook.status == HookStatus::AwaitingAction && hook.expires <= now;
        let mut expired = Vec::new();
        for hook in newest.hooks.iter_mut().filter(waits) {
            hook.status = HookStatus::TimedOut;
            expired.push(hook.clone());
        }
        for hook in expired {
            self.announce_hook(&key, newest, &hook);
        }
    }
}

impl ServiceRecord {
    /// The stage that follows, if nothing keeps the deployment in `stage`.
    fn next_stage(&self, stage: Stage, tasks: &Tasks, now: f64) -> Option<Stage> {
        let newest = self.history.first()?;
        let configuration = self.configuration();
        if newest.is_paused() {
            return None;
        }
        let shifts = configuration.shifts_traffic();
        Some(match stage {
            Stage::ReconcileService if tasks.alive > tasks.source => return None,
            Stage::ReconcileService => Stage::PreScaleUp,
            Stage::PreScaleUp => Stage::ScaleUp,
            Stage::ScaleUp if !self.is_scaled_up(tasks) => return None,
            Stage::ScaleUp => Stage::PostScaleUp,
            Stage::PostScaleUp if shifts => Stage::TestTrafficShift,
            Stage::TestTrafficShift => Stage::PostTestTrafficShift,
            Stage::PostTestTrafficShift => Stage::PreProductionTrafficShift,
            Stage::PreProductionTrafficShift => Stage::ProductionTrafficShift,
            Stage::ProductionTrafficShift if newest.weight >= 100.0 => Stage::PostProductionTrafficShift,
            Stage::ProductionTrafficShift if now < newest.since + configuration.step_bake() => return None,
            Stage::ProductionTrafficShift => Stage::PreProductionTrafficShift,
            Stage::PostScaleUp | Stage::PostProductionTrafficShift => Stage::BakeTime,
            Stage::BakeTime if now < newest.since + configuration.bake => return None,
            Stage::BakeTime => Stage::CleanUp,
            Stage::CleanUp => return None,
        })
    }

    /// Whether enough tasks of the new revision run, and no more of the old ones than may.
    fn is_scaled_up(&self, tasks: &Tasks) -> bool {
        let configuration = self.configuration();
        if configuration.shifts_traffic() {
            return tasks.running >= self.desired;
        }
        match configuration.early {
            None => tasks.running == self.desired && tasks.alive == tasks.running,
            Some(early) => {
                let enough = (self.desired * early.healthy_percent).div_ceil(100);
                tasks.running >= enough && (early.deferred || tasks.source == 0)
            }
        }
    }

    /// When the deployment that is under way has next to be looked at, in epoch seconds.
    pub(super) fn next_look(&self) -> Option<f64> {
        let newest = self.under_way().filter(|newest| newest.status == Status::InProgress)?;
        if newest.is_paused() {
            return newest.hooks.iter().map(|hook| hook.expires).min_by(f64::total_cmp);
        }
        let configuration = self.configuration();
        match newest.stage {
            Stage::BakeTime => Some(newest.since + configuration.bake),
            Stage::ProductionTrafficShift => Some(newest.since + configuration.step_bake()),
            _ => None,
        }
    }
}

fn begin(pause: &Pause, now: f64) -> Hook {
    Hook { id: hook_id(), status: HookStatus::AwaitingAction, expires: now + pause.timeout, continues: pause.continues }
}

/// Why the deployment that is under way has to end, if so.
fn failure(state: &State, key: &str) -> Option<Failure> {
    let service = state.services.get(key)?;
    let primary = service.deployments.first().filter(|primary| primary.rollout == Rollout::InProgress)?;
    let newest = service.under_way()?;
    let trips = |failed: usize| {
        service.configuration().breaker.is_some_and(|breaker| failed >= breaker.threshold(service.desired))
    };
    if trips(primary.failed_tasks) {
        return Some(Failure::Breaker);
    }
    match newest.status {
        Status::RollbackRequested => Some(Failure::Stopped),
        Status::InProgress if newest.hooks.iter().any(is_refused) => Some(Failure::Hook),
        Status::InProgress => alarms_that_ring(state, service, newest).map(Failure::Alarms),
        _ => None,
    }
}

fn is_refused(hook: &Hook) -> bool {
    hook.status == HookStatus::Failed || (hook.status == HookStatus::TimedOut && !hook.continues)
}

fn alarms_that_ring(state: &State, service: &ServiceRecord, newest: &ServiceDeployment) -> Option<Vec<String>> {
    let alarms = service.configuration().alarms.filter(|_| newest.watches_alarms)?;
    let rang: Vec<String> = alarms.names.into_iter().filter(|name| state.ringing.contains(name)).collect();
    (!rang.is_empty()).then_some(rang)
}

fn tasks(state: &State, key: &str) -> Option<Tasks> {
    let service = state.services.get(key)?;
    let primary = service.deployments.first()?;
    Some(Tasks {
        running: state.count(key, &primary.id, TaskStatus::Running),
        source: service.source().map_or(0, |source| state.alive(key, &source.id)),
        alive: state.tasks_of(key).filter(|task| task.lives()).count(),
    })
}
