//! What only its owner may know, and the logs of the functions, in which it must not be.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aho_corasick::AhoCorasick;
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};
use wharfinger_emulator::endpoint::wire::Call;

/// The functions' secret access key.
pub(crate) const ACCESS_KEY: &str = "simulated/secret+access/key0123456789AB";
/// The functions' session token.
pub(crate) const SESSION_TOKEN: &str = "simulated-session-token-of-a-role-0123456789";

/// The functions' own lines, all of them: whoever looks for something sets the level so. The SDK's as they are there.
const FILTER: &str = "warn,wharfinger=trace,wharfinger_emulator=off,wharfinger_region=off";

/// A secret is told where so much of it is.
const PIECE: usize = 24;

/// Where the base64 of a private key has only what all keys of its kind have.
const HEADERS: [&str; 2] =
    ["MC4CAQAwBQYDK2VwBCIEI", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQyNTUx"];

/// What is secret in one world, and what its functions logged. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    pieces: Arc<Mutex<Pieces>>,
    log: Arc<Mutex<Vec<u8>>>,
}

/// The pieces of what is secret, and what finds any of them: made when it is first asked for, as texts are many.
#[derive(Debug, Default)]
struct Pieces {
    known: BTreeSet<String>,
    finder: Option<AhoCorasick>,
}

impl Pieces {
    fn extend(&mut self, pieces: impl Iterator<Item = String>) {
        let before = self.known.len();
        self.known.extend(pieces);
        if self.known.len() > before {
            self.finder = None;
        }
    }

    fn are_in(&mut self, line: &str) -> bool {
        let Self { known, finder } = self;
        finder.get_or_insert_with(|| AhoCorasick::new(&*known).expect("they are few and short")).is_match(line)
    }
}

impl Secrets {
    /// Keeps `secret` in mind, line by line.
    pub(crate) fn keep(&self, secret: &str) {
        for line in secret.lines().filter(|line| !line.starts_with("-----")) {
            let header = HEADERS.iter().find(|header| line.starts_with(**header));
            let own = &line.as_bytes()[header.map_or(0, |header| header.len())..];
            let pieces = own.windows(PIECE).step_by(PIECE / 2).map(|piece| String::from_utf8_lossy(piece).into_owned());
            lock(&self.pieces).extend(pieces);
        }
    }

    /// Keeps the secret of a call in mind, if it has one.
    pub(crate) fn note(&self, call: &Call) {
        let member = match call.operation.as_str() {
            "CreateServer" => "HostKey",
            "ImportHostKey" => "HostKeyBody",
            "CreateSecret" | "PutSecretValue" => "SecretString",
            _ => return,
        };
        if let Some(secret) = call.input[member].as_str() {
            self.keep(secret);
        }
    }

    /// The first line of `text` that tells a secret.
    pub(crate) fn told_in(&self, text: &str) -> Option<String> {
        let mut pieces = lock(&self.pieces);
        text.lines().find(|line| pieces.are_in(line)).map(str::to_owned)
    }

    /// The first line of the log that tells a secret.
    pub(crate) fn told_in_log(&self) -> Option<String> {
        self.keep(ACCESS_KEY);
        self.keep(SESSION_TOKEN);
        let log = String::from_utf8_lossy(&lock(&self.log)).into_owned();
        self.told_in(&log)
    }

    /// Takes what the functions log while it is the thread's subscriber.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        let filter = EnvFilter::try_new(FILTER).unwrap_or_default();
        // As the functions write it.
        let lines = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).with_span_list(false);
        lines.with_env_filter(filter).with_ansi(false).with_writer(self.clone()).finish()
    }
}

impl<'a> MakeWriter<'a> for Secrets {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Lines<'a> {
        Lines(lock(&self.log))
    }
}

/// The log while a line is written.
pub(crate) struct Lines<'a>(MutexGuard<'a, Vec<u8>>);

impl io::Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(one: &Mutex<T>) -> MutexGuard<'_, T> {
    one.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIJrPq0123456789abcdefghijklmnopqrstuvwxyzABCD";

    #[test]
    fn a_secret_is_found_though_only_a_part_of_it_is_told() {
        let secrets = Secrets::default();
        secrets.keep(KEY);
        assert!(
            secrets.told_in(&format!("fine\n\"{}\" is no key", &KEY[..60])).is_some_and(|line| line.contains("no key"))
        );
        assert_eq!(secrets.told_in(&KEY[..40]), None, "that is the header, and a little");
    }

    #[test]
    fn each_call_that_carries_a_private_key_is_kept_in_mind() {
        for (service, operation, member) in [
            ("secretsmanager", "CreateSecret", "SecretString"),
            ("secretsmanager", "PutSecretValue", "SecretString"),
            ("transfer", "CreateServer", "HostKey"),
            ("transfer", "ImportHostKey", "HostKeyBody"),
        ] {
            let secrets = Secrets::default();
            let (caller, service, operation) = ("reconcile".into(), service.into(), operation.into());
            secrets.note(&Call { caller, service, operation, input: json!({ member: KEY }) });
            assert!(secrets.told_in(KEY).is_some(), "{member}");
        }
    }

    #[test]
    fn what_the_functions_log_is_looked_at() {
        let secrets = Secrets::default();
        tracing::subscriber::with_default(secrets.subscriber(), || {
            tracing::debug!(target: "wharfinger_reconcile", "all is well");
            assert_eq!(secrets.told_in_log(), None);
            tracing::debug!(target: "wharfinger_reconcile", token = SESSION_TOKEN, "called");
        });
        assert!(secrets.told_in_log().is_some());
    }
}
