//! A site on its file system: the directory that people upload to, and its releases.
//!
//! `/releases/<site>` holds, for each release, a directory `<id>` and beside it `<id>.manifest`. The directory gets its
//! name last and loses it first, so that whatever has such a name is whole. What is being made has names that begin
//! with a dot, and so belongs to nobody but the call that holds the lock.

use std::{io, path::Path};

use crate::{
    disk::{Dir, Output, Witness},
    error::{Doing as _, Error},
    manifest::Records,
    outcome::Summary,
    path::{MANIFEST, Name, TreePath},
};

const RELEASES: &[u8] = b"releases";
const LOCK: &[u8] = b".lock";

/// A file system, as it is mounted here.
#[derive(Debug)]
pub struct Volume {
    root: Dir,
}

impl Volume {
    /// The file system mounted at `path`.
    ///
    /// # Errors
    /// When the directory can't be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::watched(path, Witness::default())
    }

    /// The same, with a witness of each change to the disk.
    ///
    /// # Errors
    /// When the directory can't be opened.
    pub fn watched(path: &Path, witness: Witness) -> io::Result<Self> {
        Ok(Self { root: Dir::open(path, witness)? })
    }

    /// The site `name` whose upload directory is `uploads`.
    ///
    /// # Errors
    /// [`Error::Overlap`] when uploads and releases would lie in each other; what the disk refuses.
    pub fn site(&self, name: &Name, uploads: &TreePath) -> Result<Site, Error> {
        if uploads.is_root() || uploads.names().next() == Some(RELEASES) {
            return Err(Error::Overlap(uploads.clone()));
        }
        let all = make_for_root(&self.root, RELEASES).doing("make the directory", &TreePath::of(RELEASES))?;
        let path = TreePath::of(RELEASES).join(name.as_str().as_bytes());
        let releases = make_for_root(&all, name.as_str().as_bytes()).doing("make the directory", &path)?;
        let root = self.root.descend(&TreePath::default()).doing("open", &TreePath::default())?;
        Ok(Site { root, uploads: uploads.clone(), releases })
    }
}

fn make_for_root(parent: &Dir, name: &[u8]) -> io::Result<Dir> {
    let (directory, is_new) = match parent.directory(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => parent.make_directory(name)?,
        opened => (opened?, false),
    };
    if is_new {
        directory.give_to_root()?;
        directory.set_mode(0o755)?;
    }
    Ok(directory)
}

/// One site of a file system.
#[derive(Debug)]
pub struct Site {
    root: Dir,
    uploads: TreePath,
    pub(crate) releases: Dir,
}

impl Site {
    /// The releases that are whole, in the order of their names.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn list(&self) -> Result<Vec<Name>, Error> {
        let listed = self.releases.list().doing("list the releases", &TreePath::default())?;
        let names = listed.iter().filter(|entry| entry.is_directory != Some(false));
        Ok(names.filter_map(|entry| Name::parse(std::str::from_utf8(&entry.name).ok()?).ok()).collect())
    }

    /// What the release `id` consists of; `None` if there is no such release.
    ///
    /// # Errors
    /// What the disk refuses.
    pub fn summary(&self, id: &Name) -> Result<Option<Summary>, Error> {
        if self.tree(&Names::of(id).tree)?.is_none() {
            return Ok(None);
        }
        let mut records = self.records(&Names::of(id).manifest)?;
        records.by_ref().for_each(drop);
        Ok(Some(records.end().cloned().unwrap_or_default()))
    }

    pub(crate) fn uploads(&self) -> Result<Dir, Error> {
        self.root.descend(&self.uploads).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoUploadDirectory(self.uploads.clone()),
            _ => Error::Disk { action: "open the upload directory", path: self.uploads.clone(), source: error },
        })
    }

    /// The tree `name` among the releases, if there is one.
    pub(crate) fn tree(&self, name: &[u8]) -> Result<Option<Dir>, Error> {
        match self.releases.directory(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).doing("open", &TreePath::of(name)),
        }
    }

    pub(crate) fn records(&self, name: &[u8]) -> Result<Records, Error> {
        Records::open(&self.releases, name).doing("read", &TreePath::of(name))
    }

    /// Takes the site's releases for this call alone.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        let path = TreePath::of(LOCK);
        let file = self.releases.write(LOCK).doing("open", &path)?;
        if file.lock().doing("lock", &path)? { Ok(Lock(file)) } else { Err(Error::Busy) }
    }
}

/// The right to change a site's releases, until it is dropped or its process ends.
#[derive(Debug)]
pub(crate) struct Lock(Output);

impl Lock {
    /// Fails if the lock was lost: an NFS client that was cut off from its server for too long loses its locks, and is
    /// told so when it writes to the locked file.
    pub(crate) fn confirm(&mut self) -> Result<(), Error> {
        self.0.stamp().doing("confirm the lock of", &TreePath::of(LOCK))
    }

    /// When the file system says that it is now.
    pub(crate) fn now(&mut self) -> Result<crate::stat::Time, Error> {
        self.confirm()?;
        Ok(self.0.stat().doing("look at", &TreePath::of(LOCK))?.identity.ctime)
    }
}

/// The names of a release among the releases, and those of what it is made from.
#[derive(Debug)]
pub(crate) struct Names {
    /// The release.
    pub(crate) tree: Vec<u8>,
    /// Its manifest.
    pub(crate) manifest: Vec<u8>,
    /// The tree while it is being made.
    pub(crate) new_tree: Vec<u8>,
    /// What the tree that is being made holds, after the last whole walk.
    pub(crate) built: Vec<u8>,
    /// What the walk that is under way has written down.
    pub(crate) walk: Vec<u8>,
    /// Files that are being copied.
    pub(crate) parts: Vec<u8>,
    /// What the last two are made one in.
    pub(crate) merged: Vec<u8>,
    /// Files that are being copied back.
    pub(crate) restored: Vec<u8>,
    /// The tree while it is being removed.
    pub(crate) old_tree: Vec<u8>,
}

impl Names {
    pub(crate) fn of(id: &Name) -> Self {
        Self {
            tree: id.as_str().into(),
            manifest: format!("{id}{MANIFEST}").into(),
            new_tree: format!(".{id}.new").into(),
            built: format!(".{id}.built").into(),
            walk: format!(".{id}.walk").into(),
            parts: format!(".{id}.parts").into(),
            merged: format!(".{id}.merged").into(),
            restored: format!(".{id}.restored").into(),
            old_tree: format!(".{id}.old").into(),
        }
    }

    /// The release for which there is a name while it is being made, copied back or removed.
    pub(crate) fn unfinished(name: &[u8]) -> Option<Name> {
        let text = std::str::from_utf8(name).ok()?.strip_prefix('.')?;
        let id = [".new", ".built", ".walk", ".merged", ".parts", ".restored", ".old"]
            .iter()
            .find_map(|end| text.strip_suffix(end))?;
        Name::parse(id).ok()
    }
}
