//! Names, the paths inside of a tree, and the order in which trees are walked.

use std::{borrow::Cow, cmp::Ordering, fmt};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a manifest writes as `%XX`, beside all that is not ASCII: names on a file system need not be UTF-8.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// How the name of a manifest ends, and so that of no release.
pub(crate) const MANIFEST: &str = ".manifest";

/// A text that is no name of a site or release, or no path inside of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct Invalid {
    text: String,
    expected: &'static str,
}

impl Invalid {
    fn new(text: &[u8], expected: &'static str) -> Self {
        Self { text: String::from_utf8_lossy(text).into_owned(), expected }
    }
}

/// The name of a site or a release: what its directory below `/releases` is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Name(String);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// When it is more or less than 1 to 100 letters, digits, `-`, `_` or `.`, or begins with `.`, or ends as a
    /// manifest does.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let valid = (1..=100).contains(&text.len())
            && text.bytes().all(is_plain)
            && !text.starts_with('.')
            && !text.ends_with(MANIFEST);
        if valid { Ok(Self(text.into())) } else { Err(Invalid::new(text.as_bytes(), "the name of a site or release")) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A path inside of a tree: bytes, relative to its root, without empty parts, `.` or `..`. The root itself is empty.
///
/// Shown and stored, `%` and whatever is not printable ASCII are written as `%XX`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// Reads a path; a leading slash is taken as the tree's root.
    ///
    /// # Errors
    /// When a part of it is empty, `.`, `..`, or contains NUL.
    pub fn parse(path: impl AsRef<[u8]>) -> Result<Self, Invalid> {
        let path = path.as_ref();
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let is_name = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
        if relative.is_empty() || relative.split(|byte| *byte == b'/').all(is_name) {
            Ok(Self(relative.to_vec()))
        } else {
            Err(Invalid::new(path, "a path without empty parts, . or .."))
        }
    }

    /// The path as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the tree's root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` is this path or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.is_root() || other.0.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// The path of a name of our own in the root.
    pub(crate) fn of(name: &[u8]) -> Self {
        Self(name.to_vec())
    }

    /// The names from the root down.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    /// The last name; empty for the root.
    pub(crate) fn name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The directory that it lies in; the root's is the root.
    pub(crate) fn parent(&self) -> &[u8] {
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        &self.0[..end]
    }

    /// The path of `name`, which a directory listed, in this directory.
    pub(crate) fn join(&self, name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !self.is_root() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// The first name of `other` below this directory, if it lies below.
    pub(crate) fn next_name<'a>(&self, other: &'a Self) -> Option<&'a [u8]> {
        if self == other || !self.contains(other) {
            return None;
        }
        let rest = &other.0[self.0.len()..];
        rest.split(|byte| *byte == b'/').find(|part| !part.is_empty())
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        percent_encode(&self.0, ENCODED).fmt(f)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&*Cow::from(percent_decode_str(&text))).map_err(de::Error::custom)
    }
}

/// Bytes that need not be UTF-8, written as paths are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bytes(#[serde(with = "bytes")] pub(crate) Vec<u8>);

mod bytes {
    use std::borrow::Cow;

    use percent_encoding::{percent_decode_str, percent_encode};
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&percent_encode(bytes, super::ENCODED))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(Cow::from(percent_decode_str(&Cow::<str>::deserialize(deserializer)?)).into_owned())
    }
}

/// Where something stands in a walk: a directory comes before what is in it, and all that is no directory before its
/// neighbours that are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a TreePath,
    pub(crate) is_directory: bool,
}

impl Place<'_> {
    /// The order of the walk, which is the order of a manifest's lines.
    pub(crate) fn order(self, other: Self) -> Ordering {
        let (mut ours, mut theirs) = (self.path.names().peekable(), other.path.names().peekable());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return self.is_directory.cmp(&other.is_directory),
                (None, Some(_)) => return Ordering::Less,
                (Some(_), None) => return Ordering::Greater,
                (Some(our), Some(their)) if our == their => {}
                (Some(our), Some(their)) => {
                    let our_directory = self.is_directory || ours.peek().is_some();
                    let their_directory = other.is_directory || theirs.peek().is_some();
                    return our_directory.cmp(&their_directory).then(our.cmp(their));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn a_path_never_leaves_its_tree() {
        for text in ["..", "a/../b", "a//b", "a/", ".", "a/./b", "a\0b", "//a"] {
            assert!(TreePath::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(path("/sites/blog"), path("sites/blog"));
        assert!(path("/").is_root());
    }

    #[test]
    fn a_name_is_one_plain_directory() {
        for text in ["", ".", "..", ".lock", "a/b", "ä", "a b", "x.manifest"] {
            assert!(Name::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Name::parse("0192-ab_c.d").unwrap().as_str(), "0192-ab_c.d");
    }

    #[test]
    fn a_directory_contains_what_is_below_it() {
        assert!(path("a").contains(&path("a/b")) && path("a").contains(&path("a")) && path("").contains(&path("x")));
        assert!(!path("a").contains(&path("ab")));
        assert_eq!(path("a").next_name(&path("a/b/c")), Some(&b"b"[..]));
        assert_eq!(path("").next_name(&path("a/b")), Some(&b"a"[..]));
        assert_eq!(path("a").next_name(&path("a")), None);
    }

    proptest! {
        #[test]
        fn any_path_survives_being_written_down(names in prop::collection::vec(prop::collection::vec(1u8.., 1..5), 1..4)) {
            let text = names.join(&b'/');
            if let Ok(path) = TreePath::parse(&text) {
                let json = serde_json::to_string(&path).unwrap();
                prop_assert!(json.is_ascii());
                prop_assert_eq!(serde_json::from_str::<TreePath>(&json).unwrap(), path);
            }
        }

        #[test]
        fn the_order_of_a_walk_is_total(
            paths in prop::collection::vec(("[ab](/[ab]){0,2}", any::<bool>()), 3),
        ) {
            let paths: Vec<_> = paths.iter().map(|(text, is_directory)| (path(text), *is_directory)).collect();
            let place = |number: usize| Place { path: &paths[number].0, is_directory: paths[number].1 };
            let (a, b, c) = (place(0), place(1), place(2));
            prop_assert_eq!(a.order(b), b.order(a).reverse());
            prop_assert_eq!(a.order(b).is_eq(), paths[0] == paths[1]);
            if a.order(b).is_le() && b.order(c).is_le() {
                prop_assert!(a.order(c).is_le());
            }
        }
    }
}
