//! Brings one name of the upload directory to what a release has, unless that would lose what is nowhere else.

use std::io;

use crate::{
    copy::{Copied, Parts, digest},
    disk::{Dir, is_gone},
    manifest::{Entry, FileRecord, Record},
    options::Options,
    outcome::Kept,
    path::{Bytes, TreePath},
    stat::{Kind, Stat},
};

/// One directory in both trees.
pub(crate) struct Folder<'a> {
    pub(crate) uploads: Dir,
    pub(crate) release: Option<Dir>,
    pub(crate) parts: &'a Parts,
    pub(crate) options: &'a Options,
}

/// One name in it.
pub(crate) struct Item {
    pub(crate) path: TreePath,
    /// What the release has.
    pub(crate) wanted: Option<Record>,
    /// What the latest release has.
    pub(crate) latest: Option<Record>,
}

pub(crate) enum Done {
    Nothing,
    PutBack,
    Removed,
    Kept(Kept),
    /// A directory has the place of a file or link.
    Directory(Box<Item>),
    Paused,
}

impl Folder<'_> {
    pub(crate) fn work(&self, item: Item) -> io::Result<Done> {
        if self.options.limits.is_over() {
            return Ok(Done::Paused);
        }
        let seen = match self.uploads.stat(item.path.name()) {
            Err(error) if is_gone(&error) => None,
            stat => Some(stat?),
        };
        let Some(stat) = seen else {
            return match &item.wanted {
                Some(wanted) => self.put(&item, wanted, None),
                None => Ok(Done::Nothing),
            };
        };
        if self.options.open.contains(&item.path) {
            return Ok(Done::Kept(Kept::Unreleased));
        }
        let held = match stat.kind {
            Kind::File => self.file_is(&item, &stat)?,
            Kind::Symlink => self.link_is(&item)?,
            Kind::Directory if item.wanted.is_some() => return Ok(Done::Directory(Box::new(item))),
            Kind::Directory => return Ok(Done::Nothing),
            Kind::Fifo | Kind::Socket | Kind::Device if item.wanted.is_some() => return Ok(Done::Kept(Kept::InTheWay)),
            Kind::Fifo | Kind::Socket | Kind::Device => return Ok(Done::Nothing),
        };
        match (held, &item.wanted) {
            (Holds::Wanted, _) => Ok(Done::Nothing),
            (Holds::Latest, Some(wanted)) => self.put(&item, wanted, Some(&stat)),
            (Holds::Latest, None) => self.remove(&item, &stat),
            (Holds::Other, _) => Ok(Done::Kept(Kept::Unreleased)),
        }
    }

    /// Whose file it is that the upload directory has.
    fn file_is(&self, item: &Item, stat: &Stat) -> io::Result<Holds> {
        let wanted = item.wanted.as_ref().and_then(Record::file);
        let latest = item.latest.as_ref().and_then(Record::file);
        if wanted.is_some_and(|file| file.source == stat.identity) {
            return Ok(Holds::Wanted);
        }
        let is_latest = latest.is_some_and(|file| file.source == stat.identity);
        let has_size = |file: &&FileRecord| file.source.size == stat.identity.size;
        if wanted.filter(has_size).is_none() && (is_latest || latest.filter(has_size).is_none()) {
            return Ok(if is_latest { Holds::Latest } else { Holds::Other });
        }
        let file = match self.uploads.read(item.path.name()) {
            Err(error) if is_gone(&error) => return Ok(Holds::Other),
            file => file?,
        };
        if Stat::of_open(&file)?.identity != stat.identity {
            return Ok(Holds::Other);
        }
        let sha256 = digest(&file)?;
        let has_bytes = |file: &FileRecord| file.sha256 == sha256;
        Ok(if wanted.is_some_and(has_bytes) {
            Holds::Wanted
        } else if is_latest || latest.is_some_and(has_bytes) {
            Holds::Latest
        } else {
            Holds::Other
        })
    }

    fn link_is(&self, item: &Item) -> io::Result<Holds> {
        let target = match self.uploads.read_link(item.path.name()) {
            Err(error) if is_gone(&error) => return Ok(Holds::Other),
            target => Bytes(target?),
        };
        let is_it = |record: &Option<Record>| matches!(record, Some(Record { is: Entry::Symlink { target: recorded }, .. }) if *recorded == target);
        Ok(if is_it(&item.wanted) {
            Holds::Wanted
        } else if is_it(&item.latest) {
            Holds::Latest
        } else {
            Holds::Other
        })
    }

    /// Puts what the release has in the place of what was `seen`, unless that changed meanwhile.
    fn put(&self, item: &Item, wanted: &Record, seen: Option<&Stat>) -> io::Result<Done> {
        let (Some(release), name) = (&self.release, item.path.name()) else { return Ok(Done::Nothing) };
        let source = match &wanted.is {
            Entry::Directory => return Ok(Done::Nothing),
            Entry::Symlink { target } => {
                if !self.is_still(name, seen)? {
                    return Ok(Done::Kept(Kept::Unreleased));
                }
                self.uploads.remove_file(name)?;
                self.uploads.symlink(&target.0, name)?;
                return Ok(Done::PutBack);
            }
            Entry::File(file) => file.source,
        };
        let file = release.read(name)?;
        match self.parts.copy(&item.path, &file, &Stat::of_open(&file)?)? {
            Copied::Whole(part) => {
                part.output.set_access(wanted.access, source.mtime)?;
                if !self.is_still(name, seen)? {
                    self.parts.discard(&part)?;
                    return Ok(Done::Kept(Kept::Unreleased));
                }
                self.parts.place(&part, &self.uploads, name)?;
                Ok(Done::PutBack)
            }
            Copied::Torn | Copied::Paused => Ok(Done::Paused),
            Copied::Unread(error) => Err(error),
        }
    }

    fn remove(&self, item: &Item, seen: &Stat) -> io::Result<Done> {
        if !self.is_still(item.path.name(), Some(seen))? {
            return Ok(Done::Kept(Kept::Unreleased));
        }
        self.uploads.remove_file(item.path.name())?;
        Ok(Done::Removed)
    }

    fn is_still(&self, name: &[u8], seen: Option<&Stat>) -> io::Result<bool> {
        match self.uploads.stat(name) {
            Err(error) if is_gone(&error) => Ok(seen.is_none()),
            stat => Ok(Some(stat?.identity) == seen.map(|seen| seen.identity)),
        }
    }
}

/// Whose bytes a name of the upload directory has.
enum Holds {
    /// Those of the release that is restored.
    Wanted,
    /// Those of the latest release.
    Latest,
    /// Others: they are in no release that is known here.
    Other,
}
