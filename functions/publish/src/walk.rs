//! One walk over the upload directory, which brings the tree that is being made to what it sees. The first walk makes
//! the tree; the next one finds what changed meanwhile; a walk that finds nothing proves that all files were so at once.
//! So a walk that was broken off is taken up by just walking again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use crate::{
    copy::Parts,
    disk::{Dir, Listed, is_gone},
    error::{Doing as _, Error},
    manifest::{Entry, Lookup, Record, Writer},
    outcome::{Refused, Summary},
    parallel::in_parallel,
    path::{Place, TreePath},
    place::{Folder, Item, Placed},
    removal::remove,
    rules::Rules,
    stat::Kind,
};

/// Names that are worked on between two looks at the clock.
const CHUNK: usize = 256;

/// The three trees.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) uploads: Dir,
    pub(crate) previous: Option<Dir>,
    pub(crate) building: Dir,
}

/// What a walk came to.
#[derive(Debug)]
pub(crate) enum Walked {
    Whole { summary: Summary, changes: u64, unsettled: u64 },
    Paused { files_seen: u64 },
}

/// A walk under way.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) trees: &'a Trees,
    pub(crate) parts: &'a Parts,
    pub(crate) rules: &'a Rules<'a>,
    /// What the tree that is being made held when the walk began.
    pub(crate) built: Lookup,
    pub(crate) previous: Lookup,
    pub(crate) writer: Writer,
    pub(crate) seen: Seen,
}

/// What a walk has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    summary: Summary,
    files: u64,
    changes: u64,
    unsettled: u64,
    paused: bool,
}

/// What the upload directory has in one directory.
#[derive(Debug, Default)]
struct Listing {
    files: Vec<Vec<u8>>,
    directories: BTreeSet<Vec<u8>>,
}

/// What the tree that is being made lists in one directory, by name, with its number.
type Standing = BTreeMap<Vec<u8>, u64>;

impl<'a> Walk<'a> {
    pub(crate) fn run(mut self) -> Result<Walked, Error> {
        let mut waiting = vec![TreePath::default()];
        while let Some(path) = waiting.pop() {
            self.seen.paused |= self.rules.options.limits.is_over();
            let below = if self.seen.paused { BTreeSet::new() } else { self.directory(&path)? };
            if self.seen.paused {
                self.writer.pause().doing("write the manifest beside", &path)?;
                return Ok(Walked::Paused { files_seen: self.seen.files });
            }
            waiting.extend(below.iter().rev().map(|name| path.join(name)));
        }
        let Seen { summary, changes, unsettled, .. } = self.seen;
        self.writer.end(&summary).doing("write the manifest beside", &TreePath::default())?;
        Ok(Walked::Whole { summary, changes, unsettled })
    }

    /// Works off the files in a directory and returns the names of the directories in it.
    fn directory(&mut self, path: &TreePath) -> Result<BTreeSet<Vec<u8>>, Error> {
        let options = self.rules.options;
        let uploads = self.open(path)?;
        let is_shared = options.is_shared(path);
        if uploads.is_none() && !is_shared && options.shared_names(path).is_empty() {
            let parent = self.trees.building.descend(&TreePath::of(path.parent()));
            parent.and_then(|parent| remove(&parent, path.name())).doing("remove", path)?;
            return Ok(BTreeSet::new());
        }
        let uploads = uploads.as_ref().filter(|_| !is_shared);
        let listing = self.list(path, uploads).doing("list the uploaded directory", path)?;
        let access = uploads.unwrap_or(&self.trees.uploads).own_stat().doing("look at the uploaded directory", path)?;
        let (building, mut standing) = self.building(path).doing("make the directory", path)?;
        self.record(&Record { path: path.clone(), access: access.access, is: Entry::Directory })?;
        if let Some(uploads) = uploads {
            let previous = self.trees.previous.as_ref().and_then(|previous| previous.descend(path).ok());
            let (parts, rules) = (self.parts, self.rules);
            let folder = Folder { uploads, previous: previous.as_ref(), building: &building, parts, rules };
            self.files(path, &folder, listing.files, &mut standing)?;
        }
        if !self.seen.paused {
            self.sweep(&building, standing, &listing.directories).doing("clear the directory", path)?;
        }
        Ok(listing.directories)
    }

    /// Opens a directory of the uploads; `None` if it is gone or must not be read.
    fn open(&mut self, path: &TreePath) -> Result<Option<Dir>, Error> {
        match self.trees.uploads.descend(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !path.is_root() => {
                self.seen.summary.refused.add(path.clone(), Refused::Unreadable);
                Ok(None)
            }
            Err(error) if is_gone(&error) && !path.is_root() => {
                // A shared directory need not be among the uploads.
                self.seen.changes += u64::from(self.rules.options.shared.iter().all(|shared| !path.contains(shared)));
                Ok(None)
            }
            opened => opened.map(Some).doing("open the uploaded directory", path),
        }
    }

