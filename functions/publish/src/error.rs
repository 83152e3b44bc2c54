//! Why a call came to nothing.

use std::io::{self, ErrorKind};

use crate::path::{Name, TreePath};

/// Why nothing was published, pruned or restored. Each call can be made again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another call has the releases of this site. It ends the same work, or this one can be made again.
    #[error("another call is at work on the releases of this site")]
    Busy,
    /// There is nothing to publish: an empty release would take the site down.
    #[error("the upload directory {0} does not exist")]
    NoUploadDirectory(TreePath),
    /// Uploads and releases lie in each other.
    #[error("the upload directory {0} overlaps the releases")]
    Overlap(TreePath),
    /// There is no such release.
    #[error("there is no release {0}")]
    NoRelease(Name),
    /// The file system, or a quota of it, is full.
    #[error("the file system is full")]
    Full(#[source] io::Error),
    /// The file system refused something else.
    #[error("{action} {path}")]
    Disk {
        /// What was to be done.
        action: &'static str,
        /// Where: inside of the tree that the action names.
        path: TreePath,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
}

/// Says what was being done where, when an operation of the disk failed.
pub(crate) trait Doing<T> {
    fn doing(self, action: &'static str, path: &TreePath) -> Result<T, Error>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: &'static str, path: &TreePath) -> Result<T, Error> {
        self.map_err(|source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full(source),
            _ => Error::Disk { action, path: path.clone(), source },
        })
    }
}
