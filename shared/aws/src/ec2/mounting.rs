//! The network between tasks and the file system that they mount.

use aws_sdk_ec2::types::IpPermission;
use wharfinger_decisions::check::{Group, Peer, Permission, Subnet};

use super::{Ec2, filter};
use crate::error::AwsError;

impl Ec2 {
    /// Returns the `subnets` that exist.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn task_subnets(&self, subnets: &[String]) -> Result<Vec<Subnet>, AwsError> {
        if subnets.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.client.describe_subnets().filters(filter("subnet-id", subnets));
        let answer = call.send().await.map_err(|error| AwsError::sort("describe the service's subnets", error))?;
        let subnet = |subnet: aws_sdk_ec2::types::Subnet| {
            Some(Subnet {
                id: subnet.subnet_id?,
                vpc: subnet.vpc_id?,
                zone: subnet.availability_zone?,
                block: subnet.cidr_block.unwrap_or_default(),
            })
        };
        Ok(answer.subnets.unwrap_or_default().into_iter().filter_map(subnet).collect())
    }

    /// Returns the security `groups` that exist, with their rules.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn groups_with_rules(&self, groups: &[String]) -> Result<Vec<Group>, AwsError> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.client.describe_security_groups().filters(filter("group-id", groups));
        let answer = call.send().await.map_err(|error| AwsError::sort("describe the security groups", error))?;
        let group = |group: aws_sdk_ec2::types::SecurityGroup| {
            Some(Group {
                ingress: group.ip_permissions().iter().map(permission).collect(),
                egress: group.ip_permissions_egress().iter().map(permission).collect(),
                id: group.group_id?,
            })
        };
        Ok(answer.security_groups.unwrap_or_default().into_iter().filter_map(group).collect())
    }
}

fn permission(rule: &IpPermission) -> Permission {
    let groups = rule.user_id_group_pairs().iter().filter_map(|pair| pair.group_id()).map(|id| Peer::Group(id.into()));
    let four = rule.ip_ranges().iter().filter_map(|range| range.cidr_ip());
    let six = rule.ipv6_ranges().iter().filter_map(|range| range.cidr_ipv6());
    let others = rule.prefix_list_ids().iter().map(|_| Peer::Other);
    Permission {
        protocol: rule.ip_protocol().unwrap_or_default().to_owned(),
        ports: rule.from_port().zip(rule.to_port()).map(|(first, last)| (first.into(), last.into())),
        peers: groups.chain(four.chain(six).map(|block| Peer::Block(block.into()))).chain(others).collect(),
    }
}
