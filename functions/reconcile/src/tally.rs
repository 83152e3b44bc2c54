//! The results for a server's users in one visit.

use wharfinger_store::table::StoreError;

use crate::next_visit::NextVisit;

/// The result for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The account is as wanted, or deleted as wanted.
    Settled,
    /// AWS or the table is busy; to be tried again soon.
    Waiting,
    /// AWS refuses it, or something it needs is missing.
    Refused,
}

/// Counts over a server's users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Users waiting for AWS or the table.
    pub(crate) waiting: usize,
    /// Users that AWS refuses, or that lack something.
    pub(crate) refused: usize,
    /// Users there was no time for.
    pub(crate) left_over: usize,
    /// Accounts on AWS without a record that Wharfinger did not create.
    pub(crate) strangers: Vec<String>,
    /// Accounts without a record that AWS refuses to describe, so their owner is unknown.
    pub(crate) undescribed: usize,
    /// Accounts of ours without a record, if there are too many to delete them safely.
    pub(crate) without_record: Option<usize>,
    /// Why the users' records or AWS's list of accounts could not be read, one sentence each.
    pub(crate) unknown: Vec<String>,
}

impl Tally {
    pub(crate) fn count(&mut self, progress: Progress) {
        match progress {
            Progress::Settled => {}
            Progress::Waiting => self.waiting += 1,
            Progress::Refused => self.refused += 1,
        }
    }

    /// Records that the users could not be read from the table.
    pub(crate) fn unread(&mut self, error: &StoreError) {
        tracing::warn!(%error, "the users' records could not be read");
        self.unknown.push(error.to_string());
    }

    /// Whether every account is known to be as wanted.
    pub(crate) fn is_settled(&self) -> bool {
        let Self { waiting, refused, left_over, strangers: _, undescribed, without_record, unknown } = self;
        let counts = [waiting, refused, left_over, undescribed];
        counts.iter().all(|count| **count == 0) && without_record.is_none() && unknown.is_empty()
    }

    pub(crate) fn next_visit(&self) -> NextVisit {
        if self.left_over > 0 {
            // Another number is another reason, so that the delays don't grow while it gets on.
            NextVisit::Soon(format!("{} users", self.left_over))
        } else if self.waiting > 0 || !self.unknown.is_empty() {
            NextVisit::Soon("users wait".into())
        } else if self.refused > 0 || self.undescribed > 0 || self.without_record.is_some() {
            NextVisit::Slowly("users fail".into())
        } else {
            NextVisit::NotNeeded
        }
    }
}
