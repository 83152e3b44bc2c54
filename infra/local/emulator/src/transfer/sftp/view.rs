//! What a user sees: paths of the session, and the places on EFS that they stand for. A path is first made absolute
//! and clean by its text alone (`..` ends at the root), then the longest mapping takes it; what remains of it is
//! walked by `cap-std` from the mapping's directory, which no symbolic link and no race can leave.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};

use super::{Account, HomeMapping};
use crate::context::Context;

/// One user's view.
#[derive(Debug)]
pub(super) struct View {
    mappings: Vec<Mapping>,
    home: Vec<String>,
}

#[derive(Debug)]
struct Mapping {
    entry: Vec<String>,
    file_system: String,
    /// The directory that stands for the file system.
    root: PathBuf,
    /// The mapped directory inside the file system.
    target: PathBuf,
}

/// What a path of the session stands for.
#[derive(Debug)]
pub(super) enum Spot {
    /// A place on EFS.
    Real(Place),
    /// A directory that only holds mappings, and their names.
    Virtual(BTreeSet<String>),
    /// Nothing.
    Nowhere,
}

/// A place on EFS.
#[derive(Clone, Debug)]
pub(super) struct Place {
    file_system: String,
    root: PathBuf,
    target: PathBuf,
    /// Inside the mapped directory, without `..`; `.` for the directory itself.
    pub(super) path: PathBuf,
}

impl View {
    /// The view of `account`; none when one of its file systems does not exist.
    pub(super) fn new(account: &Account, context: &Context) -> Option<Self> {
        let mappings = account.mappings.iter().map(|mapping| Mapping::new(mapping, context));
        let mappings = mappings.collect::<Option<Vec<_>>>().filter(|mappings| !mappings.is_empty())?;
        Some(Self { mappings, home: clean(&[], &account.home) })
    }

    /// A path of the session, absolute and clean, as `realpath` answers it.
    pub(super) fn absolute(&self, path: &str) -> String {
        format!("/{}", self.components(path).join("/"))
    }

    fn components(&self, path: &str) -> Vec<String> {
        clean(if path.starts_with('/') { &[] } else { &self.home }, path)
    }

    /// What `path` stands for.
    pub(super) fn find(&self, path: &str) -> Spot {
        let wanted = self.components(path);
        let fitting = self.mappings.iter().filter(|mapping| wanted.starts_with(&mapping.entry));
        if let Some(mapping) = fitting.max_by_key(|mapping| mapping.entry.len()) {
            return Spot::Real(mapping.place(&wanted[mapping.entry.len()..]));
        }
        let below = self.mappings.iter().filter(|mapping| mapping.entry.starts_with(&wanted));
        let names: BTreeSet<String> = below.filter_map(|mapping| mapping.entry.get(wanted.len()).cloned()).collect();
        if names.is_empty() && !wanted.is_empty() { Spot::Nowhere } else { Spot::Virtual(names) }
    }
}

impl Mapping {
    fn new(mapping: &HomeMapping, context: &Context) -> Option<Self> {
        let mut target = clean(&[], &mapping.target).into_iter();
        let file_system = target.next().filter(|id| id.starts_with("fs-"))?;
        let root = context.file_system(&file_system);
        root.is_dir().then(|| Self { entry: clean(&[], &mapping.entry), file_system, root, target: target.collect() })
    }

    fn place(&self, rest: &[String]) -> Place {
        let path: PathBuf = if rest.is_empty() { PathBuf::from(".") } else { rest.iter().collect() };
        Place { file_system: self.file_system.clone(), root: self.root.clone(), target: self.target.clone(), path }
    }
}

impl Place {
    /// The mapped directory: everything is done from it.
    pub(super) fn directory(&self) -> io::Result<Dir> {
        let root = Dir::open_ambient_dir(&self.root, ambient_authority())?;
        if self.target.as_os_str().is_empty() { Ok(root) } else { root.open_dir(&self.target) }
    }

    /// Whether this is the mapped directory itself, which a user can neither remove nor move.
    pub(super) fn is_top(&self) -> bool {
        self.path == Path::new(".")
    }

    /// Whether both are in the same mapped directory.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.root == other.root && self.target == other.target
    }

    /// The path as events show it: `/fs-id/directory/file`.
    pub(super) fn shown(&self) -> String {
        let inside = if self.is_top() { self.target.clone() } else { self.target.join(&self.path) };
        Path::new("/").join(&self.file_system).join(inside).to_string_lossy().trim_end_matches('/').to_owned()
    }
}

fn clean(from: &[String], path: &str) -> Vec<String> {
    let mut components = from.to_vec();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name.to_owned()),
        }
    }
    components
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(home: &str, mappings: &[(&str, &str)]) -> View {
        let mapping = |(entry, target): &(&str, &str)| {
            let mut target = clean(&[], target).into_iter();
            let file_system = target.next().unwrap();
            Mapping {
                entry: clean(&[], entry),
                root: PathBuf::from("/efs").join(&file_system),
                file_system,
                target: target.collect(),
            }
        };
        View { mappings: mappings.iter().map(mapping).collect(), home: clean(&[], home) }
    }

    fn shown(view: &View, path: &str) -> String {
        match view.find(path) {
            Spot::Real(place) => place.shown(),
            Spot::Virtual(names) => format!("{names:?}"),
            Spot::Nowhere => "nowhere".to_owned(),
        }
    }

    #[test]
    fn a_logical_root_is_a_chroot() {
        let view = view("/", &[("/", "/fs-1/sites/blog")]);
        assert_eq!(shown(&view, "a/b"), "/fs-1/sites/blog/a/b");
        assert_eq!(shown(&view, "/../../etc/passwd"), "/fs-1/sites/blog/etc/passwd");
        assert_eq!(shown(&view, "a/../.."), "/fs-1/sites/blog");
        assert_eq!(view.absolute("./a//../b/"), "/b");
    }

    #[test]
    fn a_whole_path_view_starts_in_the_home_directory() {
        let view = view("/fs-1/home/al", &[("/fs-1", "/fs-1")]);
        assert_eq!(view.absolute("."), "/fs-1/home/al");
        assert_eq!(shown(&view, "x"), "/fs-1/home/al/x");
        assert_eq!(shown(&view, "/"), "{\"fs-1\"}");
        assert_eq!(shown(&view, "/fs-2/x"), "nowhere");
    }

    #[test]
    fn several_mappings_make_a_tree() {
        let view = view("/", &[("/a/one", "/fs-1/1"), ("/a/two", "/fs-1/2")]);
        assert_eq!(shown(&view, "/"), "{\"a\"}");
        assert_eq!(shown(&view, "/a"), "{\"one\", \"two\"}");
        assert_eq!(shown(&view, "/a/two/x"), "/fs-1/2/x");
        assert_eq!(shown(&view, "/b"), "nowhere");
    }
}
