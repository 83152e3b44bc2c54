//! Directories and names: list, make, remove, rename, link.

use std::path::{Component, Path, PathBuf};

use cap_std::fs::{DirBuilder, DirBuilderExt as _};
use jiff::Timestamp;
use russh_sftp::protocol::{File, FileAttributes, Handle, Name, Packet, StatusCode};
use serde_json::Value;

use super::{
    attributes::{attributes, entry, virtual_directory},
    handles::Open,
    report::Outcome,
    session::Session,
    status::{Refusal, ok, status},
    view::{Place, Spot},
};

/// Entries in one answer to a client that reads a directory.
const ENTRIES: usize = 100;

impl Session {
    pub(super) fn opendir(&mut self, id: u32, path: &str) -> Result<Packet, Refusal> {
        self.handles.check_room()?;
        let now = self.reporter.now();
        let mut entries = match self.view.find(path) {
            Spot::Real(place) => self.list(&place, now)?,
            Spot::Virtual(names) => {
                names.into_iter().map(|name| entry(name, virtual_directory(self.owner), now)).collect()
            }
            Spot::Nowhere => return Err(Refusal::absent()),
        };
        entries.sort_by(|a, b| a.filename.cmp(&b.filename));
        Ok(Packet::Handle(Handle { id, handle: self.handles.add(Open::Directory(entries.into_iter())) }))
    }

    fn list(&self, place: &Place, now: Timestamp) -> Result<Vec<File>, Refusal> {
        let mut entries = Vec::new();
        for found in place.directory()?.read_dir(&place.path)? {
            let found = found?;
            // A file that was removed meanwhile is not listed.
            if let Ok(metadata) = found.metadata() {
                let name = found.file_name().to_string_lossy().into_owned();
                entries.push(entry(name, attributes(&metadata, self.owner), now));
            }
        }
        Ok(entries)
    }

    pub(super) fn readdir(&mut self, id: u32, handle: &str) -> Result<Packet, Refusal> {
        let files: Vec<File> = self.handles.directory(handle)?.take(ENTRIES).collect();
        if files.is_empty() {
            Ok(status(id, StatusCode::Eof, "End of directory"))
        } else {
            Ok(Packet::Name(Name { id, files }))
        }
    }

    pub(super) fn realpath(&self, id: u32, path: &str) -> Packet {
        let file =
            File { filename: self.view.absolute(path), longname: String::new(), attrs: FileAttributes::default() };
        Packet::Name(Name { id, files: vec![file] })
    }

    pub(super) fn mkdir(&mut self, id: u32, path: &str, attrs: &FileAttributes) -> Result<Packet, Refusal> {
        let place = self.real(path)?;
        let mode = attrs.permissions.unwrap_or(0o755) & 0o777;
        let logged = ("MKDIR", vec![("path", place.shown().into())]);
        self.reported("Directory Create", &[("directory-path", place.shown().into())], logged, || {
            Ok(place.directory()?.create_dir_with(&place.path, DirBuilder::new().mode(mode))?)
        })?;
        Ok(ok(id))
    }

    pub(super) fn rmdir(&mut self, id: u32, path: &str) -> Result<Packet, Refusal> {
        let place = self.movable(path)?;
        let logged = ("RMDIR", vec![("path", place.shown().into())]);
        self.reported("Directory Delete", &[("directory-path", place.shown().into())], logged, || {
            Ok(place.directory()?.remove_dir(&place.path)?)
        })?;
        Ok(ok(id))
    }

    pub(super) fn remove(&mut self, id: u32, path: &str) -> Result<Packet, Refusal> {
        let place = self.movable(path)?;
        let logged = ("DELETE", vec![("path", place.shown().into())]);
        self.reported("File Delete", &[("file-path", place.shown().into())], logged, || {
            let directory = place.directory()?;
            if directory.symlink_metadata(&place.path)?.is_dir() {
                return Err(Refusal::failure("Is a directory"));
            }
            Ok(directory.remove_file(&place.path)?)
        })?;
        Ok(ok(id))
    }

