//! A server: what is wanted of it, and what is known of it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    cidr::Cidr,
    condition::Condition,
    deployment::OtherServer,
    duration::HumanDuration,
    ids::{AllocationId, FileSystemId, RoleArn, SecurityGroupId, SubnetId, VpcId},
    placement::{DriftPolicy, History},
    settings::{
        Settings,
        refused::{Progress, RefusedSetting},
    },
    text::{Misfit, all_fit},
};

/// Transfer Family takes "up to three Elastic IPv4 addresses" at an endpoint.
/// <https://docs.aws.amazon.com/transfer/latest/APIReference/API_EndpointDetails.html>
const MOST_ADDRESSES: usize = 3;

/// What a person wants of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// The file system that its users see. Fixed once the server exists.
    pub file_system_id: FileSystemId,
    /// Where it listens and who may reach it.
    pub network: Network,
    /// When it is idle, and what is done then; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdlePolicy>,
    /// The IAM role of its users; the deployment's role, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_role_arn: Option<RoleArn>,
    /// How long a person's order to open it outweighs that nobody is there; [`MANUAL_KEEP`], if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_keep: Option<HumanDuration>,
    /// How long people who are logged in may go on after a person had it closed; [`DRAIN_FOR`], if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_for: Option<HumanDuration>,
    /// What is done where somebody changed its subnets or Elastic IPs by hand; it is reported, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftPolicy>,
}

/// How long an order to open a server is kept, where the spec says nothing.
pub const MANUAL_KEEP: HumanDuration = HumanDuration::from_secs(2 * 3600);

/// How long people may go on after a server was closed, where the spec says nothing.
pub const DRAIN_FOR: HumanDuration = HumanDuration::from_secs(600);

/// Where a server listens and who may reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The VPC of the endpoint. Fixed once the server exists.
    pub vpc_id: VpcId,
    /// The subnets of the endpoint: 1 to 16, one in each Availability Zone.
    pub subnet_ids: Vec<SubnetId>,
    /// The endpoint's security groups: 1 to 5. Rules for `allowed_cidrs` go into the first.
    pub security_group_ids: Vec<SecurityGroupId>,
    /// Elastic IPs, one for each subnet and at most 3; empty: the server is reached inside the VPC only.
    #[serde(default)]
    pub address_allocation_ids: Vec<AllocationId>,
    /// The addresses that may reach the SFTP port; rules made by others are left alone.
    #[serde(default)]
    pub allowed_cidrs: Vec<Cidr>,
}

/// When a server is idle, and what is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdlePolicy {
    /// How long it must have been unused.
    pub after: HumanDuration,
    /// What is done then.
    pub action: IdleAction,
}

/// What is done with an idle server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum IdleAction {
    /// It is stopped. AWS bills a stopped server like one that is online.
    Stop,
    /// The server is recorded and deleted, which stops the bill.
    Sleep,
}

impl IdleAction {
    /// The power that an idle server gets.
    #[must_use]
    pub fn power(self) -> Power {
        match self {
            Self::Stop => Power::Stopped,
            Self::Sleep => Power::Asleep,
        }
    }
}

impl ServerSpec {
    /// How long a person's order to open it outweighs that nobody is there.
    #[must_use]
    pub fn manual_keep(&self) -> SignedDuration {
        self.manual_keep.unwrap_or(MANUAL_KEEP).get()
    }

    /// How long people may go on after a person had it closed.
    #[must_use]
    pub fn drain_for(&self) -> SignedDuration {
        self.drain_for.unwrap_or(DRAIN_FOR).get()
    }

    /// What is done where somebody changed its subnets or Elastic IPs by hand.
    #[must_use]
    pub fn drift(&self) -> DriftPolicy {
        self.drift.unwrap_or_default()
    }

