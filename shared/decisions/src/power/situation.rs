//! What a server's steps are decided from: what is wanted, what AWS shows, and what became of earlier steps.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AllocationId, SecurityGroupId, SubnetId},
    preflight::Obstacle,
    server::{Asker, Power, ServerIntent},
};

/// A server's state as Transfer Family tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsState {
    /// It refuses clients.
    Offline,
    /// It takes clients.
    Online,
    /// On its way to online.
    Starting,
    /// On its way to offline.
    Stopping,
    /// A start went wrong.
    StartFailed,
    /// A stop went wrong.
    StopFailed,
}

/// Where a server is on the network: what AWS changes only while the server is offline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The subnets of its endpoint.
    pub subnets: BTreeSet<SubnetId>,
    /// Its Elastic IPs.
    pub addresses: BTreeSet<AllocationId>,
}

/// What is wanted of a server, as far as its steps depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// It is to be deleted.
    pub deleting: bool,
    /// Its power.
    pub power: Power,
    /// Who asked for the power.
    pub asked_by_autostop: bool,
    /// Why the power was asked for.
    pub power_reason: String,
    /// Its subnets and Elastic IPs.
    pub placement: Placement,
    /// Its security groups.
    pub groups: BTreeSet<SecurityGroupId>,
}

impl Wanted {
    /// What `intent` wants.
    #[must_use]
    pub fn of(intent: &ServerIntent, deleting: bool) -> Self {
        let network = &intent.spec.network;
        Self {
            deleting,
            power: intent.power.power,
            asked_by_autostop: intent.power.by == Asker::Autostop,
            power_reason: intent.power.reason.clone(),
            placement: Placement {
                subnets: network.subnet_ids.iter().cloned().collect(),
                addresses: network.address_allocation_ids.iter().cloned().collect(),
            },
            groups: network.security_group_ids.iter().cloned().collect(),
        }
    }
}

/// A server as AWS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its state.
    pub state: AwsState,
    /// Its subnets and Elastic IPs.
    pub placement: Placement,
    /// Its VPC endpoint.
    pub endpoint: Endpoint,
}

/// The VPC endpoint of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// EC2 did not say.
    Unknown,
    /// It is not there yet.
    Absent,
    /// It is there.
    Present {
        /// Its security groups.
        groups: BTreeSet<SecurityGroupId>,
        /// It takes connections. AWS calls a server ONLINE before its endpoint does.
        available: bool,
    },
}

/// What a server's steps depend on besides what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// The server; `None`: AWS has none.
    pub server: Option<Observed>,
    /// What stands in the way of the wanted placement. Subnets and groups are known only where the server is to change
    /// them.
    pub obstacles: Vec<Obstacle>,
    /// What became of its placements so far.
    pub history: History,
}

/// What became of a server's placements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The one with which clients could last reach it: what is restored when another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_service: Option<Placement>,
    /// The one that AWS refused last. No session is cut for it again.
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
