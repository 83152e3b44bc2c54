//! How far a visit's steps have come.

use wharfinger_decisions::power::Plan;

use crate::{error::Error, memory::Memory, observe::Observation};

/// How far the steps have come, while more may follow.
pub(crate) struct Course {
    /// The last observation.
    pub(crate) observation: Observation,
    /// Whether the rules that let clients in are as wanted.
    pub(crate) rules: Result<(), Error>,
    /// Of rules that may be left in groups which are not looked at any more.
    pub(crate) lost: Result<(), Error>,
    /// What is remembered.
    pub(crate) memory: Memory,
}

impl Course {
    /// No more steps are taken, because of `end`.
    pub(crate) fn ends(self, end: impl Into<End>) -> Reached {
        let Self { observation, rules, lost, memory } = self;
        Reached { observation, rules: lost.and(rules), memory, end: end.into() }
    }
}

/// The state that the steps reached.
pub(crate) struct Reached {
    /// The last observation.
    pub(crate) observation: Observation,
    /// Whether the rules that let clients in are as wanted.
    pub(crate) rules: Result<(), Error>,
    /// What is remembered.
    pub(crate) memory: Memory,
    /// Why no more steps were taken.
    pub(crate) end: End,
}

/// Why no more steps were taken.
pub(crate) enum End {
    /// The plan: everything is done, AWS is working, or a person must help.
    Plan(Plan),
    /// The server was to be closed because nobody was there, and somebody is, or may be, for this reason.
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
