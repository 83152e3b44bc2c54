//! What a visit came to, and when to look again: soon while AWS works, slowly where AWS refuses.

use std::time::Duration;

use jiff::Timestamp;
use wharfinger_decisions::wakeup::{self, Armed};

/// What a visit to a server came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is as wanted, or the server is no more.
    Done,
    /// Look again.
    Again {
        /// What is waited for: a new one starts the delays anew.
        step: String,
        /// AWS refuses it: only a change by a person helps soon.
        slowly: bool,
    },
}

impl Outcome {
    /// What is armed after this, where `armed` was before, and the delay of the message to send now, if one is needed.
    pub(crate) fn next(&self, armed: &Armed, now: Timestamp) -> (Armed, Option<Duration>) {
        match self {
            Self::Done => (armed.settled(now), None),
            Self::Again { step, slowly: false } => armed.next(step, wakeup::soon, now),
            Self::Again { step, slowly: true } => armed.next(step, wakeup::slowly, now),
        }
    }
}
