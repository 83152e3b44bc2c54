//! What belongs in a release, and how long making it may take.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{path::TreePath, pattern::Pattern};

/// What a call may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// When the call must stop; what is left is for the next call. It stops within one block of each file in work.
    pub deadline: Instant,
    /// How many files are worked on at once. A network file system answers many at a time, a disk does not.
    pub workers: usize,
}

/// What belongs in a release, and how it is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the file that finishes an upload; it is in no release, wherever it lies.
    pub marker: Option<String>,
    /// Names, of files and directories, that are in no release.
    pub ignore: Vec<Pattern>,
    /// Directories that the application writes. They are mounted beside the release, which has an empty directory there.
    pub shared: Vec<TreePath>,
    /// Files whose upload is known not to have ended, or to have broken off: they are as in the release before.
    pub open: BTreeSet<TreePath>,
    /// How long a file must have been left alone. More than the file system's clock takes for a tick, or two changes
    /// within one tick look like one; zero for no wait at all.
    pub settle: Duration,
    /// Until when to wait for files that change; then they are as in the release before.
    pub settle_by: Instant,
    /// What the call may take.
    pub limits: Limits,
}

impl Options {
    /// Whether a file or directory of this name is in no release.
    pub(crate) fn ignores(&self, name: &[u8]) -> bool {
        self.marker.as_ref().is_some_and(|marker| marker.as_bytes() == name)
            || self.ignore.iter().any(|pattern| pattern.matches(name))
    }

    /// The names in `directory` that are shared directories, or lead to some.
    pub(crate) fn shared_names<'a>(&'a self, directory: &'a TreePath) -> BTreeSet<&'a [u8]> {
        self.shared.iter().filter_map(|shared| directory.next_name(shared)).collect()
    }

    /// Whether `directory` is shared: what is in it is in no release.
    pub(crate) fn is_shared(&self, directory: &TreePath) -> bool {
        self.shared.contains(directory)
    }
}

impl Limits {
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}
