//! When a window is over, and why: what to do with it now.

use jiff::Timestamp;

use super::Window;
use crate::{duration::describe, site::Finish};

/// What to do with a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no change.
    Nothing,
    /// Look again at `until`.
    Wait {
        /// When.
        until: Timestamp,
        /// What it waits for.
        waits_for: WaitsFor,
        /// Why.
        reason: String,
    },
    /// The window is over, and a person is to say so.
    Ask {
        /// Why it is over, and what to do.
        reason: String,
    },
    /// The window is over.
    Claim {
        /// Why.
        reason: String,
    },
}

/// What a window waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The end of the changes.
    Quiet,
    /// The rest of a partial upload.
    PartialUpload,
    /// The end of a person's hold.
    Hold,
    /// The end of a freeze.
    Freeze,
    /// Some time since the last rollout.
    Interval,
}

/// Whether the changes of a window are over at `now`. [`crate::gate::decide`] says whether they may be rolled out.
#[must_use]
pub fn decide(window: &Window, finish: &Finish, now: Timestamp) -> Decision {
    let (Some(since), Some(last)) = (window.since(), window.last_change) else { return Decision::Nothing };
    if !window.is_open() {
        return Decision::Nothing;
    }
    if window.marker.is_some() {
        return Decision::Claim { reason: "the marker file was uploaded".into() };
    }
    if let Some((file, until)) = longest_hold(window, finish, now) {
        let reason = format!("the upload of {file} broke off: waiting until it is whole, deleted or renamed");
        return Decision::Wait { until, waits_for: WaitsFor::PartialUpload, reason };
    }
    let (quiet, latest) = (later(last, finish.quiet_period.get()), later(since, finish.max_wait.get()));
    if now >= quiet {
        return Decision::Claim { reason: format!("nothing has changed for {}", finish.quiet_period) };
    }
    if now >= latest {
        return Decision::Claim { reason: format!("the first change is {} old", finish.max_wait) };
    }
    let reason = format!(
        "the last change was {} ago: waiting for {} of quiet, or for {} since the first change",
        describe(now.duration_since(last)),
        finish.quiet_period,
        finish.max_wait,
    );
    Decision::Wait { until: quiet.min(latest), waits_for: WaitsFor::Quiet, reason }
}

fn longest_hold<'a>(window: &'a Window, finish: &Finish, now: Timestamp) -> Option<(&'a str, Timestamp)> {
    let holds = window.holds.iter().map(|(file, since)| (file.as_str(), window.hold_end(*since, finish)));
    holds.filter(|(_, until)| *until > now).max_by_key(|(_, until)| *until)
}

impl Window {
    /// When an upload that broke off at `since` holds the window no longer. Whoever breaks off again and again holds it
    /// for `hold_partial_for` beyond `max_wait` and no longer.
    pub(super) fn hold_end(&self, since: Timestamp, finish: &Finish) -> Timestamp {
        later(since, finish.hold_partial_for.get()).min(self.last_end(finish))
    }

    /// When the window ends whatever is being uploaded.
    #[must_use]
    pub fn last_end(&self, finish: &Finish) -> Timestamp {
        let opened = self.since().unwrap_or(Timestamp::MAX);
        later(later(opened, finish.max_wait.get()), finish.hold_partial_for.get())
    }
}

pub(super) fn later(time: Timestamp, duration: jiff::SignedDuration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}
