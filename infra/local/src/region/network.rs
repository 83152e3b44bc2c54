//! Transfer Family's way to the VPC: EC2 owns endpoints, Elastic IPs and security groups.

use std::net::IpAddr;

use crate::{
    aws::{ec2::Ec2, error::AwsError},
    transfer::network::{Endpoint, Network},
};

impl Network for Ec2 {
    fn create_endpoint(
        &self,
        vpc_id: &str,
        subnet_ids: &[String],
        security_group_ids: &[String],
    ) -> Result<Endpoint, AwsError> {
        let made = Self::create_endpoint(self, vpc_id, subnet_ids, security_group_ids)?;
        Ok(Endpoint { id: made.id, private_address: made.private_address })
    }

    fn delete_endpoint(&self, endpoint_id: &str) {
        Self::delete_endpoint(self, endpoint_id);
    }

    fn attach_addresses(&self, endpoint_id: &str, allocation_ids: &[String]) -> Result<Vec<IpAddr>, AwsError> {
        Self::attach_addresses(self, endpoint_id, allocation_ids)
    }

    fn addresses(&self, endpoint_id: &str) -> Vec<IpAddr> {
        Self::addresses(self, endpoint_id)
    }

    fn admits(&self, endpoint_id: &str, client: IpAddr, port: u16) -> bool {
        Self::admits(self, endpoint_id, client, port)
    }
}
