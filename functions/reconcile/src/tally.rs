//! What became of a server's users in one visit.

use wharfinger_store::table::StoreError;

use crate::next_visit::NextVisit;

/// What came of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is as wanted, or gone as wanted.
    Settled,
    /// It waits for AWS or the table, which may have too much to do.
    Waiting,
    /// AWS refuses it, or it lacks something.
    Refused,
}

/// What came of a server's users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many wait for AWS or the table.
    pub(crate) waiting: usize,
    /// How many are refused.
    pub(crate) refused: usize,
    /// How many there was no time for.
    pub(crate) left_over: usize,
    /// Accounts on AWS that nobody asked for, and that are not ours.
    pub(crate) strangers: Vec<String>,
    /// How many accounts without a record AWS refuses to describe, so that nobody knows whose they are.
    pub(crate) undescribed: usize,
    /// How many accounts of ours have no record; they are so many that none was deleted.
    pub(crate) without_record: Option<usize>,
    /// Why the users' records or AWS's list of accounts could not be read, a sentence each.
    pub(crate) unknown: Vec<String>,
}

impl Tally {
    /// Counts an account.
    pub(crate) fn count(&mut self, progress: Progress) {
        match progress {
            Progress::Settled => {}
            Progress::Waiting => self.waiting += 1,
            Progress::Refused => self.refused += 1,
        }
    }

    /// Notes that the users' records could not be read.
    pub(crate) fn unread(&mut self, error: &StoreError) {
        tracing::warn!(%error, "the users' records could not be read");
        self.unknown.push(error.to_string());
    }

    /// Whether all accounts are known to be as wanted.
    pub(crate) fn is_settled(&self) -> bool {
        let Self { waiting, refused, left_over, strangers: _, undescribed, without_record, unknown } = self;
        let counts = [waiting, refused, left_over, undescribed];
        counts.iter().all(|count| **count == 0) && without_record.is_none() && unknown.is_empty()
    }

    /// When to look at them again.
    pub(crate) fn next_visit(&self) -> NextVisit {
        if self.left_over > 0 {
            NextVisit::Soon("users".into())
        } else if self.waiting > 0 || !self.unknown.is_empty() {
            NextVisit::Soon("users wait".into())
        } else if self.refused > 0 || self.undescribed > 0 || self.without_record.is_some() {
            NextVisit::Slowly("users fail".into())
        } else {
            NextVisit::NotNeeded
        }
    }
}
