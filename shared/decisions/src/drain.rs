//! Whether a server whose door is being shut may be shut now.
//!
//! Its trusted rules are withdrawn first: nobody new gets in, and whoever is there stays. Then it is looked at. A server
//! that was found idle is opened again if anybody is there after all. What a person asks for is done as soon as nobody
//! is there, and at the latest when `drain_for` is over; it is never undone. The log alone is not believed that nobody is
//! there: an upload whose lines are late shows in the metrics. As time passes with the same facts, "shut" stays "shut".

use jiff::{SignedDuration, Timestamp};

use crate::{
    duration::describe,
    idle::{Action, Answer, Decision, Traffic},
    presence::{Presence, clock},
};

/// So late may a line of the log of sessions come at least: AWS gives no figure, and some seconds are usual. A fifth of a
/// period of the metrics, which is a minute on AWS, is waited for; this is for metrics that come faster.
const LOG_LAG: SignedDuration = SignedDuration::from_secs(10);

/// Why the door is being shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nobody seems to be there.
    Idle,
    /// A person asked for it.
    Person,
    /// A person asked for a change that cuts sessions.
    Interruption,
}

/// What is known about a server that is drained.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Why the door is being shut.
    pub cause: Cause,
    /// When the trusted rules were withdrawn.
    pub since: Timestamp,
    /// When a person asked for it, which may be later: the server may have drained for another cause before.
    pub asked_at: Option<Timestamp>,
    /// How long sessions are waited for. Without a meaning for an idle server.
    pub drain_for: SignedDuration,
    /// The period at which metrics are emitted.
    pub period: SignedDuration,
    /// Who is there, from the log of sessions; `NotAsked` if the server has none.
    pub sessions: &'a Answer<Presence>,
    /// Its traffic.
    pub traffic: &'a Answer<Traffic>,
    /// For an idle server: what [`idle::decide`](crate::idle::decide) says now.
    pub idle: Option<&'a Decision>,
}

/// What is done, and why, in a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Wait {
        /// Why.
        reason: String,
        /// When time alone changes the verdict; other facts may change it before.
        until: Timestamp,
    },
    /// The server is shut.
    Shut {
        /// Why.
        reason: String,
    },
    /// The trusted rules come back. Of an idle server only.
    Reopen {
        /// Why.
        reason: String,
    },
}

/// Decides at `now`.
#[must_use]
pub fn decide(facts: &Facts<'_>, now: Timestamp) -> Verdict {
    match facts.cause {
        Cause::Idle => idle(facts, now),
        Cause::Person | Cause::Interruption => asked(facts, now),
    }
}

fn idle(facts: &Facts<'_>, now: Timestamp) -> Verdict {
    if let Some(reason) = in_use(facts, now) {
        return Verdict::Reopen { reason };
    }
    match facts.sessions {
        Answer::Known(_) => {
            let settled = facts.log_settled();
            let waiting = format!("nobody is logged in; it shuts at {}, when the log is complete", clock(settled, now));
            shut_at(settled, now, "nobody is logged in".into(), waiting)
        }
        _ => {
            let settled = facts.metrics_settled();
            let waiting = format!("nobody seems to be there; metrics can tell at {}", clock(settled, now));
            shut_at(settled, now, "nobody was there while the door was shut to newcomers".into(), waiting)
        }
    }
}

/// Why a server that was found idle is not idle after all.
fn in_use(facts: &Facts<'_>, now: Timestamp) -> Option<String> {
    if let Answer::Known(presence) = facts.sessions {
        if let Some(who) = presence.describe(now) {
            return Some(who);
        }
        if presence.last_sign().is_some_and(|sign| sign >= facts.since) {
            return Some("somebody has only just left".into());
        }
    }
    match facts.idle {
        Some(decision) if decision.action == Action::Close => None,
        Some(decision) => Some(decision.reason.clone()),
        None => Some("it is not known whether it is idle".into()),
    }
}

fn asked(facts: &Facts<'_>, now: Timestamp) -> Verdict {
    let (deadline, drain_for) = (facts.deadline(), describe(facts.drain_for));
    let latest = format!("it shuts at {} at the latest", clock(deadline, now));
    if let Answer::Known(presence) = facts.sessions {
        return match presence.describe(now) {
            Some(who) => {
                let over = format!("{who}, but drain_for of {drain_for} is over");
                shut_at(deadline, now, over, format!("{who}; {latest}"))
            }
            None => {
                let settled = facts.log_settled().max(facts.metrics_agree(presence)).min(deadline);
                shut_at(settled, now, "nobody is logged in".into(), format!("nobody seems to be logged in; {latest}"))
            }
        };
    }
    let settled = facts.metrics_settled();
    match facts.traffic {
        Answer::Known(traffic) if facts.is_busy(traffic) => {
            let over = format!("a session shows in its metrics, but drain_for of {drain_for} is over");
            shut_at(deadline, now, over, format!("a session shows in its metrics; {latest}"))
        }
        Answer::Known(_) if settled <= deadline => {
            let waiting = format!("metrics can tell at {} whether anybody is logged in", clock(settled, now));
            shut_at(settled, now, "no session shows in its metrics any more".into(), waiting)
        }
        _ => {
            let over = format!("it is not known whether anybody is logged in, and drain_for of {drain_for} is over");
            shut_at(deadline, now, over, format!("it is not known whether anybody is logged in; {latest}"))
        }
    }
}

fn shut_at(at: Timestamp, now: Timestamp, shut: String, waiting: String) -> Verdict {
    if now >= at { Verdict::Shut { reason: shut } } else { Verdict::Wait { reason: waiting, until: at } }
}

impl Facts<'_> {
    /// When what a person asked for is done at the latest.
    fn deadline(&self) -> Timestamp {
        after(self.asked_at.map_or(self.since, |asked| asked.max(self.since)), self.drain_for)
    }

    /// When the lines about everybody who was let in have come.
    fn log_settled(&self) -> Timestamp {
        after(self.since, (self.period / 5).max(LOG_LAG))
    }

    /// When the metrics agree with a log that shows nobody. A session of which the log has no line near the end of its
    /// last datapoint may still be open until the next datapoint is missing. A datapoint may bear the time at which it
    /// was emitted, up to a period after the session's end.
    fn metrics_agree(&self, presence: &Presence) -> Timestamp {
        let traffic = match self.traffic {
            Answer::Known(traffic) => traffic,
            Answer::Unknown(_) => return Timestamp::MAX,
            Answer::NotAsked => return Timestamp::MIN,
        };
        let two_periods = self.period.saturating_mul(2);
        let is_told = |end: Timestamp| presence.last_sign().is_some_and(|sign| after(sign, two_periods) >= end);
        let untold = traffic.last_session.filter(|end| !is_told(*end));
        untold.map_or(Timestamp::MIN, |end| after(end, two_periods))
    }

    /// When metrics of the first whole period without newcomers have come: they come up to a period late.
    fn metrics_settled(&self) -> Timestamp {
        after(self.since, self.period.saturating_mul(2))
    }

    /// Whether a session was open after the first period in which nobody new got in.
    fn is_busy(&self, traffic: &Traffic) -> bool {
        traffic.last_session.is_some_and(|end| end > after(self.since, self.period))
    }
}

fn after(at: Timestamp, duration: SignedDuration) -> Timestamp {
    let end = if duration.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    at.checked_add(duration).unwrap_or(end)
}

#[cfg(test)]
mod tests;
