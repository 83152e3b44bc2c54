//! File attributes as SFTP shows them, with the user's POSIX ids, and the line that `ls -l` prints.

use std::time::UNIX_EPOCH;

use cap_std::fs::{Metadata, MetadataExt};
use jiff::{SignedDuration, Timestamp};
use russh_sftp::protocol::{File, FileAttributes};

const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const KIND: u32 = 0o170_000;

/// The ids that files are shown with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// The attributes of a file.
pub(super) fn attributes(metadata: &Metadata, owner: Owner) -> FileAttributes {
    let seconds = |time: i64| Some(u32::try_from(time).unwrap_or_default());
    FileAttributes {
        size: Some(metadata.len()),
        uid: Some(owner.uid),
        gid: Some(owner.gid),
        permissions: Some(metadata.mode()),
        atime: seconds(metadata.atime()),
        mtime: seconds(metadata.mtime()),
        ..FileAttributes::default()
    }
}

/// The attributes of a directory that only holds mappings.
pub(super) fn virtual_directory(owner: Owner) -> FileAttributes {
    let (uid, gid) = (Some(owner.uid), Some(owner.gid));
    let permissions = Some(DIRECTORY | 0o555);
    FileAttributes { size: Some(0), uid, gid, permissions, atime: Some(0), mtime: Some(0), ..FileAttributes::default() }
}

/// One entry of a directory listing.
pub(super) fn entry(filename: String, attrs: FileAttributes, now: Timestamp) -> File {
    let longname = long_name(&filename, &attrs, now);
    File { filename, longname, attrs }
}

fn long_name(name: &str, attrs: &FileAttributes, now: Timestamp) -> String {
    let mode = attrs.permissions.unwrap_or_default();
    let kind = match mode & KIND {
        DIRECTORY => 'd',
        SYMLINK => 'l',
        _ => '-',
    };
    let bits: String =
        (0..9).rev().map(|bit| if mode >> bit & 1 == 1 { ['x', 'w', 'r'][bit % 3] } else { '-' }).collect();
    let time = Timestamp::from_second(attrs.mtime.unwrap_or_default().into()).unwrap_or_default();
    let recent = now.duration_since(time).abs() < SignedDuration::from_hours(24 * 182);
    let time = time.strftime(if recent { "%b %e %H:%M" } else { "%b %e  %Y" });
    let (uid, gid, size) =
        (attrs.uid.unwrap_or_default(), attrs.gid.unwrap_or_default(), attrs.size.unwrap_or_default());
    format!("{kind}{bits}    1 {uid:<8} {gid:<8} {size:>8} {time} {name}")
}

/// The times of `attrs`, when it sets them.
pub(super) fn file_times(attrs: &FileAttributes) -> Option<std::fs::FileTimes> {
    let at = |seconds: u32| UNIX_EPOCH + std::time::Duration::from_secs(seconds.into());
    let (accessed, modified) = (attrs.atime?, attrs.mtime?);
    Some(std::fs::FileTimes::new().set_accessed(at(accessed)).set_modified(at(modified)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_line_is_that_of_ls() {
        let attrs = FileAttributes {
            size: Some(5),
            uid: Some(1001),
            gid: Some(1002),
            permissions: Some(0o100_644),
            mtime: Some(1_700_000_000),
            ..FileAttributes::default()
        };
        let soon = Timestamp::from_second(1_700_000_100).unwrap();
        let line = entry("index.html".to_owned(), attrs, soon).longname;
        assert_eq!(line, "-rw-r--r--    1 1001     1002            5 Nov 14 22:13 index.html");
    }
}
