//! Makes a release: walks until nothing changes any more, or time is up, and gives the tree its name.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use crate::{
    copy::Parts,
    disk::Dir,
    error::{Doing as _, Error},
    manifest::{Entry, Lookup, Record, Records, Writer},
    options::Options,
    outcome::{Outcome, Progress},
    path::{Name, TreePath},
    removal::{Removal, remove},
    rules::Rules,
    site::{Lock, Names, Site},
    walk::{Seen, Trees, Walk, Walked},
};

impl Site {
    /// Makes the release `id` of what the upload directory has; files that did not change are links into the release
    /// `previous`.
    ///
    /// Nothing has the release's name before the release is whole. A call that is repeated goes on where the last one
    /// stopped; of two at once, one is [`Error::Busy`]; once it is published, each answers so.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::NoUploadDirectory`], [`Error::Full`]; what the disk refuses.
    pub fn release(&self, id: &Name, previous: Option<&Name>, options: &Options) -> Result<Outcome, Error> {
        if let Some(summary) = self.summary(id)? {
            return Ok(Outcome::Published(summary));
        }
        let uploads = self.uploads()?;
        let lock = self.lock()?;
        if let Some(summary) = self.summary(id)? {
            return Ok(Outcome::Published(summary));
        }
        let names = Names::of(id);
        if !self.take_up(id, &names, options)? {
            return Ok(Outcome::Unfinished(Progress::default()));
        }
        self.recover(&names).doing("take up", &TreePath::of(&names.tree))?;
        let previous_names = previous.map(Names::of);
        let previous = previous_names.as_ref().map(|names| self.tree(&names.tree)).transpose()?.flatten();
        let making = |name: &[u8]| self.made(name).doing("make the directory", &TreePath::of(name));
        let trees = Trees { uploads, previous, building: making(&names.new_tree)? };
        let parts = Parts::open(making(&names.parts)?, options.limits).doing("open", &TreePath::of(&names.parts))?;
        let previous_manifest = previous_names.map(|names| names.manifest);
        Making { site: self, lock, names, previous_manifest, trees, parts, options }.run()
    }

    pub(crate) fn made(&self, name: &[u8]) -> io::Result<Dir> {
        let (directory, is_new) = self.releases.make_directory(name)?;
        if is_new {
            directory.give_to_root()?;
        }
        Ok(directory)
    }

    /// Goes on with what was begun for another release that never came to be, and removes what else there is of such
    /// ones; `false` if time is up.
    fn take_up(&self, id: &Name, names: &Names, options: &Options) -> Result<bool, Error> {
        let list = || self.releases.list().doing("list the releases", &TreePath::default());
        let listed = list()?;
        if listed.iter().all(|entry| entry.name != names.new_tree) {
            let others = listed.iter().filter_map(|entry| Some(Names::of(&Names::unfinished(&entry.name)?)));
            let begun = others.into_iter().find(|other| listed.iter().any(|entry| entry.name == other.new_tree));
            let Names { new_tree, built, walk, .. } = begun.unwrap_or_else(|| Names::of(id));
            // The manifests last: a tree without them is looked through, and what is not recorded is removed.
            for (old, new) in [(new_tree, &names.new_tree), (built, &names.built), (walk, &names.walk)] {
                self.rename_if_there(&old, new).doing("take up", &TreePath::of(&old))?;
            }
        }
        for entry in list()? {
            let is_other = Names::unfinished(&entry.name).is_some_and(|other| other != *id);
            if is_other && !self.clean(&entry.name, options)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn clean(&self, name: &[u8], options: &Options) -> Result<bool, Error> {
        let path = TreePath::of(name);
        match self.tree(name) {
            Ok(Some(tree)) => {
                let removal = Removal { tree, limits: Some(options.limits), freed: 0.into() };
                let is_empty = removal.run().doing("remove", &path)?;
                if is_empty {
                    self.releases.remove_directory(name).doing("remove", &path)?;
                }
                Ok(is_empty)
            }
            // A manifest.
            _ => self.releases.remove_file(name).doing("remove", &path).map(|()| true),
        }
    }

    fn rename_if_there(&self, old: &[u8], new: &[u8]) -> io::Result<()> {
        match self.releases.rename(old, &self.releases, new) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        }
    }

    /// Brings the records of what is built to what was done last, also by a walk that was broken off.
    fn recover(&self, names: &Names) -> io::Result<()> {
        if Records::open(&self.releases, &names.built)?.is_missing() {
            // A process died between giving the manifest its name and the release its own.
            self.rename_if_there(&names.manifest, &names.built)?;
        }
        let mut walk = Records::open(&self.releases, &names.walk)?;
        if walk.is_missing() {
            return self.releases.remove_file(&names.walk);
        }
        let mut writer = Writer::begin(&self.releases, &names.merged)?;
        let mut last = None;
        for record in walk.by_ref() {
            writer.record(&record)?;
            last = Some(record);
        }
        if walk.end().is_none() {
            let later = |record: &Record| last.as_ref().is_none_or(|last| record.place().order(last.place()).is_gt());
            for record in Records::open(&self.releases, &names.built)?.filter(later) {
                writer.record(&record)?;
            }
        }
        writer.pause()?;
        self.releases.rename(&names.merged, &self.releases, &names.built)?;
        self.releases.remove_file(&names.walk)
    }
}

/// A release that is being made.
struct Making<'a> {
    site: &'a Site,
    lock: Lock,
    names: Names,
    previous_manifest: Option<Vec<u8>>,
    trees: Trees,
    parts: Parts,
    options: &'a Options,
}

