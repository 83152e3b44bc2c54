//! A person's last order about a server's power. It stands beside the spec and is no change of it, so that whoever
//! edits the spec and whoever opens the door do not get in each other's way.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::server::{Asker, Power, WantedPower};

/// An order about a server's power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The power.
    pub power: Power,
    /// The caller's ARN, or `anonymous` where the API asks for no identity.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
    /// Whoever is logged in is cut off at once.
    #[serde(default)]
    pub now: bool,
}

impl Order {
    /// What was done, and by whom.
    #[must_use]
    pub fn reason(&self) -> String {
        let done = match self.power {
            Power::Online => "opened",
            Power::Stopped => "stopped",
            Power::Asleep => "put to sleep",
        };
        format!("{done} by {}", self.by)
    }

    /// The order in release 0.1's words, which knows no sleep.
    #[must_use]
    pub fn known_to_0_1(&self) -> WantedPower {
        let power = if self.power == Power::Online { Power::Online } else { Power::Stopped };
        WantedPower { power, by: Asker::Person(self.by.clone()), reason: self.reason(), at: self.at }
    }

    /// The order that release 0.1 recorded as `power`, or `None` if the idle sweep gave it.
    #[must_use]
    pub fn of_0_1(power: &WantedPower) -> Option<Self> {
        match &power.by {
            Asker::Person(by) => Some(Self { power: power.power, by: by.clone(), at: power.at, now: false }),
            Asker::Autostop => None,
        }
    }
}
