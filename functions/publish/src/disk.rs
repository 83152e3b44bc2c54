//! Directories as handles: each step goes down by one name and follows no symbolic link, so that nothing outside of the
//! tree of a handle is reached, whatever a user makes of the tree meanwhile.

use std::{
    fmt,
    fs::File,
    io::{self, ErrorKind, Seek as _, Write as _},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use rustix::{
    fs::{self, AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid},
    io::Errno,
};

use crate::{
    path::TreePath,
    stat::{Access, Stat, Time},
};

/// A change to the disk that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A file is made.
    Create,
    /// So many bytes are written to a file.
    Write(usize),
    /// A file gets one more name.
    Link,
    /// A symbolic link is made.
    Symlink,
    /// A directory is made.
    MakeDirectory,
    /// A name is changed.
    Rename,
    /// A name is removed.
    Remove,
    /// A mode, an owner or a time is set.
    SetAttributes,
    /// What was written is sent to the disk.
    Sync,
}

/// Is asked before each change, and may refuse it with an error that then stands for the change's own. So faults are
/// brought about: a full disk, a link too many, a process that dies.
#[derive(Clone, Default)]
pub struct Witness(Option<Arc<Asked>>);

type Asked = dyn Fn(Change) -> io::Result<()> + Send + Sync;

impl Witness {
    /// A witness that asks `ask`.
    pub fn new(ask: impl Fn(Change) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    pub(crate) fn ask(&self, change: Change) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |ask| ask(change))
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Witness" } else { "no witness" })
    }
}

/// What all handles on one file system have in common.
#[derive(Debug, Clone)]
struct Disk {
    witness: Witness,
    /// Whether it is another machine's: what that could not write shows when a file is sent to it, at the latest when
    /// the file is closed, which could not say so. A disk of this machine tells at each write.
    is_remote: bool,
}

impl Disk {
    fn ask(&self, change: Change) -> io::Result<()> {
        self.witness.ask(change)
    }

    /// Sends what was written of a file or directory to the disk, if that is another machine's.
    fn sync(&self, file: impl AsFd) -> io::Result<()> {
        self.ask(Change::Sync)?;
        if self.is_remote {
            fs::fsync(file)?;
        }
        Ok(())
    }
}

/// `f_type` of NFS, which EFS is.
const NFS: i64 = 0x6969;

