//! A function's instance as a child process: the same program calling itself as `PROGRAM function BINARY`, with
//! Lambda's environment and a Runtime API of its own. It ends with its instance, and by itself when the region is
//! gone, because its Runtime API is gone then.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, atomic::AtomicU64},
};

use bytes::Bytes;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::mpsc,
};
use wharfinger_emulator::{clock::Clock, ids::REGION};

use super::{
    FunctionError, PAYLOAD_LIMIT,
    function::INIT_TIMEOUT,
    logs::Logs,
    runtime_api::{Event, Outcome, RuntimeApi},
};
use crate::wiring::Function;

/// How instances are started.
#[derive(Clone, Debug)]
pub struct Processes {
    /// The program that is also every function.
    pub program: PathBuf,
    /// The address of the AWS endpoint, e.g. `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// Where functions' lines go.
    pub logs: Logs,
}

impl Processes {
    /// Starts an instance; it isn't ready yet. What it prints is added to `log_bytes`.
    pub(super) async fn start(
        &self,
        function: &Function,
        log_bytes: &Arc<AtomicU64>,
    ) -> Result<Instance, FunctionError> {
        let failed = |error: std::io::Error| FunctionError::NotStarted(error.to_string());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?.to_string();
        let mut command = Command::new(&self.program);
        command.arg("function").arg(&function.binary).env_clear().envs(self.environment(function, &address));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Ctrl-C goes to the whole foreground group of a terminal; the region ends its functions itself, in order.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(failed)?;
        let process_id = child.id().ok_or_else(|| FunctionError::NotStarted("it ended at once".to_owned()))?;
        if let Some(output) = child.stdout.take() {
            self.logs.follow(&function.name, log_bytes, output);
        }
        if let Some(output) = child.stderr.take() {
            self.logs.follow(&function.name, log_bytes, output);
        }
        let (events, receiver) = mpsc::channel(1);
        let (sender, outcomes) = mpsc::unbounded_channel();
        let api = RuntimeApi::serve(listener, receiver, sender);
        Ok(Instance { child, process_id, events, outcomes, _api: api })
    }

    /// Lambda's environment, the credentials and endpoint of this region, and what the template sets.
    fn environment(&self, function: &Function, runtime_api: &str) -> Vec<(String, String)> {
        let stream = format!("local/[$LATEST]{}", wharfinger_emulator::ids::random_uuid().simple());
        let group = format!("/aws/lambda/{}", function.name);
        let memory = function.memory_mb.to_string();
        let key = function.access_key();
        let fixed = [
            ("AWS_LAMBDA_RUNTIME_API", runtime_api),
            ("AWS_LAMBDA_FUNCTION_NAME", &function.name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &group),
            ("AWS_LAMBDA_LOG_STREAM_NAME", &stream),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", &key),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_SESSION_TOKEN", "local"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("_HANDLER", "bootstrap"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ];
        let own = function.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).chain(own).collect()
    }
}

/// A child process that takes one event at a time. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Instance {
    child: Child,
    process_id: u32,
    events: mpsc::Sender<Event>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    _api: RuntimeApi,
}

impl Instance {
    pub(super) fn process_id(&self) -> u32 {
        self.process_id
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the process asks for its first event.
    pub(super) async fn wait_until_ready(&mut self) -> Result<(), FunctionError> {
        let outcome = tokio::select! {
            biased;
            outcome = self.outcomes.recv() => outcome,
            status = self.child.wait() => return Err(exited(status)),
            () = tokio::time::sleep(INIT_TIMEOUT) => {
                let limit = INIT_TIMEOUT.as_secs();
                return Err(FunctionError::NotStarted(format!("it asked for no event within {limit} seconds")));
            }
        };
        match outcome {
            Some(Outcome::Ready) => Ok(()),
            Some(Outcome::NotStarted(message)) => Err(FunctionError::NotStarted(message)),
            _ => Err(FunctionError::NotStarted("it answered before it had an event".to_owned())),
        }
    }

    /// Hands over one event and waits for the answer, at most the function's time-out.
    pub(super) async fn invoke(
        &mut self,
        clock: &Clock,
        function: &Function,
        request_id: &str,
        payload: Bytes,
    ) -> Result<Bytes, FunctionError> {
        while self.outcomes.try_recv().is_ok() {}
        let deadline_ms =
            clock.now().as_millisecond() + i64::try_from(function.timeout.as_millis()).unwrap_or(i64::MAX);
        let event =
            Event { request_id: request_id.to_owned(), function_arn: function.arn.clone(), deadline_ms, payload };
        if self.events.send(event).await.is_err() {
            return Err(FunctionError::Exited("its Runtime API is gone".to_owned()));
        }
        let timeout = tokio::time::sleep(function.timeout);
        tokio::pin!(timeout);
        loop {
            let outcome = tokio::select! {
                biased;
                outcome = self.outcomes.recv() => outcome,
                status = self.child.wait() => return Err(exited(status)),
                () = &mut timeout => return Err(FunctionError::TimedOut(function.timeout)),
            };
            match outcome {
                Some(Outcome::Answer(payload)) if payload.len() > PAYLOAD_LIMIT => {
                    return Err(FunctionError::TooLarge("answer", payload.len()));
                }
                Some(Outcome::Answer(payload)) => return Ok(payload),
                Some(Outcome::Failed { kind, message }) => return Err(FunctionError::Failed { kind, message }),
                Some(Outcome::Ready) => {}
                Some(Outcome::NotStarted(message)) => return Err(FunctionError::NotStarted(message)),
                None => return Err(FunctionError::Exited("its Runtime API is gone".to_owned())),
            }
        }
    }
}

fn exited(status: std::io::Result<std::process::ExitStatus>) -> FunctionError {
    FunctionError::Exited(status.map_or_else(|error| error.to_string(), |status| status.to_string()))
}
