//! Where the lines go that functions print.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// What CloudWatch Logs counts for each line beside its text, in bytes.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const LINE_OVERHEAD: u64 = 26;

/// A place for functions' lines. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Logs {
    /// The region's own log, under the target `function`.
    Region,
    /// A file, each line behind its function's name.
    File(Arc<Mutex<File>>),
}

impl Logs {
    /// Appends to the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If the file can't be opened for writing.
    pub fn to_file(path: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self::File(Arc::new(Mutex::new(file))))
    }

    /// Keeps one line.
    pub fn write(&self, function: &str, line: &str) {
        match self {
            Self::Region if is_alarming(line) => tracing::warn!(target: "function", function, "{line}"),
            Self::Region => tracing::info!(target: "function", function, "{line}"),
            Self::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(error) = writeln!(file, "{function}: {line}") {
                    tracing::error!(%error, "the functions' log file can't be written");
                }
            }
        }
    }

    /// Keeps what comes from `output`, line by line, until its end, and adds its size to `bytes`.
    pub(crate) fn follow(
        &self,
        function: &str,
        bytes: &Arc<AtomicU64>,
        output: impl AsyncRead + Send + Unpin + 'static,
    ) {
        let (logs, function, bytes) = (self.clone(), function.to_owned(), Arc::clone(bytes));
        tokio::spawn(async move {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
                bytes.fetch_add(line.len() as u64 + LINE_OVERHEAD, Ordering::Relaxed);
                logs.write(&function, String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        });
    }
}

/// Whether a line is worth attention at any log level: a warning or an error, or no log line at all, as panics print.
fn is_alarming(line: &str) -> bool {
    let level =
        serde_json::from_str::<serde_json::Value>(line).ok().and_then(|line| Some(line["level"].as_str()?.to_owned()));
    level.is_none_or(|level| matches!(level.as_str(), "WARN" | "ERROR"))
}

#[cfg(test)]
mod tests {
    use super::is_alarming;

    #[test]
    fn warnings_errors_and_panics_are_alarming() {
        assert!(is_alarming(r#"{"level":"ERROR","message":"x"}"#) && is_alarming(r#"{"level":"WARN"}"#));
        assert!(is_alarming("thread 'main' panicked at src/lib.rs:1:1"));
        assert!(!is_alarming(r#"{"level":"INFO","message":"answered"}"#));
    }
}
