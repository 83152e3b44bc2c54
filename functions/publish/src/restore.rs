//! Copies a release back into the upload directory.
//!
//! Afterwards the upload directory has what the release has, with one exception: nothing is lost. What was uploaded
//! since the latest release, and so exists nowhere else, stays as it is and is named.

use std::{collections::BTreeSet, io};

use crate::{
    copy::Parts,
    disk::{Dir, is_gone},
    error::{Doing as _, Error},
    manifest::{Lookup, Record},
    options::Options,
    outcome::{Cursor, Kept, Restored},
    parallel::in_parallel,
    path::{Bytes, Name, Place, TreePath},
    put_back::{Done, Folder, Item},
    removal::remove,
    site::{Names, Site},
    stat::Kind,
};

/// Names that are worked on between two looks at the clock.
const CHUNK: usize = 256;

impl Site {
    /// Copies the release `id` back into the upload directory. What `latest`, the latest release, has of the upload
    /// directory may be replaced and removed; what was uploaded since stays. Marker, ignored, shared and open files stay
    /// as they are.
    ///
    /// If time is up, the answer says where the next call is to go on `from`.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::NoRelease`], [`Error::NoUploadDirectory`], [`Error::Full`]; what the disk refuses.
    pub fn restore(
        &self,
        id: &Name,
        latest: &Name,
        from: Option<&Cursor>,
        options: &Options,
    ) -> Result<Restored, Error> {
        let _lock = self.lock()?;
        let names = Names::of(id);
        let release = self.tree(&names.tree)?.ok_or_else(|| Error::NoRelease(id.clone()))?;
        let parts = self.made(&names.restored).and_then(|directory| Parts::open(directory, options.limits));
        let parts = parts.doing("open", &TreePath::of(&names.restored))?;
        let latest = Names::of(latest).manifest;
        let uploads = self.uploads()?;
        let mut restoring = Restoring {
            site: self,
            names,
            latest,
            uploads,
            release,
            parts: &parts,
            options,
            done: Restored::default(),
        };
        if restoring.walk(TreePath::default(), from)? {
            restoring.remove_empty_below(&TreePath::default())?;
            let restored = &restoring.names.restored;
            remove(&self.releases, restored).doing("remove", &TreePath::of(restored))?;
        }
        Ok(restoring.done)
    }
}

struct Restoring<'a> {
    site: &'a Site,
    names: Names,
    latest: Vec<u8>,
    uploads: Dir,
    release: Dir,
    parts: &'a Parts,
    options: &'a Options,
    done: Restored,
}

/// The names in a directory of both trees.
#[derive(Default)]
struct Listing {
    files: BTreeSet<Vec<u8>>,
    directories: BTreeSet<Vec<u8>>,
}

