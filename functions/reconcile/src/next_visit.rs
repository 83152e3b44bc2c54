//! When to visit a server again: soon while AWS is working, slowly if AWS refuses something.

use std::time::Duration;

use jiff::Timestamp;
use wharfinger_decisions::wakeup::{self, Armed};

/// When to visit a server again. Delays grow while the reason stays the same, and start over with a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextVisit {
    /// Everything is as wanted, or the server no longer exists.
    NotNeeded,
    /// In seconds: AWS is working on it, or throttling.
    Soon(String),
    /// In minutes: AWS refuses, and nothing helps until a person changes something.
    Slowly(String),
}

/// The next visit, and when there is one whatever it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wakeup {
    pub(crate) visit: NextVisit,
    /// When time alone changes what is to be done.
    pub(crate) due: Option<Timestamp>,
}

impl From<NextVisit> for Wakeup {
    fn from(visit: NextVisit) -> Self {
        Self { visit, due: None }
    }
}

impl Wakeup {
    /// Returns the wake-up that is armed from now on, given the one `armed` before, and the delay of the message to
    /// send, if one is needed.
    pub(crate) fn arm(&self, armed: &Armed, now: Timestamp) -> (Armed, Option<Duration>) {
        let (armed, delay) = self.visit.arm(armed, now);
        match self.due {
            Some(due) => armed.no_later_than(delay, due, now),
            None => (armed, delay),
        }
    }
}

impl NextVisit {
    /// Returns the wake-up that is armed from now on, given the one `armed` before, and the delay of the message to
    /// send, if one is needed.
    fn arm(&self, armed: &Armed, now: Timestamp) -> (Armed, Option<Duration>) {
        match self {
            Self::NotNeeded => (armed.settled(now), None),
            Self::Soon(reason) => armed.next(reason, wakeup::soon, now),
            Self::Slowly(reason) => armed.next(reason, wakeup::slowly, now),
        }
    }

    /// Soon if the reason is `temporary`, slowly otherwise.
    pub(crate) fn after(reason: impl Into<String>, temporary: bool) -> Self {
        if temporary { Self::Soon(reason.into()) } else { Self::Slowly(reason.into()) }
    }
}