/// One name that a directory lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: Vec<u8>,
    pub(crate) inode: u64,
    /// Whether it is a directory, where the file system tells in a listing.
    pub(crate) is_directory: Option<bool>,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    handle: OwnedFd,
    disk: Disk,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Without blocking: a FIFO that took the file's name would wait for a writer.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const WRITE: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the directory at `path` of the whole system.
    pub(crate) fn open(path: &Path, witness: Witness) -> io::Result<Self> {
        let handle = fs::open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?;
        let is_remote = fs::fstatfs(&handle)?.f_type == NFS;
        Ok(Self { handle, disk: Disk { witness, is_remote } })
    }

    /// Opens the directory at `path` below this one.
    pub(crate) fn descend(&self, path: &TreePath) -> io::Result<Self> {
        let mut names = path.names();
        let mut at = self.directory(names.next().unwrap_or(b"."))?;
        for name in names {
            at = at.directory(name)?;
        }
        Ok(at)
    }

    /// Opens the directory `name`.
    pub(crate) fn directory(&self, name: &[u8]) -> io::Result<Self> {
        let handle = fs::openat(&self.handle, name, DIRECTORY, Mode::empty())?;
        Ok(Self { handle, disk: self.disk.clone() })
    }

    /// Opens the directory `name`, which is made if it is not there; tells whether it was.
    pub(crate) fn make_directory(&self, name: &[u8]) -> io::Result<(Self, bool)> {
        self.disk.ask(Change::MakeDirectory)?;
        let made = match fs::mkdirat(&self.handle, name, Mode::from_raw_mode(0o755)) {
            // After a failover, EFS may answer that what it has just made is there.
            Err(Errno::EXIST) => false,
            made => {
                made?;
                true
            }
        };
        Ok((self.directory(name)?, made))
    }

    /// What the directory lists, `.` and `..` apart, sorted by name.
    pub(crate) fn list(&self) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::Dir::read_from(&self.handle)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                let is_directory = match entry.file_type() {
                    FileType::Unknown => None,
                    kind => Some(kind == FileType::Directory),
                };
                listed.push(Listed { name: name.to_vec(), inode: entry.ino(), is_directory });
            }
        }
        listed.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    pub(crate) fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(Stat::of_name(&self.handle, name)?)
    }

    pub(crate) fn own_stat(&self) -> io::Result<Stat> {
        Ok(Stat::of_open(&self.handle)?)
    }

    /// Opens a file for reading. Whoever opens it asks what it is: it need not be what `stat` saw.
    pub(crate) fn read(&self, name: &[u8]) -> io::Result<File> {
        Ok(File::from(fs::openat(&self.handle, name, READ, Mode::empty())?))
    }

    pub(crate) fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(fs::readlinkat(&self.handle, name, Vec::new())?.into_bytes())
    }

    /// Makes a file that is not there yet, readable by its owner alone.
    pub(crate) fn create(&self, name: &[u8]) -> io::Result<Output> {
        self.open_output(name, WRITE | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file to go on writing, which is made if it is not there.
    pub(crate) fn write(&self, name: &[u8]) -> io::Result<Output> {
        self.open_output(name, WRITE | OFlags::CREATE)
    }

    /// Makes a file, in place of what is there.
    pub(crate) fn replace(&self, name: &[u8]) -> io::Result<Output> {
        self.open_output(name, WRITE | OFlags::CREATE | OFlags::TRUNC)
    }

    fn open_output(&self, name: &[u8], how: OFlags) -> io::Result<Output> {
        self.disk.ask(Change::Create)?;
        let file = File::from(fs::openat(&self.handle, name, how, Mode::from_raw_mode(0o600))?);
        Ok(Output { file, disk: self.disk.clone() })
    }

    /// Gives the file `name` of `from` the same name here.
    pub(crate) fn link(&self, from: &Self, name: &[u8]) -> io::Result<()> {
        self.disk.ask(Change::Link)?;
        Ok(fs::linkat(&from.handle, name, &self.handle, name, AtFlags::empty())?)
    }

    pub(crate) fn symlink(&self, target: &[u8], name: &[u8]) -> io::Result<()> {
        self.disk.ask(Change::Symlink)?;
        Ok(fs::symlinkat(target, &self.handle, name)?)
    }

    /// Renames `name` to `new_name` in `to`, in place of what is there.
    pub(crate) fn rename(&self, name: &[u8], to: &Self, new_name: &[u8]) -> io::Result<()> {
        self.disk.ask(Change::Rename)?;
        Ok(fs::renameat(&self.handle, name, &to.handle, new_name)?)
    }

    /// Removes `name`, which is no directory. It is no error if it is not there.
    pub(crate) fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        self.unlink(name, AtFlags::empty())
    }

    /// Removes the empty directory `name`. It is no error if it is not there.
    pub(crate) fn remove_directory(&self, name: &[u8]) -> io::Result<()> {
        self.unlink(name, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, name: &[u8], how: AtFlags) -> io::Result<()> {
        self.disk.ask(Change::Remove)?;
        match fs::unlinkat(&self.handle, name, how) {
            Err(Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Sets the directory's own mode.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.disk.ask(Change::SetAttributes)?;
        Ok(fs::fchmod(&self.handle, Mode::from_raw_mode(mode))?)
    }

    /// Gives the directory to root if this process is root, whose group it need not have from its parent.
    pub(crate) fn give_to_root(&self) -> io::Result<()> {
        let access = self.own_stat()?.access;
        give_to_root(&self.handle, access, &self.disk)
    }

    pub(crate) fn set_owner(&self, access: Access) -> io::Result<()> {
        self.disk.ask(Change::SetAttributes)?;
        set_owner(&self.handle, access)
    }

    /// Sends the names of the directory to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.handle)
    }
}

/// A file that is written.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) file: File,
    disk: Disk,
}

impl Output {
    /// Gives the file to root if this process is root, and sets mode and time of change.
    pub(crate) fn set_attributes(&self, mode: u32, mtime: Time) -> io::Result<()> {
        self.disk.ask(Change::SetAttributes)?;
        give_to_root(&self.file, self.stat()?.access, &self.disk)?;
        fs::fchmod(&self.file, Mode::from_raw_mode(mode))?;
        self.set_mtime(mtime)
    }

    /// Sets mode, time of change and, as far as this process may, the owner.
    pub(crate) fn set_access(&self, access: Access, mtime: Time) -> io::Result<()> {
        self.disk.ask(Change::SetAttributes)?;
        set_owner(&self.file, access)?;
        fs::fchmod(&self.file, Mode::from_raw_mode(access.mode & 0o777))?;
        self.set_mtime(mtime)
    }

    fn set_mtime(&self, mtime: Time) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: mtime.0, tv_nsec: i64::from(mtime.1) },
        };
        Ok(fs::futimens(&self.file, &times)?)
    }

    pub(crate) fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::of_open(&self.file)?)
    }

    /// Locks the file against every other process and machine; `false` if it is locked. It is free again when it is
    /// closed, also by the end of its process.
    pub(crate) fn lock(&self) -> io::Result<bool> {
        match fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Ok(false),
            locked => {
                locked?;
                Ok(true)
            }
        }
    }

    /// Writes one byte in place of the first, and sends it to the disk.
    pub(crate) fn stamp(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.write_all(b"!")?;
        self.sync()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file)
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.ask(Change::Write(bytes.len()))?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn give_to_root(file: impl AsFd, access: Access, disk: &Disk) -> io::Result<()> {
    if access.uid == 0 && access.gid != 0 {
        disk.ask(Change::SetAttributes)?;
        fs::fchown(file, None, Some(Gid::ROOT))?;
    }
    Ok(())
}

/// Only root gives files away; anyone else keeps them.
fn set_owner(file: impl AsFd, access: Access) -> io::Result<()> {
    match fs::fchown(file, Some(Uid::from_raw(access.uid)), Some(Gid::from_raw(access.gid))) {
        Err(Errno::PERM) => Ok(()),
        set => Ok(set?),
    }
}

/// Whether a path was not there, or no longer what it was listed as.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    let codes = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::STALE, Errno::ISDIR];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

/// Whether this file system, or this file, takes no link more.
pub(crate) fn takes_no_link(error: &io::Error) -> bool {
    let kinds = [ErrorKind::TooManyLinks, ErrorKind::PermissionDenied, ErrorKind::CrossesDevices];
    kinds.contains(&error.kind()) || error.kind() == ErrorKind::Unsupported
}
