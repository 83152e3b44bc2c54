//! A server's placement in the network, and the history of its placements.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{AllocationId, SubnetId};

/// A server's placement in the network, which AWS changes only while the server is offline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The subnets of its endpoint.
    pub subnets: BTreeSet<SubnetId>,
    /// Its Elastic IPs.
    pub addresses: BTreeSet<AllocationId>,
}

/// The history of a server's placements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The last one in which clients could reach it. It is restored if another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_service: Option<Placement>,
    /// The last one that AWS refused. No session is cut for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// A placement that AWS refused after all checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The placement.
    pub placement: Placement,
    /// AWS's answer.
    pub message: String,
}

impl History {
    /// The history with which a visit begins. `opens`: the server is to be online; `offline`: AWS shows it so. Where there is
    /// no placement to go back to and no session to cut, one that AWS refused is tried again.
    #[must_use]
    pub fn at_first(&self, opens: bool, offline: bool) -> Self {
        let restores = self.in_service.is_some() && opens;
        if restores || !offline {
            return self.clone();
        }
        Self { refused: None, ..self.clone() }
    }

    /// The history after AWS refused, with `message`, a step towards `wanted` from `current`. Where it was a step back
    /// to the placement in service, that one is given up, and the server is opened with what it has.
    #[must_use]
    pub fn after_refusal(&self, wanted: &Placement, current: &Placement, message: String) -> Self {
        if self.refused.as_ref().is_some_and(|refused| refused.placement == *wanted) {
            return Self { in_service: self.in_service.as_ref().map(|_| current.clone()), ..self.clone() };
        }
        Self { refused: Some(Refused { placement: wanted.clone(), message }), ..self.clone() }
    }
}
