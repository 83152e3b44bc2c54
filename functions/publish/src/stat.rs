//! What the file system says of one file, asked of its server and not of a cache.

use std::os::fd::AsFd;

use rustix::{
    fs::{AtFlags, FileType, StatxFlags, StatxTimestamp, statx},
    io::Result,
};
use serde::{Deserialize, Serialize};

/// A time of the file system: seconds since 1970, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Time(pub(crate) i64, pub(crate) u32);

impl From<StatxTimestamp> for Time {
    fn from(time: StatxTimestamp) -> Self {
        Self(time.tv_sec, time.tv_nsec)
    }
}

impl Time {
    /// Nanoseconds since 1970.
    pub(crate) fn nanoseconds(self) -> i128 {
        i128::from(self.0) * 1_000_000_000 + i128::from(self.1)
    }
}

/// What changes whenever a file's bytes do. `mtime` alone would not: clients set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The file's number on its file system.
    pub(crate) inode: u64,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When its bytes were changed, as far as its client says.
    pub(crate) mtime: Time,
    /// When anything of it was changed, as the file system says.
    pub(crate) ctime: Time,
}

/// What a name in a directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Symlink,
    Fifo,
    Socket,
    Device,
}

/// Who owns a file, and what its owner lets others do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// Permission bits, those for setuid, setgid and sticky included.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    pub(crate) identity: Identity,
    pub(crate) access: Access,
    pub(crate) links: u32,
}

impl Stat {
    /// Asks for `name` in `directory`, which is not followed if it is a symbolic link.
    pub(crate) fn of_name(directory: impl AsFd, name: &[u8]) -> Result<Self> {
        Self::ask(directory, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Asks for an open file or directory.
    pub(crate) fn of_open(file: impl AsFd) -> Result<Self> {
        Self::ask(file, b"", AtFlags::EMPTY_PATH)
    }

    fn ask(directory: impl AsFd, name: &[u8], how: AtFlags) -> Result<Self> {
        // A warm NFS client answers from its cache for up to a minute, unless it is told not to.
        let found = statx(directory, name, how | AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS)?;
        let mode = u32::from(found.stx_mode);
        Ok(Self {
            kind: Kind::of(FileType::from_raw_mode(mode)),
            identity: Identity {
                inode: found.stx_ino,
                size: found.stx_size,
                mtime: found.stx_mtime.into(),
                ctime: found.stx_ctime.into(),
            },
            access: Access { mode: mode & 0o7777, uid: found.stx_uid, gid: found.stx_gid },
            links: found.stx_nlink,
        })
    }
}

impl Kind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::RegularFile => Self::File,
            FileType::Symlink => Self::Symlink,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            _ => Self::Device,
        }
    }
}
