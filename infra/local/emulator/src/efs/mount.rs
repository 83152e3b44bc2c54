//! Mounting a file system into a task.

use std::{io, sync::Arc};

use cap_std::{ambient_authority, fs::Dir};

use super::Efs;
use crate::error::AwsError;

/// A mounted directory: a handle below which paths are resolved, and which neither `..` nor a symbolic link leaves.
#[derive(Clone, Debug)]
pub struct Mount(Arc<Dir>);

impl Mount {
    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Dir {
        &self.0
    }
}

/// Why a file system can't be mounted, in the words of the EFS mount helper where it has some.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The file system or access point does not exist, or they don't belong together.
    #[error("Failed to resolve \"{id}\": {source}")]
    Unknown {
        /// The file system or access point.
        id: String,
        /// EFS's answer.
        #[source]
        source: AwsError,
    },
    /// Nothing in the VPC reaches the file system.
    #[error(
        "Failed to resolve \"{id}.efs.us-east-1.amazonaws.com\": the file system has no mount target that is available"
    )]
    NoMountTarget {
        /// The file system.
        id: String,
    },
    /// The root directory is not there, and there is no access point to make it.
    #[error("mount.nfs4: mounting {id}:{root} failed, reason given by server: No such file or directory")]
    NoDirectory {
        /// The file system.
        id: String,
        /// The directory that was asked for.
        root: String,
        /// What this machine says.
        #[source]
        source: io::Error,
    },
}

impl Efs {
    /// Mounts the directory `root` of a file system, or that of an access point.
    ///
    /// # Errors
    /// As on EFS: a root directory must exist, unless it is an access point's and has `CreationInfo`.
    pub fn mount(&self, file_system: &str, access_point: Option<&str>, root: &str) -> Result<Mount, MountError> {
        let unknown = |id: &str, source: AwsError| MountError::Unknown { id: id.to_owned(), source };
        let state = self.state();
        let id = state.file_system(file_system).map_err(|error| unknown(file_system, error))?.id.clone();
        let point = match access_point {
            None => None,
            Some(point) => Some(state.access_point(point).map_err(|error| unknown(point, error))?.clone()),
        };
        if let Some(point) = point.as_ref().filter(|point| point.file_system != id) {
            let message = format!("The access point belongs to {}.", point.file_system);
            return Err(unknown(&point.id, AwsError::client("BadRequest", message)));
        }
        let now = self.now();
        if let Some(point) = point.as_ref().filter(|point| point.available > now) {
            let message = "The access point is being created.";
            return Err(unknown(&point.id, AwsError::client("IncorrectAccessPointLifeCycleState", message)));
        }
        if !state.mount_targets_of(&id).any(|target| target.available <= now) {
            return Err(MountError::NoMountTarget { id });
        }
        drop(state);
        let root = point.as_ref().map_or(root, |point| point.root.as_str());
        let creates = point.as_ref().is_some_and(|point| point.creation_info.is_some());
        let directory = self.open(&id, root, creates);
        directory.map(|directory| Mount(Arc::new(directory))).map_err(|source| {
            let root = root.to_owned();
            MountError::NoDirectory { id, root, source }
        })
    }

    /// Makes a directory in a file system, as someone would who has it mounted.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn make_directory(&self, file_system: &str, path: &str) -> io::Result<()> {
        self.open(file_system, path, true).map(drop)
    }

    fn open(&self, file_system: &str, root: &str, creates: bool) -> io::Result<Dir> {
        let whole = Dir::open_ambient_dir(self.context.file_system(file_system), ambient_authority())?;
        let root = root.trim_matches('/');
        if root.is_empty() {
            return Ok(whole);
        }
        if creates {
            whole.create_dir_all(root)?;
        }
        whole.open_dir(root)
    }
}
