//! A window as the API shows it.

use jiff::Timestamp;
use serde::Serialize;

use super::{Decision, WaitsFor, Window};
use crate::{site::Finish, summary::ChangeSummary};

/// A window as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// `empty`, `gathering` (changes still come), `held` (by a partial upload), `on_hold` (by a person), `frozen`,
    /// `spaced` (too soon after the last rollout), `unapproved` (it waits for a person's word), `finished` (a rollout starts
    /// now) or `queued` (a rollout starts when the present one, or one of another site of the service, is over, or an
    /// upload is).
    pub state: &'static str,
    /// Why, in a sentence.
    pub reason: String,
    /// When it is looked at next, at the latest.
    pub next_look: Option<Timestamp>,
    /// The changes that wait for a rollout.
    #[serde(flatten)]
    pub summary: ChangeSummary,
    /// The partial uploads that hold it.
    pub holds: Vec<Hold>,
}

/// A partial upload that holds a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// The file, below the site's directory.
    pub file: String,
    /// When its upload broke off.
    pub since: Timestamp,
    /// When it holds no longer, should nobody mend it.
    pub until: Timestamp,
}

impl View {
    /// The window that is finished, and waits for what `ahead` says.
    #[must_use]
    pub fn queued(self, ahead: &str) -> Self {
        match self.state {
            "finished" => {
                Self { state: "queued", reason: format!("{}; {ahead}", self.reason), next_look: None, ..self }
            }
            _ => self,
        }
    }
}

impl Window {
    /// The window as the API shows it, of which `decision` was taken. `in_flight`: a rollout of the site is not over.
    #[must_use]
    pub fn show(&self, decision: Decision, finish: &Finish, in_flight: bool, now: Timestamp) -> View {
        let (state, reason, next_look) = match decision {
            Decision::Nothing => ("empty", "nothing has changed since the last rollout".to_owned(), None),
            Decision::Wait { until, waits_for, reason } => (waits_for.state(), reason, Some(until)),
            Decision::Ask { reason } => ("unapproved", reason, None),
            Decision::Claim { reason } if in_flight => {
                ("queued", format!("{reason}; it follows when the present rollout is over"), None)
            }
            Decision::Claim { reason } => ("finished", reason, Some(now)),
        };
        let holds = self.holds.iter().map(|(file, since)| Hold {
            file: file.clone(),
            since: *since,
            until: self.hold_end(*since, finish),
        });
        View {
            state,
            reason,
            next_look,
            summary: self.summary(),
            holds: holds.filter(|hold| hold.until > now).collect(),
        }
    }
}

impl WaitsFor {
    const fn state(self) -> &'static str {
        match self {
            Self::Quiet => "gathering",
            Self::PartialUpload => "held",
            Self::Hold => "on_hold",
            Self::Freeze => "frozen",
            Self::Interval => "spaced",
        }
    }
}
