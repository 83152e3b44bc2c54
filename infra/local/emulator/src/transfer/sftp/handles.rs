//! The open files and directories of a session.

use std::{collections::BTreeMap, fs::File};

use jiff::Timestamp;
use russh_sftp::protocol;

use super::{status::Refusal, view::Place};

/// Files and directories that one session can have open.
const LIMIT: usize = 100;

/// What a handle stands for.
pub(super) enum Open {
    File(Transfer),
    Directory(std::vec::IntoIter<protocol::File>),
}

/// A file that is open: an upload, a download or both.
pub(super) struct Transfer {
    pub(super) file: File,
    pub(super) place: Place,
    pub(super) started: Timestamp,
    /// Opened for writing: an upload, also when nothing is written.
    pub(super) writes: bool,
    pub(super) appends: bool,
    pub(super) written: u64,
    pub(super) read: u64,
    /// Why a write or read failed, if one did.
    pub(super) failure: Option<String>,
}

/// The handles of one session.
#[derive(Default)]
pub(super) struct Handles {
    open: BTreeMap<u64, Open>,
    last: u64,
}

impl Handles {
    pub(super) fn check_room(&self) -> Result<(), Refusal> {
        if self.open.len() < LIMIT {
            return Ok(());
        }
        Err(Refusal::failure(format!("Too many open files: close some of the {LIMIT} that this session has open")))
    }

    pub(super) fn add(&mut self, open: Open) -> String {
        self.last += 1;
        self.open.insert(self.last, open);
        self.last.to_string()
    }

    pub(super) fn file(&mut self, handle: &str) -> Result<&mut Transfer, Refusal> {
        match number(handle).and_then(|number| self.open.get_mut(&number)) {
            Some(Open::File(transfer)) => Ok(transfer),
            _ => Err(Refusal::failure("Not a handle of an open file")),
        }
    }

    pub(super) fn directory(&mut self, handle: &str) -> Result<&mut std::vec::IntoIter<protocol::File>, Refusal> {
        match number(handle).and_then(|number| self.open.get_mut(&number)) {
            Some(Open::Directory(entries)) => Ok(entries),
            _ => Err(Refusal::failure("Not a handle of an open directory")),
        }
    }

    pub(super) fn remove(&mut self, handle: &str) -> Result<Open, Refusal> {
        let open = number(handle).and_then(|number| self.open.remove(&number));
        open.ok_or_else(|| Refusal::failure("Not an open handle"))
    }

    /// All files that are still open, the one that was opened first first.
    pub(super) fn drain(&mut self) -> Vec<Transfer> {
        let files = std::mem::take(&mut self.open).into_values().filter_map(|open| match open {
            Open::File(transfer) => Some(transfer),
            Open::Directory(_) => None,
        });
        files.collect()
    }
}

fn number(handle: &str) -> Option<u64> {
    handle.parse().ok()
}
