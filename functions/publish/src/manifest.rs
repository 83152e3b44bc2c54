//! The manifest of a release: one line of JSON for its head, for each directory, file and link in the order of a walk,
//! and for its end. It is written and read as a stream, so that no release is too large for a small function.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    iter::Peekable,
};

use serde::{Deserialize, Serialize};

use crate::{
    disk::{Dir, Output},
    outcome::Summary,
    path::{Bytes, Place, TreePath},
    stat::{Access, Identity},
};

/// The format that is written. A reader that finds another one takes the release for one without a manifest.
const FORMAT: u32 = 1;

/// The SHA-256 of a file, in hexadecimal digits.
pub(crate) type Digest = String;

/// A directory, file or link of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) path: TreePath,
    /// As in the upload directory: what `restore` gives back.
    pub(crate) access: Access,
    pub(crate) is: Entry,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Entry {
    Directory,
    Symlink { target: Bytes },
    File(FileRecord),
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Of the file in the upload directory, when it was copied.
    pub(crate) source: Identity,
    /// Of the bytes in the release.
    pub(crate) sha256: Digest,
    /// The number of the file in the release: tells whether a file there is the one that is recorded.
    pub(crate) inode: u64,
    /// Whether it is the previous release's file, under one more name.
    pub(crate) linked: bool,
}

impl Record {
    pub(crate) fn place(&self) -> Place<'_> {
        Place { path: &self.path, is_directory: self.is == Entry::Directory }
    }

    pub(crate) fn file(&self) -> Option<&FileRecord> {
        match &self.is {
            Entry::File(file) => Some(file),
            Entry::Directory | Entry::Symlink { .. } => None,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct End {
    end: Summary,
}

/// A manifest that is written, in the order of a walk.
#[derive(Debug)]
pub(crate) struct Writer(BufWriter<Output>);

impl Writer {
    /// Begins a manifest under `name`, in place of what is there.
    pub(crate) fn begin(directory: &Dir, name: &[u8]) -> io::Result<Self> {
        let mut writer = Self(BufWriter::with_capacity(1 << 16, directory.replace(name)?));
        writer.line(&Head { format: FORMAT })?;
        Ok(writer)
    }

    pub(crate) fn record(&mut self, record: &Record) -> io::Result<()> {
        self.line(record)
    }

    /// Writes the last line, and sends all to the disk.
    pub(crate) fn end(mut self, summary: &Summary) -> io::Result<()> {
        self.line(&End { end: summary.clone() })?;
        self.pause()
    }

    /// Sends what is there to the disk.
    pub(crate) fn pause(mut self) -> io::Result<()> {
        self.0.flush()?;
        self.0.get_ref().sync()
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, line)?;
        self.0.write_all(b"\n")
    }
}

/// The records of a manifest, one after the other. They end early where a line can't be read, as the last one of a
/// process that died.
#[derive(Debug, Default)]
pub(crate) struct Records {
    lines: Option<BufReader<File>>,
    line: Vec<u8>,
    end: Option<Summary>,
}

impl Records {
    /// Of the manifest `name`; none if there is no such file, or it has another format.
    pub(crate) fn open(directory: &Dir, name: &[u8]) -> io::Result<Self> {
        let file = match directory.read(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file?,
        };
        let mut records = Self { lines: Some(BufReader::with_capacity(1 << 16, file)), line: Vec::new(), end: None };
        let known = records.read_line()
            && serde_json::from_slice::<Head>(&records.line).is_ok_and(|head| head.format == FORMAT);
        if !known {
            records.lines = None;
        }
        Ok(records)
    }

    /// Whether there is no manifest that can be read.
    pub(crate) fn is_missing(&self) -> bool {
        self.lines.is_none() && self.end.is_none()
    }

    /// What the last line says, once all others were read; `None` if the manifest was not finished.
    pub(crate) fn end(&self) -> Option<&Summary> {
        self.end.as_ref()
    }

    fn read_line(&mut self) -> bool {
        self.line.clear();
        let read = self.lines.as_mut().map(|lines| lines.read_until(b'\n', &mut self.line));
        read.is_some_and(|read| read.is_ok()) && self.line.ends_with(b"\n")
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if !self.read_line() {
            self.lines = None;
            return None;
        }
        let record = serde_json::from_slice(&self.line).ok();
        if record.is_none() {
            self.end = serde_json::from_slice::<End>(&self.line).ok().map(|end| end.end);
            self.lines = None;
        }
        record
    }
}

/// Records, looked up in the order of a walk.
#[derive(Debug)]
pub(crate) struct Lookup(Peekable<Records>);

impl Lookup {
    pub(crate) fn new(records: Records) -> Self {
        Self(records.peekable())
    }

    /// The record of `place`; those before it are passed over.
    pub(crate) fn find(&mut self, place: Place<'_>) -> Option<Record> {
        while self.0.next_if(|record| record.place().order(place).is_lt()).is_some() {}
        self.0.next_if(|record| record.place().order(place).is_eq())
    }
}
