//! What is kept of a region over a restart: `DIR/state/<service>.json`, `DIR/efs/<file system>/…` and
//! `DIR/dynamodb.sqlite`. Without a directory of its own, a region lives in a temporary one that goes with it.

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wharfinger_emulator::service::Service;

/// How long a change may wait before it is written down.
const PERIOD: Duration = Duration::from_millis(300);

/// Why a region's directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another region uses the directory.
    #[error("{0} is in use by another region: stop that one first, or give another directory with --data")]
    InUse(PathBuf),
    /// A file or directory can't be read or written.
    #[error("{path} can't be used: give another directory with --data")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A saved state is not what a region writes.
    #[error("{path} is not a saved state: {source}; remove the directory to start anew")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The directory of one region.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    kept: bool,
    /// Held as long as the region lives. The operating system lets go of it even when the region is killed.
    _lock: File,
    _temporary: Option<TempDir>,
}

impl DataDir {
    /// Opens `data`, and makes it if it is not there; a temporary directory without one.
    ///
    /// # Errors
    /// When the directory can't be used, or another region uses it.
    pub fn open(data: Option<&Path>) -> Result<Self, DataDirError> {
        let temporary = match data {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(at(&std::env::temp_dir()))?),
        };
        let root = data.or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new(".")).to_path_buf();
        for directory in [root.join("state"), root.join("efs")] {
            fs::create_dir_all(&directory).map_err(at(&directory))?;
        }
        let path = root.join("lock");
        let lock = File::create(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(root)),
            Err(TryLockError::Error(source)) => return Err(DataDirError::File { path, source }),
        }
        let root = root.canonicalize().map_err(at(&root))?;
        Ok(Self { root, kept: data.is_some(), _lock: lock, _temporary: temporary })
    }

    /// Whether the region has never been set up completely: then nothing is saved, and it wants its seed.
    #[must_use]
    pub fn is_new(&self) -> bool {
        !self.marker().exists()
    }

    /// The directory that holds the file systems.
    #[must_use]
    pub fn file_systems(&self) -> PathBuf {
        self.root.join("efs")
    }

    /// The file of the database; None when nothing is kept.
    #[must_use]
    pub fn database(&self) -> Option<PathBuf> {
        self.kept.then(|| self.root.join("dynamodb.sqlite"))
    }

    /// The saved state of a service; None in a new region.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn saved(&self, service: &str) -> Result<Option<Value>, DataDirError> {
        let path = self.path(service);
        if self.is_new() {
            return Ok(None);
        }
        match fs::read(&path) {
            Ok(bytes) => {
                let value = serde_json::from_slice(&bytes).map_err(|source| DataDirError::Corrupt { path, source })?;
                Ok(Some(value))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DataDirError::File { path, source }),
        }
    }

    /// Writes down that the region is set up, with its first state. A region that was killed before starts anew.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn settle<'a>(&self, services: impl IntoIterator<Item = &'a Arc<dyn Service>>) -> Result<(), DataDirError> {
        let mut written = HashMap::new();
        self.save_changes(services, &mut written)?;
        let marker = self.marker();
        write(&marker, b"This region is set up.\n").map_err(at(&marker))
    }

    /// Saves the services whenever they have changed, until `shutdown` and once more then. Without a directory of
    /// one's own there is nothing to do.
    pub async fn keep(&self, services: Vec<Arc<dyn Service>>, shutdown: CancellationToken) {
        if !self.kept {
            return shutdown.cancelled().await;
        }
        let mut written = HashMap::new();
        loop {
            let ended = tokio::time::timeout(PERIOD, shutdown.cancelled()).await.is_ok();
            if let Err(error) = self.save_changes(&services, &mut written) {
                tracing::error!(%error, "The region's state is not saved");
            }
            if ended {
                return;
            }
        }
    }

    fn save_changes<'a>(
        &self,
        services: impl IntoIterator<Item = &'a Arc<dyn Service>>,
        written: &mut HashMap<&'static str, Vec<u8>>,
    ) -> Result<(), DataDirError> {
        for service in services {
            let snapshot = service.snapshot();
            let bytes = snapshot.to_string().into_bytes();
            if snapshot.is_null() || written.get(service.name()) == Some(&bytes) {
                continue;
            }
            let path = self.path(service.name());
            write(&path, &bytes).map_err(at(&path))?;
            written.insert(service.name(), bytes);
        }
        Ok(())
    }

    fn path(&self, service: &str) -> PathBuf {
        self.root.join("state").join(format!("{service}.json"))
    }

    fn marker(&self) -> PathBuf {
        self.root.join("state").join("settled")
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_path_buf();
    move |source| DataDirError::File { path, source }
}

/// Writes a whole file or nothing of it. It may hold keys, so that only its owner may read it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use serde_json::json;

    use super::*;
    use wharfinger_emulator::error::AwsError;

    struct Counter(Mutex<u64>);

    #[async_trait]
    impl Service for Counter {
        fn name(&self) -> &'static str {
            "counter"
        }

        async fn call(&self, _operation: &str, _input: Value) -> Result<Value, AwsError> {
            *self.0.lock().unwrap() += 1;
            Ok(Value::Null)
        }

        fn snapshot(&self) -> Value {
            json!(*self.0.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn a_restart_finds_what_was_saved_last() {
        let directory = tempfile::tempdir().unwrap();
        let counter: Arc<dyn Service> = Arc::new(Counter(Mutex::new(1)));
        let data_dir = DataDir::open(Some(directory.path())).unwrap();
        assert!(data_dir.is_new());
        data_dir.settle([&counter]).unwrap();
        let shutdown = CancellationToken::new();
        counter.call("Add", Value::Null).await.unwrap();
        shutdown.cancel();
        data_dir.keep(vec![counter], shutdown).await;
        drop(data_dir);
        let data_dir = DataDir::open(Some(directory.path())).unwrap();
        assert!(!data_dir.is_new());
        assert_eq!(data_dir.saved("counter").unwrap(), Some(json!(2)));
    }

    #[test]
    fn a_region_that_was_never_settled_starts_anew() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(Some(directory.path())).unwrap();
        fs::write(data_dir.path("counter"), "1").unwrap();
        assert_eq!(data_dir.saved("counter").unwrap(), None);
    }

    #[test]
    fn two_regions_do_not_share_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let _first = DataDir::open(Some(directory.path())).unwrap();
        assert!(matches!(DataDir::open(Some(directory.path())), Err(DataDirError::InUse(_))));
    }

    #[test]
    fn a_damaged_state_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(Some(directory.path())).unwrap();
        data_dir.settle([]).unwrap();
        fs::write(data_dir.path("counter"), "{").unwrap();
        let error = data_dir.saved("counter").unwrap_err();
        assert!(error.to_string().contains("counter.json"), "{error}");
    }

    #[test]
    fn without_a_directory_nothing_stays() {
        let data_dir = DataDir::open(None).unwrap();
        let root = data_dir.root.clone();
        assert_eq!(data_dir.database(), None);
        drop(data_dir);
        assert!(!root.exists());
    }
}
