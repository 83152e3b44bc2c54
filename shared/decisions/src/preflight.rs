//! Obstacles to a server's wanted network, found before any session is interrupted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    condition::{Condition, Severity},
    ids::{AllocationId, SecurityGroupId, SubnetId, VpcId},
};

/// Something that keeps a server from having the network that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The account has no such Elastic IP in this Region.
    AddressMissing(AllocationId),
    /// The Elastic IP is associated with something other than this server.
    AddressHeld(AllocationId),
    /// The subnet does not exist, or lies in another VPC.
    SubnetMissing(SubnetId),
    /// Transfer Family takes one subnet in each Availability Zone.
    ZoneTwice(SubnetId),
    /// The security group does not exist, or belongs to another VPC.
    GroupMissing(SecurityGroupId),
    /// AWS could not be asked.
    Unknown {
        /// What was asked, and how AWS answered.
        error: String,
        /// Asking again soon may help.
        temporary: bool,
    },
}

/// A subnet as EC2 shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its VPC.
    pub vpc: String,
    /// Its Availability Zone.
    pub zone: String,
}

/// The obstacles among the `wanted` Elastic IPs. `held` tells of each that exists whether something has it; `own` are
/// those that the server has.
#[must_use]
pub fn addresses(
    wanted: &BTreeSet<AllocationId>,
    own: &BTreeSet<AllocationId>,
    held: &BTreeMap<AllocationId, bool>,
) -> Vec<Obstacle> {
    let obstacle = |id: &AllocationId| match held.get(id) {
        None => Some(Obstacle::AddressMissing(id.clone())),
        Some(true) if !own.contains(id) => Some(Obstacle::AddressHeld(id.clone())),
        Some(_) => None,
    };
    wanted.iter().filter_map(obstacle).collect()
}

/// The obstacles among the `wanted` subnets; `found` are those that exist.
#[must_use]
pub fn subnets(wanted: &BTreeSet<SubnetId>, vpc: &VpcId, found: &BTreeMap<SubnetId, Subnet>) -> Vec<Obstacle> {
    let mut zones = BTreeSet::new();
    let obstacle = |id: &SubnetId| match found.get(id) {
        Some(subnet) if subnet.vpc == vpc.as_str() => {
            (!zones.insert(subnet.zone.clone())).then(|| Obstacle::ZoneTwice(id.clone()))
        }
        _ => Some(Obstacle::SubnetMissing(id.clone())),
    };
    wanted.iter().filter_map(obstacle).collect()
}

/// The obstacles among the `wanted` security groups; `found` are those that exist, each with its VPC.
#[must_use]
pub fn groups(
    wanted: &BTreeSet<SecurityGroupId>,
    vpc: &VpcId,
    found: &BTreeMap<SecurityGroupId, String>,
) -> Vec<Obstacle> {
    let missing = |id: &&SecurityGroupId| found.get(*id).is_none_or(|there| there != vpc.as_str());
    wanted.iter().filter(missing).cloned().map(Obstacle::GroupMissing).collect()
}

impl Obstacle {
    /// Whether it may pass without anybody changing anything.
    #[must_use]
    pub fn passes_by_itself(&self) -> bool {
        matches!(self, Self::AddressHeld(_) | Self::Unknown { temporary: true, .. })
    }

