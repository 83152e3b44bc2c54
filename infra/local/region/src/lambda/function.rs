//! One function at work: its idle instances, its share of concurrency, and what it has used.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Semaphore, time::Instant};
use wharfinger_emulator::clock::Clock;

use super::{
    DEFAULT_CONCURRENCY, FunctionError, Handler, Invocation, PAYLOAD_LIMIT, Runner,
    process::{Instance, Processes},
    statistics::{Statistics, peak_memory_bytes},
};
use crate::wiring;

#[derive(Debug)]
pub(super) struct Running {
    function: wiring::Function,
    clock: Clock,
    runner: Runner,
    /// One for each event that may be in work; further events wait, as a throttled caller would.
    permits: Semaphore,
    idle: Mutex<Vec<Instance>>,
    statistics: Mutex<Statistics>,
    log_bytes: Arc<AtomicU64>,
}

impl Running {
    pub(super) fn new(clock: Clock, function: wiring::Function, runner: Runner) -> Self {
        let statistics = Statistics { function: function.logical.clone(), ..Statistics::default() };
        Self {
            permits: Semaphore::new(function.reserved_concurrency.unwrap_or(DEFAULT_CONCURRENCY)),
            idle: Mutex::default(),
            statistics: Mutex::new(statistics),
            log_bytes: Arc::default(),
            function,
            clock,
            runner,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.function.name
    }

    pub(super) fn arn(&self) -> &str {
        &self.function.arn
    }

    pub(super) fn asynchronous(&self) -> &wiring::Asynchronous {
        &self.function.asynchronous
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        [&self.function.logical, &self.function.name, &self.function.arn].into_iter().any(|own| own == name)
    }

    pub(super) async fn invoke(&self, event: Bytes) -> Result<Invocation, FunctionError> {
        if event.len() > PAYLOAD_LIMIT {
            return Err(FunctionError::TooLarge("event", event.len()));
        }
        let _permit = self.permits.acquire().await.map_err(|_| FunctionError::Stopped)?;
        let outcome = match &self.runner {
            Runner::Processes(processes) => self.invoke_process(processes, event).await,
            Runner::InProcess(handler) => self.invoke_handler(handler.as_ref(), event).await,
        };
        let mut statistics = self.lock_statistics();
        statistics.invocations += 1;
        statistics.errors += u64::from(outcome.is_err());
        outcome
    }

    async fn invoke_process(&self, processes: &Processes, event: Bytes) -> Result<Invocation, FunctionError> {
        let (mut instance, cold_start) = match self.take_idle() {
            Some(instance) => (instance, None),
            None => {
                let started = Instant::now();
                let instance = self.start(processes).await?;
                (instance, Some(started.elapsed()))
            }
        };
        let started = Instant::now();
        let request_id = wharfinger_emulator::ids::random_uuid().to_string();
        let outcome = instance.invoke(&self.clock, &self.function, &request_id, event).await;
        self.note_billed(started.elapsed());
        self.note_memory(&instance);
        if matches!(outcome, Ok(_) | Err(FunctionError::Failed { .. } | FunctionError::TooLarge(..))) {
            self.put_idle(instance);
        } else {
            self.forget(&instance);
        }
        Ok(Invocation { payload: outcome?, request_id, duration: started.elapsed(), cold_start })
    }

    async fn start(&self, processes: &Processes) -> Result<Instance, FunctionError> {
        let started = Instant::now();
        let mut instance = processes.start(&self.function, &self.log_bytes).await?;
        self.lock_statistics().process_ids.push(instance.process_id());
        match instance.wait_until_ready().await {
            Ok(()) => {
                self.lock_statistics().cold_starts.push(started.elapsed());
                self.note_billed(started.elapsed());
                Ok(instance)
            }
            Err(error) => {
                self.forget(&instance);
                Err(error)
            }
        }
    }

    async fn invoke_handler(&self, handler: &dyn Handler, event: Bytes) -> Result<Invocation, FunctionError> {
        let started = Instant::now();
        let answer = tokio::time::timeout(self.function.timeout, handler.handle(&self.function, event)).await;
        let payload = answer.map_err(|_| FunctionError::TimedOut(self.function.timeout))??;
        if payload.len() > PAYLOAD_LIMIT {
            return Err(FunctionError::TooLarge("answer", payload.len()));
        }
        let request_id = wharfinger_emulator::ids::random_uuid().to_string();
        Ok(Invocation { payload, request_id, duration: started.elapsed(), cold_start: None })
    }

    /// The instance that was used last, of those that are still alive.
    fn take_idle(&self) -> Option<Instance> {
        self.drop_dead();
        self.lock_idle().pop()
    }

    fn put_idle(&self, instance: Instance) {
        if self.permits.is_closed() {
            self.forget(&instance);
        } else {
            self.lock_idle().push(instance);
        }
    }

    fn drop_dead(&self) {
        let dead: Vec<Instance> = self.lock_idle().extract_if(.., |instance| !instance.is_alive()).collect();
        for instance in &dead {
            tracing::warn!(function = self.function.name, process = instance.process_id(), "an idle instance was gone");
            self.forget(instance);
        }
    }

    fn forget(&self, instance: &Instance) {
        self.lock_statistics().process_ids.retain(|id| *id != instance.process_id());
    }

    fn note_billed(&self, took: Duration) {
        let milliseconds = u64::try_from(took.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        self.lock_statistics().billed_ms += milliseconds;
    }

    fn note_memory(&self, instance: &Instance) {
        let peak = if cfg!(target_os = "linux") { peak_memory_bytes(instance.process_id()) } else { None };
        let mut statistics = self.lock_statistics();
        statistics.peak_memory_bytes = statistics.peak_memory_bytes.max(peak);
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.drop_dead();
        let mut statistics = self.lock_statistics();
        let now = statistics.process_ids.iter().filter_map(|id| peak_memory_bytes(*id)).max();
        statistics.peak_memory_bytes = statistics.peak_memory_bytes.max(now);
        Statistics { log_bytes: self.log_bytes.load(Ordering::Relaxed), ..statistics.clone() }
    }

    /// Takes no further event and ends every idle instance. What is in work ends with its task.
    pub(super) fn stop(&self) {
        self.permits.close();
        for instance in self.lock_idle().drain(..) {
            self.forget(&instance);
        }
    }

    fn lock_idle(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_statistics(&self) -> MutexGuard<'_, Statistics> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an instance may take until it asks for its first event: the limit of Lambda's init phase.
pub(super) const INIT_TIMEOUT: Duration = Duration::from_secs(10);
