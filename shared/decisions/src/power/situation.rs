//! What a server's steps are decided from: what is wanted, what AWS shows, and what became of earlier steps.

use std::collections::BTreeSet;

use crate::{
    ids::SecurityGroupId,
    placement::{DriftPolicy, History, Placement},
    preflight::Obstacle,
    server::{Network, Power, ServerPhase, ServerSpec, ServerStatus},
    wish::{Because, Wish},
};

/// A server's state in Transfer Family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// What asks for the power.
    pub because: Because,
    /// Why, in a sentence for people.
    pub power_reason: String,
    /// Its subnets and Elastic IPs.
    pub placement: Placement,
    /// Its security groups.
    pub groups: BTreeSet<SecurityGroupId>,
}

impl Wanted {
    /// What `spec` and `wish` want.
    #[must_use]
    pub fn of(spec: &ServerSpec, wish: Wish, deleting: bool) -> Self {
        let network = &spec.network;
        Self {
            deleting,
            power: wish.power,
            because: wish.because,
            power_reason: wish.reason,
            placement: Placement::of(network),
            groups: network.security_group_ids.iter().cloned().collect(),
        }
    }

    /// Whether clients are to be let in.
    #[must_use]
    pub fn opens(&self) -> bool {
        self.power == Power::Online && !self.deleting
    }
}

impl Placement {
    /// The placement that `network` wants.
    #[must_use]
    pub fn of(network: &Network) -> Self {
        Self {
            subnets: network.subnet_ids.iter().cloned().collect(),
            addresses: network.address_allocation_ids.iter().cloned().collect(),
        }
    }
}

/// A server's record, as far as it tells of placements.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// The spec that was recorded last.
    pub spec: &'a ServerSpec,
    /// What is known of the server.
    pub status: &'a ServerStatus,
    /// The version of the spec.
    pub version: u64,
}

impl Recorded<'_> {
    /// Completes `history` for the server that AWS shows, by its `id` and placement. `drift`: what is done about drift;
    /// where it is to be repaired, there is none to leave alone.
    ///
    /// Records of earlier versions do not tell in which placement a server was online, nor that it was applied.
    #[must_use]
    pub fn complete(&self, history: History, drift: DriftPolicy, shown: Option<(&str, &Placement)>) -> History {
        let status = self.status;
        let was_online = status.power == ServerPhase::Online;
        let is_the_same = shown.is_some_and(|(id, _)| status.server_id.as_deref() == Some(id));
        let is_earlier = history.in_service.is_none();
        let settled = is_earlier && was_online && status.settled_version == self.version;
        let applied = history.applied.or_else(|| settled.then(|| Placement::of(&self.spec.network)));
        History {
            in_service: history
                .in_service
                .or_else(|| shown.filter(|_| was_online && is_the_same).map(|(_, current)| current.clone())),
            applied: applied.filter(|_| is_the_same && drift == DriftPolicy::Report),
            ..history
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
    /// It may not have all our host keys.
    pub lacks_host_keys: bool,
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
    /// It was asked for a short while ago. It may have been made without our knowing, and AWS may not show it yet.
    pub making: bool,
    /// It was put to sleep, and not woken since.
    pub sleeps: bool,
    /// What stands in the way of the wanted placement. Subnets and groups are known only where the server is to change
    /// them.
    pub obstacles: Vec<Obstacle>,
    /// The history of its placements.
    pub history: History,
}

/// How far a server that is to be shut is drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// Clients can log in.
    Open,
    /// Nobody new gets in, and somebody may still be there. The sentence says what is waited for.
    Draining(String),
    /// Nobody is there, or nobody is waited for any longer.
    Empty,
}
