//! Releases on a real file system, in a directory of each test's own.

mod crashes;
mod restore;
mod rules;
mod tree;
mod writers;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{Limits, Name, Options, Outcome, Site, Summary, TreePath, Volume, Witness};

/// A file system with one site, `blog`, whose upload directory is `/sites/blog`.
pub(crate) struct World {
    directory: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("sites/blog")).unwrap();
        Self { directory }
    }

    /// With these files uploaded.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let world = Self::new();
        files.iter().for_each(|(path, text)| world.upload(path, text));
        world
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub(crate) fn uploads(&self, path: &str) -> PathBuf {
        self.path("sites/blog").join(path)
    }

    pub(crate) fn released(&self, id: &str, path: &str) -> PathBuf {
        self.path("releases/blog").join(id).join(path)
    }

    pub(crate) fn upload(&self, path: &str, text: &str) {
        let path = self.uploads(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        symlink(target, self.uploads(path)).unwrap();
    }

    pub(crate) fn site(&self) -> Site {
        self.watched(Witness::default())
    }

    pub(crate) fn watched(&self, witness: Witness) -> Site {
        let volume = Volume::watched(self.directory.path(), witness).unwrap();
        volume.site(&name("blog"), &path("/sites/blog")).unwrap()
    }

    /// Publishes what is uploaded, which must come off.
    pub(crate) fn publish(&self, id: &str, previous: Option<&str>) -> Summary {
        self.publish_with(id, previous, &options())
    }

    pub(crate) fn publish_with(&self, id: &str, previous: Option<&str>, options: &Options) -> Summary {
        published(self.site().release(&name(id), previous.map(name).as_ref(), options).unwrap())
    }

    pub(crate) fn uploaded_tree(&self) -> BTreeMap<String, String> {
        tree::read(&self.uploads(""))
    }

    pub(crate) fn released_tree(&self, id: &str) -> BTreeMap<String, String> {
        tree::read(&self.released(id, ""))
    }
}

pub(crate) fn published(outcome: Outcome) -> Summary {
    match outcome {
        Outcome::Published(summary) => summary,
        Outcome::Unfinished(progress) => panic!("unfinished: {progress:?}"),
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

pub(crate) fn limits() -> Limits {
    Limits { deadline: Instant::now() + Duration::from_secs(600), workers: 3 }
}

/// All files, without any wait for those that change.
pub(crate) fn options() -> Options {
    Options {
        marker: None,
        ignore: Vec::new(),
        shared: Vec::new(),
        open: [].into(),
        settle: Duration::ZERO,
        settle_by: Instant::now(),
        limits: limits(),
    }
}

pub(crate) fn inode(path: PathBuf) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

pub(crate) fn mode(path: PathBuf) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: PathBuf, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