    /// Checks what concerns several fields: counts that must agree, and repeats.
    ///
    /// # Errors
    /// All violations.
    pub fn check(&self) -> Result<(), Vec<Misfit>> {
        let network = &self.network;
        let (addresses, subnets) = (network.address_allocation_ids.len(), network.subnet_ids.len());
        let addresses_at = "/network/address_allocation_ids";
        let uneven = (addresses != 0 && addresses != subnets && addresses <= MOST_ADDRESSES).then(|| {
            let sentence =
                format!("there are {addresses} Elastic IPs for {subnets} subnets: give one for each subnet, or none");
            Misfit::new(addresses_at, sentence)
        });
        let sleeps = self.idle.is_some_and(|idle| idle.action == IdleAction::Sleep);
        all_fit([
            count("/network/subnet_ids", &network.subnet_ids, 1, 16),
            count("/network/security_group_ids", &network.security_group_ids, 1, 5),
            count("/network/allowed_cidrs", &network.allowed_cidrs, 0, 50),
            count(addresses_at, &network.address_allocation_ids, 0, MOST_ADDRESSES),
            uneven,
            (sleeps && addresses == 0).then(|| {
                let sentence = "a server without Elastic IPs would wake with other addresses: give it Elastic IPs, or use \"stop\"";
                Misfit::new("/idle/action", sentence)
            }),
        ])
    }

    /// Checks that a new spec keeps what AWS can't change while the server exists.
    ///
    /// # Errors
    /// All violations.
    pub fn check_change(&self, from: &Self) -> Result<(), Vec<Misfit>> {
        // What can't be read of an earlier version's record is empty.
        let differs = |one: &str, other: &str| !other.is_empty() && one != other;
        let fixed = |field, what: &str| {
            let sentence = format!("the {what} of a server can't be changed: delete the server and make it anew");
            Misfit::new(field, sentence)
        };
        let (network, there) = (&self.network, &from.network);
        all_fit([
            differs(self.file_system_id.as_str(), from.file_system_id.as_str())
                .then(|| fixed("/file_system_id", "file system")),
            differs(network.vpc_id.as_str(), there.vpc_id.as_str()).then(|| fixed("/network/vpc_id", "VPC")),
        ])
    }
}

fn count<T: PartialEq>(field: &'static str, list: &[T], least: usize, most: usize) -> Option<Misfit> {
    if !(least..=most).contains(&list.len()) {
        return Some(Misfit::new(field, format!("there are {} entries: give {least} to {most}", list.len())));
    }
    let repeated = list.iter().enumerate().any(|(index, item)| list[..index].contains(item));
    repeated.then(|| Misfit::new(field, "an entry is given twice"))
}

/// What is wanted of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerIntent {
    /// What it should be.
    pub spec: ServerSpec,
    /// The power that was asked for last, in release 0.1's words. This version goes by it only where 0.1 wrote it: see
    /// [`order`](crate::order).
    pub power: WantedPower,
}

/// A power that was asked for, as release 0.1 knows it: `online` or `stopped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedPower {
    /// The power.
    pub power: Power,
    /// Who asked.
    pub by: Asker,
    /// Why, in a sentence for people.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Who asked for a power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// A person or program over the API: the caller's ARN, or `anonymous` where the API asks for no identity.
    Person(String),
    /// The idle sweep. Only release 0.1 writes it.
    Autostop,
}

/// The power of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It accepts clients.
    Online,
    /// It refuses clients; AWS bills as before.
    Stopped,
    /// It is deleted and recorded; AWS bills its Elastic IPs and host keys alone.
    Asleep,
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum ServerPhase {
    /// It is being made; clients can't reach it yet.
    #[default]
    Creating,
    /// It is on its way to online.
    Starting,
    /// Clients can reach it.
    Online,
    /// It takes nobody new, and whoever is logged in goes on.
    Draining,
    /// It is on its way to stopped or asleep.
    Stopping,
    /// It refuses clients; AWS bills as before.
    Stopped,
    /// It is deleted and recorded; AWS bills its Elastic IPs and host keys alone.
    Asleep,
    /// It is being deleted.
    Deleting,
    /// AWS refuses a step; `reason` says which and what to do. It is tried again.
    Failed,
}

