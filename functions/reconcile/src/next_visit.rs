//! When a server is to be visited again: soon while AWS works, slowly where AWS refuses.

use std::time::Duration;

use jiff::Timestamp;
use wharfinger_decisions::wakeup::{self, Armed};

/// When a server is to be visited again. What is waited for is named: a new reason starts the delays anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextVisit {
    /// All is as wanted, or the server is no more.
    NotNeeded,
    /// After seconds: AWS is at work, or busy.
    Soon(String),
    /// After minutes: AWS refuses, and only a change by a person helps soon.
    Slowly(String),
}

impl NextVisit {
    /// What is armed after this, where `armed` was before, and the delay of the message to send now, if one is needed.
    pub(crate) fn arm(&self, armed: &Armed, now: Timestamp) -> (Armed, Option<Duration>) {
        match self {
            Self::NotNeeded => (armed.settled(now), None),
            Self::Soon(reason) => armed.next(reason, wakeup::soon, now),
            Self::Slowly(reason) => armed.next(reason, wakeup::slowly, now),
        }
    }

    /// Soon if what is waited for is `temporary`, else slowly.
    pub(crate) fn after(reason: impl Into<String>, temporary: bool) -> Self {
        if temporary { Self::Soon(reason.into()) } else { Self::Slowly(reason.into()) }
    }
}
