//! What a server's steps are decided from: what is wanted, what AWS shows, and what became of earlier steps.

use std::collections::BTreeSet;

use crate::{
    ids::SecurityGroupId,
    placement::{History, Placement},
    preflight::Obstacle,
    server::{Asker, Power, ServerIntent},
};

/// A server's state in Transfer Family.
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
    /// EC2 could not be asked.
    Unknown,
    /// It does not exist yet.
    Absent,
    /// It exists.
    Present {
        /// Its security groups.
        groups: BTreeSet<SecurityGroupId>,
        /// Whether it accepts connections. AWS calls a server ONLINE before its endpoint does.
        available: bool,
    },
}

/// What a server's steps depend on besides what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// The server, or `None` if AWS has none.
    pub server: Option<Observed>,
    /// What stands in the way of the wanted placement. Subnets and groups are known only where the server is to change
    /// them.
    pub obstacles: Vec<Obstacle>,
    /// The history of its placements.
    pub history: History,
}
