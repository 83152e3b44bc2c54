//! What Transfer Family needs of the VPC: an endpoint, the Elastic IPs on it, and its security groups' verdict.
//! The EC2 service owns all three; this is the narrow way to it, so that another network can take its place.

use std::net::IpAddr;

use crate::{ec2::Ec2, error::AwsError};

/// A VPC endpoint as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `vpce-…`
    pub id: String,
    /// The address of its network interface inside the VPC.
    pub private_address: IpAddr,
}

/// The VPC's side of a Transfer Family server.
pub trait Network: Send + Sync + 'static {
    /// Makes an endpoint in `subnet_ids`, with the VPC's default security group when `security_group_ids` is empty.
    ///
    /// # Errors
    /// An unknown VPC, subnet or group, or a subnet of another VPC.
    fn create_endpoint(
        &self,
        vpc_id: &str,
        subnet_ids: &[String],
        security_group_ids: &[String],
    ) -> Result<Endpoint, AwsError>;

    /// Makes `subnet_ids` the only ones of the endpoint.
    ///
    /// # Errors
    /// An unknown subnet, one of another VPC, or two in one Availability Zone.
    fn move_endpoint(&self, endpoint_id: &str, subnet_ids: &[String]) -> Result<(), AwsError>;

    /// Deletes an endpoint and lets go of its addresses; one that is gone already is fine.
    fn delete_endpoint(&self, endpoint_id: &str);

    /// Puts these Elastic IPs on the endpoint, in place of those before.
    ///
    /// # Errors
    /// An unknown allocation, or one that another endpoint holds.
    fn attach_addresses(&self, endpoint_id: &str, allocation_ids: &[String]) -> Result<Vec<IpAddr>, AwsError>;

    /// Where the server listens: the endpoint's Elastic IPs, or else its private address.
    fn addresses(&self, endpoint_id: &str) -> Vec<IpAddr>;

    /// Whether the endpoint's security groups let `client` in on TCP `port`.
    fn admits(&self, endpoint_id: &str, client: IpAddr, port: u16) -> bool;
}

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

    fn move_endpoint(&self, endpoint_id: &str, subnet_ids: &[String]) -> Result<(), AwsError> {
        self.set_subnets(endpoint_id, subnet_ids)
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
