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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{cloudwatch::Metrics, service::Service, testing, transfer::Transfer};

    fn service() -> Arc<Transfer> {
        let context = testing::context();
        let ec2 = Ec2::new(context.clone(), None).unwrap();
        ec2.add_vpc("vpc-00000001", "10.0.0.0/16", "main");
        ec2.add_subnet("subnet-00000001", "vpc-00000001", "us-east-1a", "10.0.0.0/20");
        Transfer::new(context, None, ec2, Metrics::default()).unwrap()
    }

    fn server(details: Value) -> Value {
        let mut whole = json!({ "VpcId": "vpc-00000001", "SubnetIds": ["subnet-00000001"] });
        whole.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
        json!({ "Domain": "EFS", "EndpointType": "VPC", "EndpointDetails": whole })
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_vpc_refuses_has_a_code_of_transfer_family() {
        let transfer = service();
        for details in [
            json!({ "VpcId": "vpc-00000002" }),
            json!({ "SubnetIds": ["subnet-00000002"] }),
            json!({ "SecurityGroupIds": ["sg-00000002"] }),
        ] {
            let refused = transfer.call("CreateServer", server(details.clone())).await.unwrap_err();
            assert_eq!(refused.code, "InvalidRequestException", "{details}");
            assert!(refused.message.contains("does not exist"), "{}", refused.message);
        }
        let made = transfer.call("CreateServer", server(json!({}))).await.unwrap();
        let id = json!({ "ServerId": made["ServerId"] });
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        transfer.call("StopServer", id.clone()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        let mut update = id;
        update["EndpointDetails"] = json!({ "AddressAllocationIds": ["eipalloc-00000002"] });
        assert_eq!(transfer.call("UpdateServer", update).await.unwrap_err().code, "InvalidRequestException");
    }
}
