//! Where a visit's steps came to.

use wharfinger_decisions::power::{History, Plan};

use crate::{error::Error, observe::Observation};

/// Where the steps came to.
pub(crate) struct Reached {
    /// What was seen last.
    pub(crate) observation: Observation,
    /// Whether the rules that let clients in are as wanted.
    pub(crate) rules: Result<(), Error>,
    /// What became of the server's placements.
    pub(crate) history: History,
    /// Why no more steps were taken.
    pub(crate) end: End,
}

/// Why no more steps were taken.
pub(crate) enum End {
    /// The plan says to wait, or that all is done, or that a person must help.
    Plan(Plan),
    /// The idle sweep's stop was taken back, for this reason.
    Kept(String),
    /// The step was refused, waits for rules that are refused, or could not be written down.
    Failed(Error),
    /// The server itself could not be seen.
    Unseen(Error),
}

impl<E: Into<Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
