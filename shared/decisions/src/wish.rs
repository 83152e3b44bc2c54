//! What a server's power is to be now, why, and until when. It is worked out from what people and the sweep said, and
//! never stored.
//!
//! The first of these decides: a person's order, then whether anybody is there. (That the server is to be deleted
//! outweighs both, and is no power.) An order to open is kept for `manual_keep`. An order to close holds until somebody
//! opens the server again: it would be no order if the door opened by itself.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    idle::{Action, Decision},
    order::Order,
    server::{Power, ServerSpec},
};

/// What a server's power is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wish {
    /// The power.
    pub power: Power,
    /// Why, in a sentence for people.
    pub reason: String,
    /// When something else may decide; never, if absent.
    pub until: Option<Timestamp>,
    /// What decided.
    #[serde(skip)]
    pub because: Because,
}

/// What decided a server's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Because {
    /// A person's order.
    Order {
        /// Nobody is given time to finish.
        now: bool,
    },
    /// Nobody is there.
    Idle,
    /// Nothing asks for it to be closed.
    Spec,
}

/// What is to be expected next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// The power.
    pub power: Power,
    /// When, at the earliest.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

/// What the power of a server with this `spec` is to be at `now`. `order` is the last one that a person gave, `decision`
/// the sweep's last one.
#[must_use]
pub fn wish(spec: &ServerSpec, order: Option<&Order>, decision: Option<&Decision>, now: Timestamp) -> Wish {
    if let Some(wish) = order.and_then(|order| ordered(spec, order, now)) {
        return wish;
    }
    let is_newest = |decision: &&Decision| order.is_none_or(|order| order.at <= decision.at);
    match (spec.idle, decision.filter(is_newest)) {
        (Some(idle), Some(decision)) if decision.action == Action::Close => {
            Wish { power: idle.action.power(), reason: decision.reason.clone(), until: None, because: Because::Idle }
        }
        _ => {
            let reason = order.map_or_else(|| "it is to be online".into(), Order::reason);
            Wish { power: Power::Online, reason, until: None, because: Because::Spec }
        }
    }
}

fn ordered(spec: &ServerSpec, order: &Order, now: Timestamp) -> Option<Wish> {
    let until = match order.power {
        Power::Online => Some(order.at.saturating_add(spec.manual_keep()).unwrap_or(Timestamp::MAX)),
        Power::Stopped | Power::Asleep => None,
    };
    if until.is_some_and(|until| until <= now) {
        return None;
    }
    let until = until.filter(|_| spec.idle.is_some());
    Some(Wish { power: order.power, reason: order.reason(), until, because: Because::Order { now: order.now } })
}

/// What is to be expected after `wish`, or `None` if nothing is without a person's doing.
#[must_use]
pub fn next(spec: &ServerSpec, wish: &Wish, decision: Option<&Decision>) -> Option<Next> {
    let idle = spec.idle.filter(|_| wish.power == Power::Online)?;
    let at = decision?.possible_at?;
    let why = format!("if nobody comes before, it will have been unused for {}", idle.after);
    Some(Next { power: idle.action.power(), at: wish.until.map_or(at, |until| until.max(at)), why })
}

#[cfg(test)]
mod tests;
