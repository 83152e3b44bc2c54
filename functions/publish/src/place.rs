//! Brings one name of the tree that is being made to what the upload directory has: links, copies, holds back, refuses.

use std::{fs::File, io};

use crate::{
    copy::{Copied, Part, Parts, digest, is_unchanged},
    disk::{Dir, is_gone, takes_no_link},
    manifest::{Entry, FileRecord, Record},
    outcome::{Held, Refused},
    path::{Bytes, TreePath},
    removal::remove,
    rules::Rules,
    stat::{Access, Identity, Kind, Stat, Time},
};

/// Up to this size a file is read before it is copied, to see whether only its attributes changed; a larger one is
/// copied, and the copy dropped if it was not needed.
const READ_FIRST: u64 = 16 << 20;

/// One directory in the three trees.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) uploads: &'a Dir,
    pub(crate) previous: Option<&'a Dir>,
    pub(crate) building: &'a Dir,
    pub(crate) parts: &'a Parts,
    pub(crate) rules: &'a Rules<'a>,
}

/// One name in it, which is to be no directory.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) path: TreePath,
    /// What an earlier walk recorded for it.
    pub(crate) built: Option<Record>,
    /// What the previous release has.
    pub(crate) previous: Option<Record>,
    /// The number of what has the name in the tree that is being made.
    pub(crate) standing: Option<u64>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Placed {
    /// It is as the record says, and was so before.
    Same(Record),
    /// It is now as the record says.
    New(Record),
    /// It is as in the previous release, if that had it.
    Held(Option<Record>, Held),
    /// It changes, and is to be looked at again; it is as an earlier walk left it, if one did.
    Unsettled(Option<Record>),
    Refused(Refused),
    /// It was listed, and was gone or a directory when it was looked at.
    Gone,
    /// Time was up. It is as an earlier walk left it, if one did.
    Paused(Option<Record>),
}

