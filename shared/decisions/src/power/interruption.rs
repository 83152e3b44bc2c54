//! Whether a change cuts sessions, told before it is made.

use serde::Serialize;

use super::{Endpoint, Situation, Step, Wanted, is_open, undrained};

/// Whether sessions are cut, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interruption {
    /// They are.
    pub interrupts: bool,
    /// Why, or why not, in a sentence for people.
    pub reason: String,
}

/// Whether a server that is to stay online is stopped on its way to `wanted`.
#[must_use]
pub fn interruption(wanted: &Wanted, situation: &Situation) -> Interruption {
    let none = |reason: &str| Interruption { interrupts: false, reason: reason.to_owned() };
    let Some(server) = situation.server.as_ref().filter(|server| is_open(server.state)) else {
        return none("no session is cut: the server is not online");
    };
    if !wanted.opens() {
        return none("no session is cut for it: the server is to be closed, whatever its network");
    }
    // Security groups are changed first, and cut nobody.
    let endpoint = Endpoint::Present { groups: wanted.groups.clone(), available: true };
    let server = super::Observed { endpoint, ..server.clone() };
    let plan = undrained(wanted, &Situation { server: Some(server), ..situation.clone() });
    match plan.step {
        Step::Stop => Interruption {
            interrupts: true,
            reason: format!("sessions are cut, once the server is drained: {}", plan.reason),
        },
        Step::Blocked => none(&format!("no session is cut: {}", plan.reason)),
        _ => none("no session is cut: the server is not stopped for it"),
    }
}