impl Making<'_> {
    fn run(mut self) -> Result<Outcome, Error> {
        let mut walks = 0;
        loop {
            let last = Instant::now() >= self.options.settle_by;
            let (summary, changes, unsettled) = match self.walk(last)? {
                Walked::Whole { summary, changes, unsettled } => (summary, changes, unsettled),
                Walked::Paused { files_seen } => {
                    let progress = Progress { files_seen, bytes_written: self.parts.written() };
                    return Ok(Outcome::Unfinished(progress));
                }
            };
            walks += 1;
            if changes == 0 && unsettled == 0 || last && walks > 1 {
                self.finish()?;
                return Ok(Outcome::Published(summary));
            }
            if unsettled > 0 {
                thread::sleep(self.pause());
            }
        }
    }

    /// How long to wait for files that change.
    fn pause(&self) -> Duration {
        let until = self.options.settle_by.min(self.options.limits.deadline);
        self.options.settle.min(until.saturating_duration_since(Instant::now()))
    }

    fn walk(&mut self, last: bool) -> Result<Walked, Error> {
        let began = (self.lock.now()?, Instant::now());
        let rules = Rules { options: self.options, began, last };
        let (site, names) = (self.site, &self.names);
        let previous = self.previous_manifest.as_ref().map(|name| site.records(name)).transpose()?;
        let walk = Walk {
            trees: &self.trees,
            parts: &self.parts,
            rules: &rules,
            built: Lookup::new(site.records(&names.built)?),
            previous: Lookup::new(previous.unwrap_or_default()),
            writer: Writer::begin(&site.releases, &names.walk).doing("write", &TreePath::of(&names.walk))?,
            seen: Seen::default(),
        };
        let walked = walk.run()?;
        if let Walked::Whole { .. } = walked {
            let renamed = site.releases.rename(&names.walk, &site.releases, &names.built);
            renamed.doing("write", &TreePath::of(&names.built))?;
        }
        Ok(walked)
    }

    /// Takes the right to write from all directories, and gives the release its name.
    fn finish(&mut self) -> Result<(), Error> {
        for record in self.site.records(&self.names.built)?.filter(|record| record.is == Entry::Directory) {
            let directory = self.trees.building.descend(&record.path);
            directory.and_then(|directory| directory.set_mode(0o555)).doing("close the directory", &record.path)?;
        }
        self.lock.confirm()?;
        let (releases, names) = (&self.site.releases, &self.names);
        let name = |from: &[u8], to: &[u8]| match releases.rename(from, releases, to) {
            // After a failover, EFS may answer that what it has just renamed is not there.
            Err(error) if error.kind() == io::ErrorKind::NotFound && releases.stat(to).is_ok() => Ok(()),
            renamed => renamed.doing("give its name to", &TreePath::of(to)),
        };
        name(&names.built, &names.manifest)?;
        name(&names.new_tree, &names.tree)?;
        releases.sync().doing("write", &TreePath::default())?;
        remove(releases, &names.parts).doing("remove", &TreePath::of(&names.parts))
    }
}
