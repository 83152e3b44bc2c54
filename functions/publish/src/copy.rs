//! Copies files, block by block, into files without a name in any tree. A copy that its deadline breaks off goes on in
//! the next call, however large the file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{
    Digest as _, Sha256,
    digest::common::hazmat::{SerializableState as _, SerializedState},
};

use crate::{
    disk::{Dir, Output},
    manifest::Digest,
    options::Limits,
    path::{Bytes, TreePath},
    stat::{Identity, Kind, Stat},
};

const BLOCK: usize = 1 << 20;
/// How the name of what is remembered of a copy ends.
const STATE: &[u8] = b".state";

/// The directory of copies that are under way.
#[derive(Debug)]
pub(crate) struct Parts {
    directory: Dir,
    limits: Limits,
    paused: BTreeMap<Vec<u8>, Paused>,
    written: AtomicU64,
}

/// A copy that was broken off.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Paused {
    source: Identity,
    copied: u64,
    /// The state of SHA-256 after the bytes that were copied.
    hash: Bytes,
}

/// What came of a copy.
#[derive(Debug)]
pub(crate) enum Copied {
    Whole(Part),
    /// The file is not, or no longer, what was seen of it.
    Torn,
    /// Time was up.
    Paused,
    /// The file could not be read.
    Unread(io::Error),
}

/// A whole copy, which has no place yet.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) output: Output,
    pub(crate) sha256: Digest,
    name: Vec<u8>,
}

impl Parts {
    /// Takes up the copies that were broken off, and forgets those that a process left behind when it died.
    pub(crate) fn open(directory: Dir, limits: Limits) -> io::Result<Self> {
        let mut paused = BTreeMap::new();
        let listed = directory.list()?;
        for entry in &listed {
            if let Some(name) = entry.name.strip_suffix(STATE) {
                let state = io::read_to_string(directory.read(&entry.name)?)?;
                paused.extend(serde_json::from_str(&state).ok().map(|state: Paused| (name.to_vec(), state)));
            }
        }
        for entry in listed {
            if !paused.contains_key(entry.name.strip_suffix(STATE).unwrap_or(&entry.name)) {
                directory.remove_file(&entry.name)?;
            }
        }
        Ok(Self { directory, limits, paused, written: AtomicU64::default() })
    }

    /// Bytes that were written since the parts were opened.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Copies the file at `path`, which is open as `source` and was seen as `stat`.
    pub(crate) fn copy(&self, path: &TreePath, mut source: &File, stat: &Stat) -> io::Result<Copied> {
        if self.limits.is_over() {
            return Ok(Copied::Paused);
        }
        let name = hex(&Sha256::digest(path.as_bytes())[..16]).into_bytes();
        let (mut output, mut copied, mut hash) = self.begin(&name, &stat.identity)?;
        source.seek(SeekFrom::Start(copied))?;
        let mut block = vec![0; BLOCK.min(usize::try_from(stat.identity.size).unwrap_or(BLOCK).max(1))];
        loop {
            let read = match source.read(&mut block) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    self.directory.remove_file(&name)?;
                    return Ok(Copied::Unread(error));
                }
            };
            output.write_all(&block[..read])?;
            hash.update(&block[..read]);
            copied += read as u64;
            self.written.fetch_add(read as u64, Ordering::Relaxed);
            if copied > stat.identity.size {
                break;
            }
            if copied < stat.identity.size && self.limits.is_over() {
                self.pause(&name, &output, &Paused { source: stat.identity, copied, hash: state(&hash) })?;
                return Ok(Copied::Paused);
            }
        }
        if copied != stat.identity.size || !is_unchanged(source, stat)? {
            self.directory.remove_file(&name)?;
            return Ok(Copied::Torn);
        }
        Ok(Copied::Whole(Part { output, sha256: hex(&hash.finalize()), name }))
    }

    fn begin(&self, name: &[u8], source: &Identity) -> io::Result<(Output, u64, Sha256)> {
        let paused = self.paused.get(name).filter(|paused| paused.source == *source);
        if let Some(paused) = paused
            && let Some(hash) = hash_of(&paused.hash)
        {
            let mut output = self.directory.write(name)?;
            if output.stat()?.identity.size >= paused.copied {
                output.file.seek(SeekFrom::Start(paused.copied))?;
                return Ok((output, paused.copied, hash));
            }
        }
        self.directory.remove_file(name)?;
        Ok((self.directory.create(name)?, 0, Sha256::new()))
    }

    fn pause(&self, name: &[u8], output: &Output, paused: &Paused) -> io::Result<()> {
        output.sync()?;
        let mut state = self.directory.replace(&[name, STATE].concat())?;
        state.write_all(&serde_json::to_vec(paused)?)?;
        state.sync()
    }

    /// Gives a copy its name, in place of the file that has it.
    pub(crate) fn place(&self, part: &Part, directory: &Dir, name: &[u8]) -> io::Result<()> {
        // A full disk, or one that failed, shows here at the latest; a file that is closed could not say it.
        part.output.sync()?;
        match self.directory.rename(&part.name, directory, name) {
            // After a failover, EFS may answer that what it has just renamed is not there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if directory.stat(name)?.identity.inode != part.output.stat()?.identity.inode {
                    return Err(error);
                }
            }
            renamed => renamed?,
        }
        self.forget_state(&part.name)
    }

    /// Removes a copy that is not needed.
    pub(crate) fn discard(&self, part: &Part) -> io::Result<()> {
        self.directory.remove_file(&part.name)?;
        self.forget_state(&part.name)
    }

    fn forget_state(&self, name: &[u8]) -> io::Result<()> {
        if self.paused.contains_key(name) {
            self.directory.remove_file(&[name, STATE].concat())?;
        }
        Ok(())
    }
}

/// Whether an open file is still what was seen of it.
pub(crate) fn is_unchanged(file: &File, stat: &Stat) -> io::Result<bool> {
    match Stat::of_open(file) {
        // Its server has no such file any more.
        Err(Errno::STALE) => Ok(false),
        now => now.map_err(io::Error::from).map(|now| now.kind == Kind::File && now.identity == stat.identity),
    }
}

/// The SHA-256 of an open file, from its beginning.
pub(crate) fn digest(mut file: &File) -> io::Result<Digest> {
    file.rewind()?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut block)? {
            0 => break,
            read => hash.update(&block[..read]),
        }
    }
    file.rewind()?;
    Ok(hex(&hash.finalize()))
}

fn state(hash: &Sha256) -> Bytes {
    Bytes(hash.serialize().to_vec())
}

fn hash_of(state: &Bytes) -> Option<Sha256> {
    let state = SerializedState::<Sha256>::try_from(&*state.0).ok()?;
    Sha256::deserialize(&state).ok()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
