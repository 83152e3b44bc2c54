//! A function as a process, started as Lambda starts it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::runtime_api::RuntimeApi;

/// Longer than any start takes; a function that crashed never asks.
const PATIENCE: Duration = Duration::from_secs(30);

/// What Lambda and the template set. Nothing of the caller's environment reaches a function, `PATH` excepted.
const VARIABLES: [(&str, &str); 21] = [
    ("AWS_ACCESS_KEY_ID", "bench"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("AWS_EXECUTION_ENV", "AWS_Lambda_rust"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_SECRET_ACCESS_KEY", "bench"),
    ("AWS_SESSION_TOKEN", "bench"),
    ("METRIC_PERIOD_SECONDS", "300"),
    ("SECRET_PREFIX", "bench/"),
    ("SERVERS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/servers"),
    ("SFTP_LOG_GROUP", "arn:aws:logs:us-east-1:123456789012:log-group:bench:*"),
    ("SERVICES", "*"),
    ("TASK_ROLES", "*"),
    ("SFTP_PORT", "22"),
    ("TABLE_NAME", "bench"),
    ("TICKS_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/123456789012/ticks"),
    ("TRANSFER_USER_ROLE_ARN", "arn:aws:iam::123456789012:role/bench"),
];

/// What is measured, under the name that the report shows.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
}

/// One start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// From the process's creation to its first request for an event: what Lambda calls init.
    pub(crate) init: Duration,
    /// The most memory that was resident at once until then, where the system tells it.
    pub(crate) max_rss_bytes: Option<u64>,
}

impl Function {
    pub(crate) fn new(name: &'static str, program: impl Into<PathBuf>) -> Self {
        Self { name, program: program.into(), arguments: Vec::new() }
    }

    pub(crate) fn with_arguments(self, arguments: impl IntoIterator<Item: Into<OsString>>) -> Self {
        Self { arguments: arguments.into_iter().map(Into::into).collect(), ..self }
    }

    /// Starts it once, and ends it when it asks for an event.
    pub(crate) fn start(&self) -> anyhow::Result<Start> {
        let api = RuntimeApi::start()?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(VARIABLES).env("AWS_LAMBDA_RUNTIME_API", api.address());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        let process = Process(command.spawn().with_context(|| format!("start {}", self.program.display()))?);
        let asked = api.first_event(PATIENCE).with_context(|| format!("start {}", self.name))?;
        Ok(Start { init: asked.at - began, max_rss_bytes: process.max_rss_bytes() })
    }
}

/// A process that ends with this.
#[derive(Debug)]
struct Process(Child);

impl Process {
    /// Linux tells it in `/proc`; elsewhere it is not known.
    fn max_rss_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.0.id().to_string()).join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