    /// What it is, and what to do, in a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (message, remedy) = (self.message(), self.remedy());
        if remedy.is_empty() { message } else { format!("{message}: {remedy}") }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::AddressMissing(_) => "address_missing",
            Self::AddressHeld(_) => "address_held",
            Self::SubnetMissing(_) => "subnet_missing",
            Self::ZoneTwice(_) => "zone_twice",
            Self::GroupMissing(_) => "group_missing",
            Self::Unknown { .. } => "network_unknown",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::AddressMissing(id) => format!("there is no Elastic IP {id} in this account and Region"),
            Self::AddressHeld(id) => format!("the Elastic IP {id} is held by something else"),
            Self::SubnetMissing(id) => format!("there is no subnet {id} in the server's VPC"),
            Self::ZoneTwice(id) => format!("the subnet {id} lies in the Availability Zone of another one"),
            Self::GroupMissing(id) => format!("there is no security group {id} in the server's VPC"),
            Self::Unknown { error, .. } => format!("AWS could not be asked about the network: {error}"),
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::AddressMissing(_) => "give one that exists, or allocate it again",
            Self::AddressHeld(_) => "it is attached as soon as it is free; release it there, or give another",
            Self::SubnetMissing(_) => "give one that exists in the server's VPC",
            Self::ZoneTwice(_) => "give one subnet for each Availability Zone",
            Self::GroupMissing(_) => "give one that exists in the server's VPC",
            Self::Unknown { temporary: true, .. } => "",
            Self::Unknown { temporary: false, .. } => "look at the permissions of reconcile's role",
        }
    }

    /// The obstacle as a condition that holds from `since`.
    #[must_use]
    pub fn condition(&self, since: Timestamp) -> Condition {
        let severity = if self.passes_by_itself() { Severity::Warning } else { Severity::Error };
        let (message, remedy) = (self.message(), self.remedy().to_owned());
        Condition { code: self.code().into(), severity, message, remedy, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> AllocationId {
        AllocationId::parse(format!("eipalloc-0000000{n}")).unwrap()
    }
    fn subnet(n: u8) -> SubnetId {
        SubnetId::parse(format!("subnet-0000000{n}")).unwrap()
    }
    fn vpc() -> VpcId {
        VpcId::parse("vpc-00000001").unwrap()
    }
    fn there(vpc: &str, zone: &str) -> Subnet {
        Subnet { vpc: vpc.into(), zone: zone.into() }
    }

    #[test]
    fn an_address_is_free_or_the_servers_own() {
        let wanted = [address(1), address(2), address(3), address(4)].into();
        let held = [(address(1), false), (address(2), true), (address(3), true)].into();
        let found = addresses(&wanted, &[address(2)].into(), &held);
        assert_eq!(found, [Obstacle::AddressHeld(address(3)), Obstacle::AddressMissing(address(4))]);
    }

    #[test]
    fn subnets_are_in_the_vpc_and_each_in_a_zone_of_its_own() {
        let wanted = [subnet(1), subnet(2), subnet(3), subnet(4)].into();
        let found = [
            (subnet(1), there("vpc-00000001", "a")),
            (subnet(2), there("vpc-00000001", "a")),
            (subnet(3), there("vpc-00000002", "b")),
        ];
        let obstacles = subnets(&wanted, &vpc(), &found.into());
        let expected =
            [Obstacle::ZoneTwice(subnet(2)), Obstacle::SubnetMissing(subnet(3)), Obstacle::SubnetMissing(subnet(4))];
        assert_eq!(obstacles, expected);
    }

    #[test]
    fn a_group_of_another_vpc_is_as_good_as_none() {
        let group = |n: u8| SecurityGroupId::parse(format!("sg-0000000{n}")).unwrap();
        let found = [(group(1), "vpc-00000001".to_owned()), (group(2), "vpc-00000002".to_owned())].into();
        let obstacles = groups(&[group(1), group(2), group(3)].into(), &vpc(), &found);
        assert_eq!(obstacles, [Obstacle::GroupMissing(group(2)), Obstacle::GroupMissing(group(3))]);
    }

    #[test]
    fn a_condition_names_what_is_missing_and_what_to_do() {
        let condition = Obstacle::AddressMissing(address(1)).condition(Timestamp::UNIX_EPOCH);
        assert_eq!((condition.code.as_ref(), condition.severity), ("address_missing", Severity::Error));
        assert!(condition.message.contains("eipalloc-00000001") && !condition.remedy.is_empty(), "{condition:?}");
    }
}
