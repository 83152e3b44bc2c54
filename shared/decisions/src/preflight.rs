//! Obstacles to a server's wanted network, found before any session is interrupted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    condition::{Condition, Severity},
    ids::{AllocationId, FileSystemId, SecurityGroupId, SubnetId, VpcId},
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
    /// The account has no such file system in this Region.
    FileSystemMissing(FileSystemId),
    /// The file system has no mount target in the server's VPC.
    MountTargetMissing {
        /// The file system.
        file_system: FileSystemId,
        /// A VPC in which it has one.
        elsewhere: Option<String>,
    },
    /// EFS is still making the file system's mount targets in the server's VPC.
    MountTargetNotReady(FileSystemId),
    /// EFS could not be asked about the file system's mount targets.
    MountTargetsUnknown {
        /// How it answered.
        error: String,
        /// Asking again soon may help.
        temporary: bool,
    },
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

/// A mount target of a file system as EFS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountTarget {
    /// Its VPC. One that EFS does not name counts as the server's.
    pub vpc: Option<String>,
    /// Its Availability Zone. One that EFS does not name counts as the subnet's.
    pub zone: Option<String>,
    /// How far EFS has come with it.
    pub state: MountTargetState,
}

/// How far EFS has come with a mount target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountTargetState {
    /// It can be used.
    Available,
    /// It is being made.
    Creating,
    /// It is being deleted, or could not be made.
    Unusable,
}