    /// Renames; the plain request of SFTP version 3 does not replace what is there, POSIX's does.
    pub(super) fn rename(&mut self, id: u32, from: &str, to: &str, replaces: bool) -> Result<Packet, Refusal> {
        let (from, to) = (self.movable(from)?, self.movable(to)?);
        let paths = [("original-file-path", from.shown().into()), ("renamed-file-path", to.shown().into())];
        let logged = ("RENAME", vec![("path", from.shown().into()), ("new-path", to.shown().into())]);
        self.reported("File Rename", &paths, logged, || {
            let (source, destination) = (from.directory()?, to.directory()?);
            source.symlink_metadata(&from.path)?;
            if !replaces && destination.symlink_metadata(&to.path).is_ok() {
                return Err(Refusal::failure("File or directory already exists"));
            }
            Ok(source.rename(&from.path, &destination, &to.path)?)
        })?;
        Ok(ok(id))
    }

    pub(super) fn readlink(&mut self, id: u32, path: &str) -> Result<Packet, Refusal> {
        let place = self.real(path)?;
        let target = place.directory()?.read_link_contents(&place.path)?;
        let filename = target.to_string_lossy().into_owned();
        let file = File { filename, longname: String::new(), attrs: FileAttributes::default() };
        Ok(Packet::Name(Name { id, files: vec![file] }))
    }

    /// Makes a symbolic link to something in the same mapped directory. It is kept as a relative path, so that the
    /// containers that mount the file system elsewhere see the same file.
    pub(super) fn symlink(&mut self, id: u32, target: &str, link: &str) -> Result<Packet, Refusal> {
        let place = self.movable(link)?;
        let shown = self.view.absolute(link);
        let parent = shown.rsplit_once('/').map_or("", |(parent, _)| parent);
        let wanted = if target.starts_with('/') { target.to_owned() } else { format!("{parent}/{target}") };
        let pointed = self.real(&wanted)?;
        if !pointed.is_beside(&place) {
            return Err(Refusal::denied("A symbolic link cannot point out of the directory that it is in the view of"));
        }
        place.directory()?.symlink(relative(&place.path, &pointed.path), &place.path)?;
        Ok(ok(id))
    }

    /// A place that may be removed or renamed.
    fn movable(&self, path: &str) -> Result<Place, Refusal> {
        let place = self.real(path)?;
        if place.is_top() { Err(Refusal::denied("The top directory stays where it is")) } else { Ok(place) }
    }

    /// Acts, sends the event of `kind`, and logs the activity, or that it failed.
    fn reported(
        &self,
        kind: &str,
        members: &[(&str, Value)],
        (activity, logged): (&str, Vec<(&str, Value)>),
        act: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let started = self.reporter.now();
        let done = act();
        let outcome = match &done {
            Ok(()) => {
                self.presence.log.write(activity, &logged);
                Outcome::Completed
            }
            Err(refusal) => {
                self.log_error(activity, &logged, refusal);
                Outcome::Failed("UNKNOWN_ERROR", refusal.message.clone())
            }
        };
        self.reporter.send(kind, outcome, started, members);
        done
    }

    pub(super) fn log_error(&self, operation: &str, members: &[(&str, Value)], refusal: &Refusal) {
        let mut members = members.to_vec();
        members.extend([("operation", operation.into()), ("message", refusal.message.clone().into())]);
        self.presence.log.write("ERROR", &members);
    }
}

/// The way from the directory of `link` to `target`; both are clean and start at the same directory.
fn relative(link: &Path, target: &Path) -> PathBuf {
    let from: Vec<Component<'_>> = link.parent().into_iter().flat_map(Path::components).collect();
    let to: Vec<Component<'_>> = target.components().filter(|part| *part != Component::CurDir).collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let way: PathBuf =
        from[shared..].iter().map(|_| Component::ParentDir).chain(to[shared..].iter().copied()).collect();
    if way.as_os_str().is_empty() { PathBuf::from(".") } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_kept_as_the_way_from_its_directory() {
        let way = |link: &str, target: &str| relative(Path::new(link), Path::new(target)).display().to_string();
        assert_eq!(way("current", "releases/2"), "releases/2");
        assert_eq!(way("a/b/link", "a/file"), "../file");
        assert_eq!(way("a/link", "."), "..");
        assert_eq!(way("link", "."), ".");
    }
}