/// What is known of a server. Written by `reconcile` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// What it is doing, in release 0.1's words: `online` also while it drains, `stopped` also while it is asleep. See
    /// [`phase`](Self::phase).
    pub power: ServerPhase,
    /// Why it is so, or what is waited for, in a sentence for people.
    pub reason: String,
    /// Transfer Family's id; it changes when the server is rebuilt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Fingerprints of the host keys, as clients show them.
    #[serde(default)]
    pub host_key_fingerprints: Vec<String>,
    /// Since when it is online without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online_since: Option<Timestamp>,
    /// The version of the intent that was last brought about in full.
    #[serde(default)]
    pub settled_version: u64,
    /// When `reconcile` last observed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The history of its subnets and Elastic IPs.
    #[serde(default)]
    pub history: History,
    /// When AWS was last searched for further servers with our tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub searched_at: Option<Timestamp>,
    /// The time of the order that was last obeyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obeyed: Option<Timestamp>,
    /// It is being drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<Draining>,
    /// When AWS was asked for a server that was not seen yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub making: Option<Timestamp>,
    /// AWS's id of the server that has all our host keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed: Option<String>,
    /// The server that AWS has under its name, or its id, and that is another deployment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_deployment: Option<OtherServer>,
    /// Since when its sessions are logged, if that began after the server was made: of earlier ones nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_since: Option<Timestamp>,
    /// The server that AWS has made and not shown yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// What it was made without, because AWS refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_settings: Vec<RefusedSetting>,
    /// How far the search has come for what AWS refuses of it, while it is being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_search: Option<Progress>,
}

impl ServerStatus {
    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> ServerPhase {
        match self.power {
            ServerPhase::Online if self.draining.is_some() => ServerPhase::Draining,
            // Also one that was put to sleep before it was made.
            ServerPhase::Stopped if self.server_id.is_none() => ServerPhase::Asleep,
            power => power,
        }
    }
}

/// A server that takes nobody new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Since when.
    pub since: Timestamp,
    /// Who was logged in when it was last looked at.
    #[serde(default)]
    pub users: Vec<String>,
    /// When it may be shut though nothing else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A server that AWS has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// AWS's id.
    pub id: String,
    /// When.
    pub at: Timestamp,
}

/// A server that was deleted, and what it is rebuilt from besides its spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asleep {
    /// Since when.
    pub since: Timestamp,
    /// What it had beside its spec.
    #[serde(default)]
    pub settings: Settings,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The first public address, or the endpoint's private address where it has no Elastic IP.
    pub host: String,
    /// The SFTP port.
    pub port: u16,
    /// All addresses.
    pub addresses: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_addresses(count: usize) -> ServerSpec {
        ServerSpec {
            file_system_id: FileSystemId::parse("fs-0a1b2c3d").unwrap(),
            network: Network {
                vpc_id: VpcId::parse("vpc-0a1b2c3d").unwrap(),
                subnet_ids: (0..count).map(|n| SubnetId::parse(format!("subnet-0000000{n}")).unwrap()).collect(),
                security_group_ids: vec![SecurityGroupId::parse("sg-0a1b2c3d").unwrap()],
                address_allocation_ids: (0..count)
                    .map(|n| AllocationId::parse(format!("eipalloc-0000000{n}")).unwrap())
                    .collect(),
                allowed_cidrs: Vec::new(),
            },
            idle: None,
            user_role_arn: None,
            manual_keep: None,
            drain_for: None,
            drift: None,
        }
    }

    #[test]
    fn a_server_that_would_wake_elsewhere_does_not_sleep() {
        let idle = Some(IdlePolicy { after: HumanDuration::from_secs(60), action: IdleAction::Sleep });
        let misfits = ServerSpec { idle, ..with_addresses(0) }.check().unwrap_err();
        assert!(misfits.iter().any(|misfit| misfit.field == "/idle/action"), "{misfits:?}");
        assert_eq!(ServerSpec { idle, ..with_addresses(1) }.check(), Ok(()));
    }

    #[test]
    fn a_server_has_at_most_three_elastic_ips() {
        assert_eq!(with_addresses(3).check(), Ok(()));
        let misfits = with_addresses(4).check().unwrap_err();
        assert_eq!((misfits.len(), misfits[0].field), (1, "/network/address_allocation_ids"));
    }
}
