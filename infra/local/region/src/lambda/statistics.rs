//! What a function has used: starts, invocations, memory, and the processes that are there now.

use std::time::Duration;

/// What one function has used so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The name in the template.
    pub function: String,
    /// How long each start took, from the process's start to its first call for an event.
    pub cold_starts: Vec<Duration>,
    /// How many invocations came to an end.
    pub invocations: u64,
    /// How many of them without an answer.
    pub errors: u64,
    /// What AWS would bill of their time here: each start and each invocation rounded up to a whole millisecond.
    pub billed_ms: u64,
    /// How much it has logged, in bytes, with the 26 that CloudWatch Logs adds to each line.
    pub log_bytes: u64,
    /// The most memory that one instance used, in bytes; None if it can't be read here.
    pub peak_memory_bytes: Option<u64>,
    /// The process ids of the instances that are there now.
    pub process_ids: Vec<u32>,
}

/// The most memory that a process has had resident, in bytes. Outside Linux, what it has now.
#[must_use]
pub fn peak_memory_bytes(process_id: u32) -> Option<u64> {
    let kilobytes = if cfg!(target_os = "linux") {
        let status = std::fs::read_to_string(format!("/proc/{process_id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?
    } else {
        let arguments = ["-o", "rss=", "-p", &process_id.to_string()];
        let output = std::process::Command::new("ps").args(arguments).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u64>().ok()?
    };
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_knows_its_own_memory() {
        let bytes = super::peak_memory_bytes(std::process::id()).unwrap();
        assert!((100_000..100_000_000_000).contains(&bytes), "{bytes}");
    }
}
