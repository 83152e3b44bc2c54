//! The parts of a server's new network, to check it before sessions are cut.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_decisions::{
    ids::{SecurityGroupId, SubnetId},
    preflight::Subnet,
};

use super::{Ec2, filter};
use crate::error::AwsError;

impl Ec2 {
    /// Returns the `subnets` that exist.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn subnets(&self, subnets: &BTreeSet<SubnetId>) -> Result<BTreeMap<SubnetId, Subnet>, AwsError> {
        let call = self.client.describe_subnets().filters(filter("subnet-id", subnets));
        let answer = call.send().await.map_err(|error| AwsError::sort("describe the subnets", error))?;
        let subnet = |subnet: aws_sdk_ec2::types::Subnet| {
            let id = SubnetId::parse(subnet.subnet_id()?).ok()?;
            Some((id, Subnet { vpc: subnet.vpc_id?, zone: subnet.availability_zone? }))
        };
        Ok(answer.subnets.unwrap_or_default().into_iter().filter_map(subnet).collect())
    }

    /// Returns the `groups` that exist, each with its VPC.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn security_groups(
        &self,
        groups: &BTreeSet<SecurityGroupId>,
    ) -> Result<BTreeMap<SecurityGroupId, String>, AwsError> {
        let call = self.client.describe_security_groups().filters(filter("group-id", groups));
        let answer = call.send().await.map_err(|error| AwsError::sort("describe the security groups", error))?;
        let group = |group: aws_sdk_ec2::types::SecurityGroup| {
            Some((SecurityGroupId::parse(group.group_id()?).ok()?, group.vpc_id?))
        };
        Ok(answer.security_groups.unwrap_or_default().into_iter().filter_map(group).collect())
    }
}