impl Folder<'_> {
    pub(crate) fn place(&self, mut item: Item) -> io::Result<Placed> {
        self.check_standing(&mut item)?;
        let stat = match self.uploads.stat(item.path.name()) {
            Err(error) if is_gone(&error) => return self.gone(&item),
            stat => stat?,
        };
        match stat.kind {
            Kind::File => self.file(item, &stat),
            Kind::Symlink => self.symlink(item, stat.access),
            Kind::Directory => self.gone(&item),
            Kind::Fifo => self.refused(&item, Refused::Fifo),
            Kind::Socket => self.refused(&item, Refused::Socket),
            Kind::Device => self.refused(&item, Refused::Device),
        }
    }

    /// Forgets a record that the tree does not bear out: a process died between the two, or lost its lock.
    fn check_standing(&self, item: &mut Item) -> io::Result<()> {
        let Some(recorded) = item.built.as_ref().and_then(Record::file).map(|file| file.inode) else { return Ok(()) };
        if item.standing == Some(recorded) {
            return Ok(());
        }
        // Some file systems list other numbers than they tell for the file.
        let told = match self.building.stat(item.path.name()) {
            Err(error) if is_gone(&error) => None,
            stat => Some(stat?.identity.inode),
        };
        if told != Some(recorded) {
            item.built = None;
            // A link to the previous release's file that is not what its manifest says: copied from now on.
            if item.previous.as_ref().and_then(Record::file).is_some_and(|file| file.inode == recorded) {
                item.previous = None;
            }
        }
        Ok(())
    }

    fn file(&self, item: Item, stat: &Stat) -> io::Result<Placed> {
        let is_current = |record: &&Record| record.file().is_some_and(|file| file.source == stat.identity);
        if self.rules.options.open.contains(&item.path) {
            return self.hold(item, Held::Open);
        }
        if let Some(built) = item.built.as_ref().filter(is_current) {
            return Ok(Placed::Same(built.clone()));
        }
        if let Some(previous) = item.previous.as_ref().filter(is_current)
            && self.link(&item, previous)?
        {
            return Ok(Placed::New(previous.linked(previous.access, None)));
        }
        if self.rules.is_hot(stat.identity.ctime) {
            return self.unsettled(item);
        }
        match self.uploads.read(item.path.name()) {
            Err(error) if is_gone(&error) => self.unsettled(item),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.hold(item, Held::Unreadable),
            source => self.changed_file(item, &source?, stat),
        }
    }

    /// A file that is not the one that a record tells of, though its bytes may be the same.
    fn changed_file(&self, item: Item, source: &File, stat: &Stat) -> io::Result<Placed> {
        // It may be anything by now: a device must not even be read.
        if !is_unchanged(source, stat)? {
            return self.unsettled(item);
        }
        let is_alike = |record: &&Record| record.is_alike(stat);
        let (built, previous) = (item.built.as_ref().filter(is_alike), item.previous.as_ref().filter(is_alike));
        if (built.is_some() || previous.is_some()) && stat.identity.size <= READ_FIRST {
            let sha256 = match digest(source) {
                Err(error) => return self.unread(item, &error),
                Ok(sha256) => sha256,
            };
            if !is_unchanged(source, stat)? {
                return self.unsettled(item);
            }
            let has_bytes = |record: &&Record| record.file().is_some_and(|file| file.sha256 == sha256);
            if let Some(built) = built.filter(has_bytes) {
                return Ok(Placed::New(built.again(stat)));
            }
            if let Some(previous) = previous.filter(has_bytes)
                && self.link(&item, previous)?
            {
                return Ok(Placed::New(previous.linked(stat.access, Some(stat.identity))));
            }
        }
        match self.parts.copy(&item.path, source, stat)? {
            Copied::Paused => Ok(Placed::Paused(item.built)),
            Copied::Torn => self.unsettled(item),
            Copied::Unread(error) => self.unread(item, &error),
            Copied::Whole(part) => self.copied(&item, &part, stat),
        }
    }

    fn copied(&self, item: &Item, part: &Part, stat: &Stat) -> io::Result<Placed> {
        let has_bytes =
            |record: &&Record| record.is_alike(stat) && record.file().is_some_and(|file| file.sha256 == part.sha256);
        if let Some(previous) = item.previous.as_ref().filter(has_bytes)
            && self.link(item, previous)?
        {
            self.parts.discard(part)?;
            return Ok(Placed::New(previous.linked(stat.access, Some(stat.identity))));
        }
        let inode = self.put(item, part, stat.access.mode, stat.identity.mtime)?;
        let file = FileRecord { source: stat.identity, sha256: part.sha256.clone(), inode, linked: false };
        Ok(Placed::New(Record { path: item.path.clone(), access: stat.access, is: Entry::File(file) }))
    }

    /// Gives a copy its name in the tree that is being made, and returns its number.
    fn put(&self, item: &Item, part: &Part, mode: u32, mtime: Time) -> io::Result<u64> {
        part.output.set_attributes(release_mode(mode), mtime)?;
        let place = || self.parts.place(part, self.building, item.path.name());
        match place() {
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                self.clear(item)?;
                place()?;
            }
            placed => placed?,
        }
        Ok(part.output.stat()?.identity.inode)
    }

    /// Links the previous release's file; `false` if that can't be done, so that it is to be copied.
    fn link(&self, item: &Item, previous: &Record) -> io::Result<bool> {
        let (Some(from), Some(file)) = (self.previous, previous.file()) else { return Ok(false) };
        if item.standing == Some(file.inode) {
            return Ok(true);
        }
        if item.standing.is_some() {
            self.clear(item)?;
        }
        let link = || self.building.link(from, item.path.name());
        let linked = match link() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.clear(item)?;
                link()
            }
            linked => linked,
        };
        match linked {
            Err(error) if takes_no_link(&error) || is_gone(&error) => Ok(false),
            linked => linked.map(|()| true),
        }
    }

    fn symlink(&self, item: Item, access: Access) -> io::Result<Placed> {
        let name = item.path.name();
        let target = match self.uploads.read_link(name) {
            Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::InvalidInput => {
                return self.unsettled(item);
            }
            target => target?,
        };
        let is = Entry::Symlink { target: Bytes(target.clone()) };
        let record = Record { path: item.path.clone(), access, is };
        if item.standing.is_some() && self.building.read_link(name).is_ok_and(|standing| standing == target) {
            return Ok(if item.built.as_ref() == Some(&record) { Placed::Same(record) } else { Placed::New(record) });
        }
        self.clear(&item)?;
        self.building.symlink(&target, name)?;
        Ok(Placed::New(record))
    }

    /// A file that failed while it was read. One that can't be read holds up no other.
    fn unread(&self, item: Item, error: &io::Error) -> io::Result<Placed> {
        if is_gone(error) { self.unsettled(item) } else { self.hold(item, Held::Unreadable) }
    }

    fn unsettled(&self, item: Item) -> io::Result<Placed> {
        if self.rules.last {
            return self.hold(item, Held::Changing);
        }
        if item.built.is_none() {
            self.clear(&item)?;
        }
        Ok(Placed::Unsettled(item.built))
    }

    /// Takes a file as the previous release has it.
    fn hold(&self, item: Item, reason: Held) -> io::Result<Placed> {
        let previous = match &item.previous {
            Some(previous) => Some(previous.clone()),
            None => self.unrecorded(&item.path)?,
        };
        let Some(previous) = previous else {
            self.clear(&item)?;
            return Ok(Placed::Held(None, reason));
        };
        if let Entry::Symlink { target } = &previous.is {
            self.clear(&item)?;
            self.building.symlink(&target.0, item.path.name())?;
            return Ok(Placed::Held(Some(previous), reason));
        }
        if self.link(&item, &previous)? {
            return Ok(Placed::Held(Some(previous.linked(previous.access, None)), reason));
        }
        self.copy_previous(&item, &previous, reason)
    }

    /// Copies a file of the previous release that takes no link more.
    fn copy_previous(&self, item: &Item, previous: &Record, reason: Held) -> io::Result<Placed> {
        let opened = self.previous.map(|from| from.read(item.path.name())).transpose();
        let source = match opened {
            Err(error) if is_gone(&error) => None,
            opened => opened?,
        };
        let (Some(source), Some(file)) = (source, previous.file()) else {
            self.clear(item)?;
            return Ok(Placed::Held(None, reason));
        };
        match self.parts.copy(&item.path, &source, &Stat::of_open(&source)?)? {
            Copied::Whole(part) => {
                let inode = self.put(item, &part, previous.access.mode, file.source.mtime)?;
                let file = FileRecord { inode, linked: false, sha256: part.sha256, ..file.clone() };
                let record = Record { is: Entry::File(file), ..previous.clone() };
                Ok(Placed::Held(Some(record), reason))
            }
            // Other releases take and lose links meanwhile, which changes its ctime.
            Copied::Torn | Copied::Paused => Ok(Placed::Paused(None)),
            Copied::Unread(error) => Err(error),
        }
    }

    /// A file of the previous release of which no manifest tells, as when that was damaged.
    fn unrecorded(&self, path: &TreePath) -> io::Result<Option<Record>> {
        let Some(file) = self.previous.map(|from| from.read(path.name())).transpose().ok().flatten() else {
            return Ok(None);
        };
        let stat = Stat::of_open(&file)?;
        if stat.kind != Kind::File {
            return Ok(None);
        }
        // The uploaded file that it was copied from is not known: none has this identity.
        let source = Identity { inode: 0, ctime: Time(0, 0), ..stat.identity };
        let file = FileRecord { source, sha256: digest(&file)?, inode: stat.identity.inode, linked: true };
        Ok(Some(Record { path: path.clone(), access: stat.access, is: Entry::File(file) }))
    }

    fn gone(&self, item: &Item) -> io::Result<Placed> {
        self.clear(item)?;
        Ok(Placed::Gone)
    }

    fn refused(&self, item: &Item, reason: Refused) -> io::Result<Placed> {
        self.clear(item)?;
        Ok(Placed::Refused(reason))
    }

    fn clear(&self, item: &Item) -> io::Result<()> {
        if item.standing.is_some() || self.building.stat(item.path.name()).is_ok() {
            remove(self.building, item.path.name())?;
        }
        Ok(())
    }
}

impl Record {
    /// The record of a link to this record's file; of the uploaded file `source`, if it is another one by now.
    fn linked(&self, access: Access, source: Option<Identity>) -> Self {
        let mut record = Self { access, ..self.clone() };
        if let Entry::File(file) = &mut record.is {
            file.linked = true;
            file.source = source.unwrap_or(file.source);
        }
        record
    }

    /// The same file, of an uploaded one whose attributes alone changed.
    fn again(&self, stat: &Stat) -> Self {
        let mut record = Self { access: stat.access, ..self.clone() };
        if let Entry::File(file) = &mut record.is {
            file.source = stat.identity;
        }
        record
    }

    /// Whether the file in the release could be a copy of an uploaded one: all but the bytes are the same.
    fn is_alike(&self, stat: &Stat) -> bool {
        self.file().is_some_and(|file| file.source.size == stat.identity.size)
            && release_mode(self.access.mode) == release_mode(stat.access.mode)
    }
}

/// The mode of a file in a release: everybody reads, nobody writes, and who could run it still can, as themselves.
fn release_mode(mode: u32) -> u32 {
    0o444 | (mode & 0o111)
}
