//! What a server's network is checked against before sessions are cut for it. Behind the feature `ec2`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wharfinger_decisions::{
    condition::Condition,
    ids::{AllocationId, SecurityGroupId, SubnetId},
    preflight::{self, MountTarget, Obstacle, Subnet},
    server::ServerSpec,
};

use crate::{
    ec2::{Ec2, ElasticIp},
    efs::FileSystems,
    error::AwsError,
    transfer::Server,
};

/// The parts of a new network: independent answers, each of which may have failed.
#[derive(Debug)]
pub struct NewNetwork {
    /// The wanted subnets that exist.
    pub subnets: Result<BTreeMap<SubnetId, Subnet>, AwsError>,
    /// The wanted security groups that exist, each with its VPC.
    pub groups: Result<BTreeMap<SecurityGroupId, String>, AwsError>,
    /// The mount targets of the file system, or `None` if it does not exist.
    pub mount_targets: Result<Option<Vec<MountTarget>>, AwsError>,
}

impl NewNetwork {
    /// Asks AWS about the network of `spec`, by describe calls alone.
    pub async fn ask(ec2: &Ec2, file_systems: &FileSystems, spec: &ServerSpec) -> Self {
        let (wanted_subnets, wanted_groups) = wanted(spec);
        let (subnets, groups, mount_targets) = futures::join!(
            ec2.subnets(&wanted_subnets),
            ec2.security_groups(&wanted_groups),
            file_systems.mount_targets(&spec.file_system_id),
        );
        Self { subnets, groups, mount_targets }
    }

    /// What stands in the way of the network of `spec`.
    #[must_use]
    pub fn obstacles(&self, spec: &ServerSpec) -> Vec<Obstacle> {
        let ((subnets, groups), vpc) = (wanted(spec), &spec.network.vpc_id);
        let mut obstacles = match &self.subnets {
            Ok(found) => preflight::subnets(&subnets, vpc, found),
            Err(error) => vec![unknown(error)],
        };
        obstacles.extend(match &self.groups {
            Ok(found) => preflight::groups(&groups, vpc, found),
            Err(error) => vec![unknown(error)],
        });
        obstacles.extend(match &self.mount_targets {
            Ok(found) => preflight::mount_targets(&spec.file_system_id, vpc, found.as_deref()),
            Err(error) => {
                Some(Obstacle::MountTargetsUnknown { error: error.sentence(), temporary: error.is_temporary() })
            }
        });
        obstacles
    }

    /// Warns of subnets of `spec` that lie far from the file system, as far as AWS has answered.
    #[must_use]
    pub fn warning(&self, spec: &ServerSpec, since: Timestamp) -> Option<Condition> {
        let (Ok(subnets), Ok(Some(targets))) = (&self.subnets, &self.mount_targets) else { return None };
        preflight::distant_subnets(&wanted(spec).0, &spec.network.vpc_id, subnets, targets, since)
    }
}

/// What stands in the way of the `wanted` Elastic IPs, some of which the `server` may have itself.
#[must_use]
pub fn addresses(
    found: &Result<BTreeMap<AllocationId, ElasticIp>, AwsError>,
    wanted: &BTreeSet<AllocationId>,
    server: &Result<Option<Server>, AwsError>,
) -> Vec<Obstacle> {
    let found = match found {
        Ok(found) => found,
        Err(error) => return vec![unknown(error)],
    };
    let held = found.iter().map(|(id, address)| (id.clone(), address.held)).collect();
    match server {
        Ok(Some(server)) => preflight::addresses(wanted, &server.placement.addresses, &held),
        Ok(None) => preflight::addresses(wanted, &BTreeSet::new(), &held),
        // Who holds an address can't be told.
        Err(_) => preflight::addresses(wanted, wanted, &held),
    }
}

/// The obstacle that AWS does not tell.
#[must_use]
pub fn unknown(error: &AwsError) -> Obstacle {
    Obstacle::Unknown { error: error.sentence(), temporary: error.is_temporary() }
}

fn wanted(spec: &ServerSpec) -> (BTreeSet<SubnetId>, BTreeSet<SecurityGroupId>) {
    let network = &spec.network;
    (network.subnet_ids.iter().cloned().collect(), network.security_group_ids.iter().cloned().collect())
}
