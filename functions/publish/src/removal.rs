//! Removes trees, without following a link out of them.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::io::Errno;

use crate::{
    disk::{Dir, Listed},
    options::Limits,
    parallel::in_parallel,
    path::TreePath,
    stat::Kind,
};

/// Files that are removed at once, between two looks at the clock.
const CHUNK: usize = 256;

/// Removes `name`, whatever it is. It is no error if it is not there.
pub(crate) fn remove(directory: &Dir, name: &[u8]) -> io::Result<()> {
    match directory.remove_file(name) {
        Err(error) if is_directory(&error) => {
            Removal { tree: directory.directory(name)?, limits: None, freed: AtomicU64::default() }.run()?;
            directory.remove_directory(name)
        }
        removed => removed,
    }
}

/// POSIX has `unlink` of a directory fail with EPERM, Linux with EISDIR.
fn is_directory(error: &io::Error) -> bool {
    [Errno::ISDIR, Errno::PERM].iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

/// The removal of all that is in a directory.
#[derive(Debug)]
pub(crate) struct Removal {
    pub(crate) tree: Dir,
    /// What it may take; `None` for as long as it takes.
    pub(crate) limits: Option<Limits>,
    /// Bytes of the files that had no other name.
    pub(crate) freed: AtomicU64,
}

impl Removal {
    /// Removes what is in the tree, and tells whether all of it is gone.
    pub(crate) fn run(&self) -> io::Result<bool> {
        let (mut waiting, mut emptied) = (vec![TreePath::default()], Vec::new());
        while let Some(path) = waiting.pop() {
            let directory = self.tree.descend(&path)?;
            let Some(below) = self.empty(&directory)? else { return Ok(false) };
            waiting.extend(below.iter().map(|name| path.join(name)));
            emptied.push(path);
        }
        // What lies deeper was listed later.
        for path in emptied.iter().rev().filter(|path| !path.is_root()) {
            let parent = self.tree.descend(&TreePath::of(path.parent()))?;
            parent.remove_directory(path.name())?;
        }
        Ok(true)
    }

    /// Removes the files in a directory and returns the names of the directories in it; `None` if time is up.
    fn empty(&self, directory: &Dir) -> io::Result<Option<Vec<Vec<u8>>>> {
        if directory.own_stat()?.access.mode & 0o300 != 0o300 {
            directory.set_mode(0o700)?;
        }
        let mut below = Vec::new();
        for chunk in directory.list()?.chunks(CHUNK) {
            if self.limits.is_some_and(|limits| limits.is_over()) {
                return Ok(None);
            }
            let workers = self.limits.map_or(1, |limits| limits.workers);
            let removed = in_parallel(workers, chunk.iter().collect(), |entry| self.file(directory, entry));
            for (entry, removed) in chunk.iter().zip(removed) {
                if !removed? {
                    below.push(entry.name.clone());
                }
            }
        }
        Ok(Some(below))
    }

    /// Removes what a directory lists, unless it is a directory.
    fn file(&self, directory: &Dir, entry: &Listed) -> io::Result<bool> {
        if entry.is_directory == Some(true) {
            return Ok(false);
        }
        let stat = match directory.stat(&entry.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            stat => stat?,
        };
        if stat.kind == Kind::Directory {
            return Ok(false);
        }
        directory.remove_file(&entry.name)?;
        if stat.kind == Kind::File && stat.links == 1 {
            self.freed.fetch_add(stat.identity.size, Ordering::Relaxed);
        }
        Ok(true)
    }
}
