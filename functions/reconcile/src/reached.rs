//! The state that a visit's steps reached.

use wharfinger_decisions::power::{History, Plan};

use crate::{error::Error, observe::Observation};

/// The state that the steps reached.
pub(crate) struct Reached {
    /// The last observation.
    pub(crate) observation: Observation,
    /// Whether the rules that let clients in are as wanted.
    pub(crate) rules: Result<(), Error>,
    /// The server's placements so far.
    pub(crate) history: History,
    /// Why no more steps were taken.
    pub(crate) end: End,
}

/// Why no more steps were taken.
pub(crate) enum End {
    /// The plan: everything is done, AWS is working, or a person must help.
    Plan(Plan),
    /// The idle sweep's stop was withdrawn, for this reason.
    Kept(String),
    /// The step failed, depends on rules that failed, or could not be recorded.
    Failed(Error),
    /// The server itself could not be observed.
    Unseen(Error),
}

impl<E: Into<Error>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