impl MountTarget {
    fn is_in(&self, vpc: &VpcId) -> bool {
        self.vpc.as_ref().is_none_or(|there| there == vpc.as_str())
    }
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

/// The obstacle to `file_system` being served in `vpc`; `found` are its mount targets, or `None` if it does not exist.
#[must_use]
pub fn mount_targets(file_system: &FileSystemId, vpc: &VpcId, found: Option<&[MountTarget]>) -> Option<Obstacle> {
    let Some(found) = found else { return Some(Obstacle::FileSystemMissing(file_system.clone())) };
    let has = |state| found.iter().any(|target| target.is_in(vpc) && target.state == state);
    if has(MountTargetState::Available) {
        return None;
    }
    if has(MountTargetState::Creating) {
        return Some(Obstacle::MountTargetNotReady(file_system.clone()));
    }
    let elsewhere = found.iter().find(|target| !target.is_in(vpc)).and_then(|target| target.vpc.clone());
    Some(Obstacle::MountTargetMissing { file_system: file_system.clone(), elsewhere })
}

/// Warns of `wanted` subnets in zones without a mount target that is available, where another zone in `vpc` has one.
///
/// This is no obstacle. EFS can be mounted from another zone of the VPC, at a price and with a dependency on that zone
/// (<https://docs.aws.amazon.com/efs/latest/ug/manage-fs-access-create-delete-mount-targets.html>); and among what
/// Transfer Family needs of EFS, no zone is named
/// (<https://docs.aws.amazon.com/efs/latest/ug/using-aws-transfer-integration.html>).
#[must_use]
pub fn distant_subnets(
    wanted: &BTreeSet<SubnetId>,
    vpc: &VpcId,
    subnets: &BTreeMap<SubnetId, Subnet>,
    targets: &[MountTarget],
    since: Timestamp,
) -> Option<Condition> {
    let usable = |target: &&MountTarget| target.is_in(vpc) && target.state == MountTargetState::Available;
    let usable: Vec<&MountTarget> = targets.iter().filter(usable).collect();
    let distant = |id: &SubnetId| {
        let zone = &subnets.get(id)?.zone;
        let is_near = usable.iter().any(|target| target.zone.as_ref().is_none_or(|there| there == zone));
        (!is_near).then(|| format!("{id} ({zone})"))
    };
    let distant: Vec<String> = wanted.iter().filter_map(distant).collect();
    (!distant.is_empty() && !usable.is_empty()).then(|| Condition {
        code: "mount_target_in_other_zone".into(),
        severity: Severity::Warning,
        message: format!("the file system has no mount target in the zone of {}", distant.join(", ")),
        remedy: "make one there: until then files may go through another zone, at its price, and depend on it".into(),
        since,
    })
}

impl Obstacle {
    /// Whether it may pass without anybody changing anything.
    #[must_use]
    pub fn passes_by_itself(&self) -> bool {
        match self {
            Self::AddressHeld(_) | Self::MountTargetNotReady(_) => true,
            Self::MountTargetsUnknown { temporary, .. } | Self::Unknown { temporary, .. } => *temporary,
            _ => false,
        }
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
            Self::FileSystemMissing(_) => "file_system_missing",
            Self::MountTargetMissing { .. } => "mount_target_missing",
            Self::MountTargetNotReady(_) => "mount_target_not_ready",
            Self::MountTargetsUnknown { .. } => "mount_targets_unknown",
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
            Self::FileSystemMissing(id) => format!("there is no EFS file system {id} in this account and Region"),
            Self::MountTargetMissing { file_system, elsewhere: None } => {
                format!("the file system {file_system} has no mount target in the server's VPC")
            }
            Self::MountTargetMissing { file_system, elsewhere: Some(vpc) } => {
                format!("the file system {file_system} has no mount target in the server's VPC, but in {vpc}")
            }
            Self::MountTargetNotReady(id) => format!("EFS is still making the mount targets of {id}"),
            Self::MountTargetsUnknown { error, .. } => {
                format!("the file system's mount targets are not known: {error}")
            }
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
            Self::FileSystemMissing(_) => "give the id of one that is; a server that exists keeps its file system",
            Self::MountTargetMissing { .. } => "make one in the Availability Zone of each subnet of the server",
            Self::MountTargetNotReady(_)
            | Self::MountTargetsUnknown { temporary: true, .. }
            | Self::Unknown { temporary: true, .. } => "",
            Self::MountTargetsUnknown { temporary: false, .. } | Self::Unknown { temporary: false, .. } => {
                "look at the permissions of the function's role"
            }
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

    fn file_system() -> FileSystemId {
        FileSystemId::parse("fs-00000001").unwrap()
    }
    fn target(vpc: &str, zone: &str, state: MountTargetState) -> MountTarget {
        MountTarget { vpc: Some(vpc.into()), zone: Some(zone.into()), state }
    }

    #[test]
    fn a_file_system_is_served_only_where_it_has_a_mount_target() {
        use MountTargetState::{Available, Creating, Unusable};
        let obstacle = |found: &[MountTarget]| mount_targets(&file_system(), &vpc(), Some(found));
        let missing = |elsewhere: Option<&str>| {
            let elsewhere = elsewhere.map(str::to_owned);
            Some(Obstacle::MountTargetMissing { file_system: file_system(), elsewhere })
        };
        let other = target("vpc-00000002", "a", Available);
        assert_eq!(obstacle(&[]), missing(None));
        assert_eq!(obstacle(std::slice::from_ref(&other)), missing(Some("vpc-00000002")));
        assert_eq!(obstacle(&[target("vpc-00000001", "a", Unusable)]), missing(None));
        let creating = target("vpc-00000001", "a", Creating);
        let waits = obstacle(&[other, creating.clone()]).unwrap();
        assert_eq!(waits, Obstacle::MountTargetNotReady(file_system()));
        assert!(waits.passes_by_itself());
        assert_eq!(obstacle(&[creating, target("vpc-00000001", "b", Available)]), None);
        assert_eq!(obstacle(&[MountTarget { vpc: None, zone: None, state: Available }]), None);
        let gone = mount_targets(&file_system(), &vpc(), None).unwrap();
        assert!(!gone.passes_by_itself() && gone.sentence().contains("fs-00000001"), "{gone:?}");
    }

    #[test]
    fn a_zone_without_a_mount_target_is_told_and_is_no_obstacle() {
        use MountTargetState::{Available, Creating};
        let subnets = [(subnet(1), there("vpc-00000001", "a")), (subnet(2), there("vpc-00000001", "b"))].into();
        let warning = |targets: &[MountTarget]| {
            distant_subnets(&[subnet(1), subnet(2)].into(), &vpc(), &subnets, targets, Timestamp::UNIX_EPOCH)
        };
        let (a, b) = (target("vpc-00000001", "a", Available), target("vpc-00000001", "b", Available));
        assert_eq!(warning(&[a.clone(), b]), None);
        let told = warning(&[a.clone(), target("vpc-00000001", "b", Creating)]).unwrap();
        assert_eq!(told.severity, Severity::Warning);
        assert!(told.message.ends_with("the zone of subnet-00000002 (b)"), "{}", told.message);
        assert_eq!(mount_targets(&file_system(), &vpc(), Some(&[a])), None);
        assert_eq!(warning(&[target("vpc-00000002", "a", Available)]), None, "that is an obstacle, and told as one");
    }

    #[test]
    fn a_condition_names_what_is_missing_and_what_to_do() {
        let condition = Obstacle::AddressMissing(address(1)).condition(Timestamp::UNIX_EPOCH);
        assert_eq!((condition.code.as_ref(), condition.severity), ("address_missing", Severity::Error));
        assert!(condition.message.contains("eipalloc-00000001") && !condition.remedy.is_empty(), "{condition:?}");
    }
}
