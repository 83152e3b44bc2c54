//! Looks whether anybody is still logged in to a server that is to be shut.
//!
//! What each answer means is decided by [`drain::decide`]; here the questions are asked. They are asked again at each
//! visit while the server drains, the last time just before it is shut.

use jiff::Timestamp;
use wharfinger_aws::transfer::Server;
use wharfinger_decisions::{
    drain::{self, Cause, Facts, Verdict},
    idle::{self, Answer, Decision, Signs},
    power::Door,
    presence::Presence,
    server::{Draining, ServerPhase},
    wish::Because,
};

use crate::{error::Error, reached::Course, visit::Visit};

/// What was seen at the door.
pub(crate) enum Drained {
    /// How far it is drained, and what is remembered of that.
    So(Door, Option<Draining>),
    /// It is opened again: the decision says who is there.
    Reopened(Decision),
    /// It is opened again, because it can't be drained.
    Undrainable(Error),
}

impl Visit<'_> {
    /// Looks how far the server, which is to be shut, is drained.
    pub(crate) async fn look_at_the_door(&self, course: &Course) -> Drained {
        let Some(server) = course.observation.server() else { return Drained::So(Door::Empty, None) };
        let nobody_is_waited_for = self.wanted.because == (Because::Order { now: true }) && !self.wanted.opens();
        if nobody_is_waited_for || self.was_out_of_reach(server, course) {
            return Drained::So(Door::Empty, None);
        }
        let Some(draining) = course.memory.draining.clone() else { return self.before_the_drain(server).await };
        let cause = self.cause();
        match (cause, &course.rules) {
            (Cause::Person, _) | (_, Ok(())) => {}
            (_, Err(error)) if error.is_temporary() => {
                return Drained::So(Door::Draining(still_admits(error)), Some(draining));
            }
            (Cause::Idle, Err(error)) => {
                return Drained::Reopened(Decision::keep(still_admits(error), self.moment.present()));
            }
            (Cause::Interruption, Err(error)) => {
                return Drained::Undrainable(Error::Unknown { sentence: still_admits(error), temporary: false });
            }
        }
        let presence = self.presence(server).await;
        let verdict = self.verdict(server, cause, &draining, &presence).await;
        let users = names(&presence);
        let draining = Draining { users, until: None, ..draining };
        match verdict {
            Verdict::Wait { reason, until } => {
                Drained::So(Door::Draining(reason), Some(Draining { until: Some(until), ..draining }))
            }
            Verdict::Shut { reason } => {
                tracing::info!(server = %self.server, reason, "nobody is waited for any longer");
                Drained::So(Door::Empty, Some(draining))
            }
            Verdict::Reopen { reason } => Drained::Reopened(Decision::keep(reason, self.moment.present())),
        }
    }

    /// An idle server is not drained while the log shows somebody: it would be opened again at once.
    async fn before_the_drain(&self, server: &Server) -> Drained {
        let now = self.moment.present();
        if self.cause() == Cause::Idle
            && let Answer::Known(presence) = self.presence(server).await
            && let Some(who) = presence.describe(now)
        {
            return Drained::Reopened(Decision::keep(who, now));
        }
        Drained::So(Door::Open, None)
    }

    /// Whether clients could never reach the server, which was not in service yet: it does not have the wanted addresses,
    /// or its endpoint is known not to answer.
    fn was_out_of_reach(&self, server: &Server, course: &Course) -> bool {
        let answers = match &course.observation.endpoint {
            Ok(endpoint) => endpoint.as_ref().is_some_and(|endpoint| endpoint.available),
            Err(_) => true,
        };
        let is_in_place = server.placement == self.wanted.placement;
        course.memory.history.in_service.is_none() && !(is_in_place && answers)
    }

    fn cause(&self) -> Cause {
        match self.wanted.because {
            _ if self.wanted.opens() => Cause::Interruption,
            Because::Idle => Cause::Idle,
            Because::Order { .. } | Because::Spec => Cause::Person,
        }
    }

    async fn verdict(
        &self,
        server: &Server,
        cause: Cause,
        draining: &Draining,
        presence: &Answer<Presence>,
    ) -> Verdict {
        let (app, now) = (self.app, self.moment.present());
        let period = app.metrics.period();
        let idle = match cause {
            Cause::Idle => Some(self.idle_decision(&server.id).await),
            Cause::Person | Cause::Interruption => None,
        };
        let traffic: Answer<_> = match (&idle, presence) {
            // The decision has asked for it, or the log shows somebody.
            (Some(_), _) => Answer::NotAsked,
            (None, Answer::Known(presence)) if !presence.is_nobody() => Answer::NotAsked,
            (None, _) => {
                let window = now.duration_since(draining.since) + period + period;
                app.metrics.traffic(&server.id, window, now).await.into()
            }
        };
        let facts = Facts {
            cause,
            since: draining.since,
            asked_at: self.asked_at(cause),
            drain_for: self.record.intent.spec.drain_for(),
            period,
            sessions: presence,
            traffic: &traffic,
            idle: idle.as_ref(),
        };
        drain::decide(&facts, now)
    }

    /// When a person asked for what shuts the server.
    fn asked_at(&self, cause: Cause) -> Option<Timestamp> {
        match cause {
            Cause::Idle => None,
            Cause::Person => self.item.order().map(|order| order.at),
            Cause::Interruption => Some(self.record.updated_at),
        }
    }

    /// Decides anew whether the server `id`, which is online, is idle.
    async fn idle_decision(&self, id: &str) -> Decision {
        let (app, now) = (self.app, self.moment.present());
        let spec = &self.record.intent.spec;
        let period = app.metrics.period();
        let window = spec.idle.as_ref().map_or(period, |policy| idle::window(policy, period));
        let traffic = app.metrics.traffic(id, window, now);
        let signs =
            app.table.signs_of_use(self.item, id, traffic, app.table.site_signs(&spec.file_system_id, now)).await;
        idle::decide(spec.idle.as_ref(), period, &Signs { phase: ServerPhase::Online, ..signs }, now)
    }
}

fn still_admits(error: &Error) -> String {
    format!("clients can still log in, because its rules can't be taken back: {}", error.sentence())
}

/// So many of those who are logged in are named.
const MOST_NAMES: usize = 100;

/// Who is logged in, each once.
fn names(presence: &Answer<Presence>) -> Vec<String> {
    let Answer::Known(presence) = presence else { return Vec::new() };
    let mut names: Vec<_> = presence.sessions.iter().filter_map(|session| session.user.clone()).collect();
    names.sort();
    names.dedup();
    names.truncate(MOST_NAMES);
    names
}
