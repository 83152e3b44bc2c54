//! What a tree holds, as one value.

use std::{collections::BTreeMap, fs, path::Path};

/// What each path below `root` is: a file's text, `-> target`, or `directory`.
pub(crate) fn read(root: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let is = if kind.is_symlink() {
                format!("-> {}", fs::read_link(entry.path()).unwrap().display())
            } else if kind.is_dir() {
                waiting.push(entry.path());
                "directory".into()
            } else if kind.is_file() {
                fs::read_to_string(entry.path()).unwrap()
            } else {
                "neither file, link nor directory".into()
            };
            tree.insert(entry.path().strip_prefix(root).unwrap().to_str().unwrap().into(), is);
        }
    }
    tree
}