    /// What belongs in the release of what the directory lists, and the directories where others are mounted.
    fn list(&mut self, path: &TreePath, uploads: Option<&Dir>) -> io::Result<Listing> {
        let options = self.rules.options;
        let shared = options.shared_names(path);
        let mut listing = Listing::default();
        if !options.is_shared(path) {
            listing.directories.extend(shared.iter().map(|name| name.to_vec()));
        }
        let Some(uploads) = uploads else { return Ok(listing) };
        for Listed { name, is_directory, .. } in uploads.list()? {
            let is_shared = shared.contains(&*name);
            if options.ignores(&name) && !is_shared {
                continue;
            }
            let is_directory = match is_directory {
                Some(told) => told,
                None => uploads.stat(&name).is_ok_and(|stat| stat.kind == Kind::Directory),
            };
            match (is_directory, is_shared) {
                (true, _) => drop(listing.directories.insert(name)),
                (false, true) => self.seen.summary.refused.add(path.join(&name), Refused::Shared),
                (false, false) => listing.files.push(name),
            }
        }
        Ok(listing)
    }

    /// The directory in the tree that is being made, and what is in it.
    fn building(&self, path: &TreePath) -> io::Result<(Dir, Standing)> {
        let (building, is_new) = if path.is_root() {
            (self.trees.building.descend(path)?, false)
        } else {
            let parent = self.trees.building.descend(&TreePath::of(path.parent()))?;
            match parent.make_directory(path.name()) {
                Err(error) if is_gone(&error) => {
                    remove(&parent, path.name())?;
                    parent.make_directory(path.name())?
                }
                made => made?,
            }
        };
        if is_new {
            building.give_to_root()?;
            return Ok((building, Standing::new()));
        }
        if building.own_stat()?.access.mode & 0o200 == 0 {
            building.set_mode(0o755)?;
        }
        let standing = building.list()?.into_iter().map(|entry| (entry.name, entry.inode)).collect();
        Ok((building, standing))
    }

    fn files(
        &mut self,
        path: &TreePath,
        folder: &Folder<'_>,
        names: Vec<Vec<u8>>,
        standing: &mut Standing,
    ) -> Result<(), Error> {
        let limits = self.rules.options.limits;
        for chunk in names.chunks(CHUNK) {
            if limits.is_over() {
                self.seen.paused = true;
                return Ok(());
            }
            let items: Vec<Item> = chunk.iter().map(|name| self.item(path.join(name), standing.remove(name))).collect();
            let paths: Vec<TreePath> = items.iter().map(|item| item.path.clone()).collect();
            let placed = in_parallel(limits.workers, items, |item| folder.place(item));
            for (path, placed) in paths.into_iter().zip(placed) {
                let placed = placed.doing("publish", &path)?;
                self.count(path, placed)?;
            }
        }
        Ok(())
    }

    fn item(&mut self, path: TreePath, standing: Option<u64>) -> Item {
        let place = Place { path: &path, is_directory: false };
        Item { built: self.built.find(place), previous: self.previous.find(place), standing, path }
    }

    fn count(&mut self, path: TreePath, placed: Placed) -> Result<(), Error> {
        self.seen.files += 1;
        let record = match placed {
            Placed::Same(record) => Some(record),
            Placed::New(record) => {
                self.seen.changes += 1;
                Some(record)
            }
            Placed::Held(record, reason) => {
                self.seen.summary.held.add(path, reason);
                record
            }
            Placed::Unsettled(record) => {
                self.seen.unsettled += 1;
                record
            }
            Placed::Refused(reason) => {
                self.seen.summary.refused.add(path, reason);
                None
            }
            Placed::Gone => {
                self.seen.changes += 1;
                None
            }
            Placed::Paused(record) => {
                self.seen.paused = true;
                record
            }
        };
        record.map_or(Ok(()), |record| self.record(&record))
    }

    fn record(&mut self, record: &Record) -> Result<(), Error> {
        let summary = &mut self.seen.summary;
        match &record.is {
            Entry::Directory => summary.directories += 1,
            Entry::Symlink { .. } => summary.symlinks += 1,
            Entry::File(file) => {
                let size = file.source.size;
                summary.bytes += size;
                summary.files_linked += u64::from(file.linked);
                summary.files_copied += u64::from(!file.linked);
                summary.own_bytes += if file.linked { 0 } else { size };
            }
        }
        self.writer.record(record).doing("write the manifest beside", &record.path)
    }

    /// Removes what is left of the tree that is being made and was not among the uploads.
    fn sweep(&mut self, building: &Dir, standing: Standing, wanted: &BTreeSet<Vec<u8>>) -> io::Result<()> {
        for name in standing.into_keys().filter(|name| !wanted.contains(name)) {
            remove(building, &name)?;
            self.seen.changes += 1;
        }
        Ok(())
    }
}
