//! A directory on an EFS file system, and the paths in Transfer Family's events that lie in it.

use crate::{
    ids::FileSystemId,
    text::{Invalid, parsed_string},
};

parsed_string! {
    /// A directory on a file system: an absolute path without `.`, `..`, empty parts or a trailing slash; `/` is the
    /// whole file system.
    Directory, |text| absolute(text, "a directory is an absolute path such as /sites/blog, without . or .. and without a slash at its end")
}

parsed_string! {
    /// Where a container mounts the directory: an absolute path below `/`.
    MountPath, mount_path
}

fn absolute(text: String, allowed: &str) -> Result<String, Invalid> {
    let parts = text.strip_prefix('/').map(|rest| rest.split('/'));
    let valid = text == "/"
        || parts.is_some_and(|mut parts| {
            parts.all(|part| {
                !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control) && part.len() <= 255
            })
        });
    if valid && text.len() <= 1024 { Ok(text) } else { Err(Invalid::new(&text, allowed)) }
}

fn mount_path(text: String) -> Result<String, Invalid> {
    const ALLOWED: &str =
        "a mount path is an absolute path in the container such as /usr/share/nginx/html, not / itself";
    if text == "/" { Err(Invalid::new(&text, ALLOWED)) } else { absolute(text, ALLOWED) }
}

impl Directory {
    /// The directory as Transfer Family names it: `/fs-…/sites/blog`.
    #[must_use]
    pub fn on(&self, file_system: &FileSystemId) -> String {
        match self.as_str() {
            "/" => format!("/{file_system}"),
            path => format!("/{file_system}{path}"),
        }
    }

    /// Whether the absolute `path` on the same file system lies in this directory or is it.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        match self.as_str() {
            "/" => path.starts_with('/'),
            directory => path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }

    /// Whether it lies beneath the absolute `path` on the same file system, and is not that itself.
    #[must_use]
    pub fn is_beneath(&self, path: &str) -> bool {
        let rest = self.as_str().strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    }

    /// How many names deep the directory lies; 0 for `/`. Of two sites that contain a path, the deeper one owns it.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.split('/').filter(|part| !part.is_empty()).count()
    }
}

/// Splits the path of a Transfer Family event, `/fs-…/a/b`, into the file system and the path on it.
#[must_use]
pub fn split_event_path(path: &str) -> Option<(FileSystemId, &str)> {
    let rest = path.strip_prefix('/')?;
    let (id, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let below = if below.is_empty() { "/" } else { below };
    FileSystemId::parse(id).ok().map(|id| (id, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_absolute_and_plain() {
        for good in ["/", "/sites", "/sites/blog", "/a b/ü"] {
            assert!(Directory::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "sites", "/sites/", "//", "/a//b", "/a/../b", "/.", "/a\0b"] {
            assert!(Directory::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_contains_itself_and_what_is_below_but_no_namesake() {
        let blog = Directory::parse("/sites/blog").unwrap();
        assert!(blog.contains("/sites/blog") && blog.contains("/sites/blog/a"));
        assert!(!blog.contains("/sites/blog2") && !blog.contains("/sites"));
        assert!(blog.is_beneath("/sites") && blog.is_beneath("/"));
        assert!(!blog.is_beneath("/sites/blog") && !blog.is_beneath("/site") && !blog.is_beneath("/sites/blog/a"));
    }

    #[test]
    fn an_event_path_names_its_file_system() {
        let (id, path) = split_event_path("/fs-1234abcd5678ef/user0/test-file").unwrap();
        assert_eq!((id.as_str(), path), ("fs-1234abcd5678ef", "/user0/test-file"));
        assert_eq!(split_event_path("/fs-1234abcd5678ef").unwrap().1, "/");
        assert!(split_event_path("/bucket/key").is_none());
        assert!(split_event_path("").is_none());
    }
}
