//! What came of a call.

use serde::{Deserialize, Serialize};

use crate::path::{Bytes, TreePath};

/// What came of a call of [`release`](crate::Site::release).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The release is there, whole. Every call for it from now on has this answer.
    Published(Summary),
    /// Time was up. The next call goes on where this one stopped.
    Unfinished(Progress),
}

/// What a release consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Files that the release before has too: they take no more space.
    pub files_linked: u64,
    /// Files that are this release's own.
    pub files_copied: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of the files that were copied: what the release took on the disk when it was made.
    pub own_bytes: u64,
    /// Directories, the release itself included.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Files that are as in the release before, or left out if they were in none, because nothing better was to be had.
    pub held: Named<Held>,
    /// What is no file, directory or link, or lies where nothing may lie: left out.
    pub refused: Named<Refused>,
}

/// How far a call came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Files that were looked at since the walk began that was broken off.
    pub files_seen: u64,
    /// Bytes that this call wrote into files.
    pub bytes_written: u64,
}

/// Why a file is held back. It follows in the next release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// The caller says that its upload has not ended, or broke off.
    Open,
    /// It changed for as long as there was time to wait.
    Changing,
    /// The publisher may not read it.
    Unreadable,
}

/// Why something is in no release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// A shared directory is to be mounted in its place.
    Shared,
    /// A directory that the publisher may not read.
    Unreadable,
}

/// Paths with a reason each: their number, and the first of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<R> {
    /// How many they are.
    pub count: u64,
    /// The first hundred.
    pub first: Vec<(TreePath, R)>,
}

impl<R> Default for Named<R> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<R> Named<R> {
    const SHOWN: usize = 100;

    pub(crate) fn add(&mut self, path: TreePath, reason: R) {
        self.count += 1;
        if self.first.len() < Self::SHOWN {
            self.first.push((path, reason));
        }
    }
}

/// What came of a call of [`prune`](crate::Site::prune).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// Whether nothing is left of the release. If not, time was up: the next call goes on.
    pub finished: bool,
    /// Bytes that this call made free: of files that no other release has.
    pub bytes_freed: u64,
}

/// What came of a call of [`restore`](crate::Site::restore).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Where the next call is to go on, if time was up.
    pub go_on_from: Option<Cursor>,
    /// Files and links that were put back.
    pub put_back: u64,
    /// Files and links that were removed: the release does not have them, a later one does.
    pub removed: u64,
    /// What is not as in the release, because it was uploaded since the last one and exists nowhere else.
    pub kept: Named<Kept>,
}

/// How far a call of [`restore`](crate::Site::restore) came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The directory.
    pub(crate) directory: TreePath,
    /// The first name in it that was not seen to.
    pub(crate) name: Bytes,
}

/// Why something in the upload directory is not as in the release that was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// It is in no release yet.
    Unreleased,
    /// Something of another kind has its place.
    InTheWay,
}