impl Restoring<'_> {
    /// Works off the tree at `root`; `false` if time was up.
    fn walk(&mut self, root: TreePath, from: Option<&Cursor>) -> Result<bool, Error> {
        let (wanted, latest) = (self.site.records(&self.names.manifest)?, self.site.records(&self.latest)?);
        let mut lookups = (Lookup::new(wanted), Lookup::new(latest));
        let mut waiting = vec![root];
        while let Some(path) = waiting.pop() {
            let begin = match from {
                Some(from) if path == from.directory => Some(&*from.name.0),
                // Its files are done, directories in it are not.
                Some(from) if path.contains(&from.directory) => None,
                Some(from) if directory(&path).order(directory(&from.directory)).is_lt() => continue,
                _ => Some(&b""[..]),
            };
            let Some(below) = self.directory(&path, begin, &mut lookups)? else { return Ok(false) };
            waiting.extend(below.iter().rev().map(|name| path.join(name)));
        }
        Ok(true)
    }

    /// Works off the files in a directory, from the name `begin` on, and returns the directories in it; `None` if time
    /// was up.
    fn directory(
        &mut self,
        path: &TreePath,
        begin: Option<&[u8]>,
        lookups: &mut (Lookup, Lookup),
    ) -> Result<Option<BTreeSet<Vec<u8>>>, Error> {
        let record = lookups.0.find(directory(path));
        let release = match self.release.descend(path) {
            Err(error) if is_gone(&error) => None,
            opened => Some(opened.doing("open the release's directory", path)?),
        };
        let Some(uploads) = self.uploads(path, record.as_ref()).doing("make the directory", path)? else {
            if record.is_some() {
                self.done.kept.add(path.clone(), Kept::InTheWay);
            }
            return Ok(Some(BTreeSet::new()));
        };
        let mut listing = self.list(path, &uploads, release.as_ref()).doing("list the directory", path)?;
        let files = begin.map(|begin| listing.files.split_off(begin)).unwrap_or_default();
        let folder = Folder { uploads, release, parts: self.parts, options: self.options };
        let is_done = self.files(path, &folder, &Vec::from_iter(files), lookups)?;
        Ok(is_done.then_some(listing.directories))
    }

    /// The directory of the uploads, which is made if the release has it; `None` if something else has its place.
    fn uploads(&self, path: &TreePath, record: Option<&Record>) -> io::Result<Option<Dir>> {
        match (self.uploads.descend(path), record) {
            (Err(error), Some(record)) if error.kind() == io::ErrorKind::NotFound => {
                let parent = self.uploads.descend(&TreePath::of(path.parent()))?;
                let (directory, _) = parent.make_directory(path.name())?;
                directory.set_owner(record.access)?;
                directory.set_mode(record.access.mode & 0o777)?;
                Ok(Some(directory))
            }
            (Err(error), _) if is_gone(&error) => Ok(None),
            (opened, _) => opened.map(Some),
        }
    }

    fn list(&self, path: &TreePath, uploads: &Dir, release: Option<&Dir>) -> io::Result<Listing> {
        let mut listing = Listing::default();
        if self.options.is_shared(path) {
            return Ok(listing);
        }
        for (tree, is_release) in [(Some(uploads), false), (release, true)] {
            let Some(tree) = tree else { continue };
            for entry in tree.list()?.into_iter().filter(|entry| !self.options.ignores(&entry.name)) {
                let stat = || tree.stat(&entry.name).is_ok_and(|stat| stat.kind == Kind::Directory);
                if entry.is_directory.unwrap_or_else(stat) {
                    listing.directories.insert(entry.name);
                } else {
                    // An uploaded directory in the place of a file is seen to with the file.
                    if is_release {
                        listing.directories.remove(&entry.name);
                    }
                    listing.files.insert(entry.name);
                }
            }
        }
        Ok(listing)
    }

    /// Works off files; `false` if time was up.
    fn files(
        &mut self,
        path: &TreePath,
        folder: &Folder<'_>,
        names: &[Vec<u8>],
        lookups: &mut (Lookup, Lookup),
    ) -> Result<bool, Error> {
        for chunk in names.chunks(CHUNK) {
            let find = |name: &Vec<u8>| {
                let path = path.join(name);
                let place = Place { path: &path, is_directory: false };
                Item { wanted: lookups.0.find(place), latest: lookups.1.find(place), path }
            };
            let items: Vec<Item> = chunk.iter().map(find).collect();
            let worked = in_parallel(self.options.limits.workers, items, |item| folder.work(item));
            for (name, worked) in chunk.iter().zip(worked) {
                let at = path.join(name);
                let done = worked.doing("restore", &at)?;
                if !self.count(folder, at, done)? {
                    self.done.go_on_from = Some(Cursor { directory: path.clone(), name: Bytes(name.clone()) });
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Counts what was done; `false` if time was up.
    fn count(&mut self, folder: &Folder<'_>, path: TreePath, done: Done) -> Result<bool, Error> {
        match done {
            Done::Nothing => {}
            Done::PutBack => self.done.put_back += 1,
            Done::Removed => self.done.removed += 1,
            Done::Kept(reason) => self.done.kept.add(path, reason),
            Done::Directory(item) => return self.replace_directory(folder, *item),
            Done::Paused => return Ok(false),
        }
        Ok(true)
    }

    /// Puts a file or link in the place of a directory, if nothing is in that but what the latest release has; `false`
    /// if time was up.
    fn replace_directory(&mut self, folder: &Folder<'_>, item: Item) -> Result<bool, Error> {
        // Its names come later in the walk: they are looked up anew.
        if !self.walk(item.path.clone(), None)? {
            return Ok(false);
        }
        self.remove_empty_below(&item.path)?;
        let path = item.path.clone();
        match folder.work(item).doing("restore", &path)? {
            Done::Kept(_) | Done::Directory(_) => self.count(folder, path, Done::Kept(Kept::InTheWay)),
            done => self.count(folder, path, done),
        }
    }

    /// Removes directories that the release does not have, if they are empty by now.
    fn remove_empty_below(&self, root: &TreePath) -> Result<(), Error> {
        let (mut waiting, mut others) = (vec![root.clone()], Vec::new());
        while let Some(path) = waiting.pop() {
            if self.options.is_shared(&path) {
                continue;
            }
            let uploads = match self.uploads.descend(&path) {
                Err(error) if is_gone(&error) => continue,
                opened => opened.doing("open the directory", &path)?,
            };
            for entry in uploads.list().doing("list the directory", &path)? {
                if entry.is_directory != Some(false) && !self.options.ignores(&entry.name) {
                    waiting.push(path.join(&entry.name));
                }
            }
            if self.release.descend(&path).is_err_and(|error| is_gone(&error)) {
                others.push(path);
            }
        }
        for path in others.iter().rev() {
            let parent = self.uploads.descend(&TreePath::of(path.parent())).doing("open the directory of", path)?;
            match parent.remove_directory(path.name()) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty || is_gone(&error) => {}
                removed => removed.doing("remove the directory", path)?,
            }
        }
        Ok(())
    }
}

fn directory(path: &TreePath) -> Place<'_> {
    Place { path, is_directory: true }
}
