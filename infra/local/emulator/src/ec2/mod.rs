//! The used part of EC2: VPCs, subnets, security groups, Elastic IPs, VPC endpoints and their network interfaces.
//! Nothing routes packets here, but what an SFTP server asks of its network (is this client admitted, which addresses
//! are mine) is decided from the same rules and associations that the API shows.

mod addresses;
mod cidr;
mod describe;
mod endpoints;
mod groups;
mod ids;
mod interfaces;
mod limits;
mod model;
mod rules;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

pub use endpoints::Endpoint;
pub use interfaces::Interface;
pub(crate) use model::zone_id;
use model::{State, Subnet, Vpc};

use super::{
    error::AwsError,
    input::text,
    service::{Service, Unreadable, restore},
};
use crate::context::Context;

/// The EC2 of the region.
#[derive(Debug)]
pub struct Ec2 {
    context: Context,
    state: Mutex<State>,
}

impl Ec2 {
    /// The service as it was saved, or empty.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: Context, saved: Option<Value>) -> Result<Arc<Self>, Unreadable> {
        let state = restore("ec2", saved)?;
        Ok(Arc::new(Self { context, state: Mutex::new(state) }))
    }

    /// Adds a VPC. There is no operation for it here: a VPC is what people have before they begin.
    pub fn add_vpc(&self, id: &str, cidr: &str, name: &str) {
        let tags = model::named(name);
        self.state().vpcs.push(Vpc { id: id.to_owned(), cidr: cidr.to_owned(), tags });
    }

    /// Adds a subnet to a VPC.
    pub fn add_subnet(&self, id: &str, vpc: &str, zone: &str, cidr: &str) {
        let (id, vpc) = (id.to_owned(), vpc.to_owned());
        self.state().subnets.push(Subnet { id, vpc, zone: zone.to_owned(), cidr: cidr.to_owned(), tags: vec![] });
    }

    /// The VPC and the Availability Zone of a subnet.
    #[must_use]
    pub fn subnet(&self, id: &str) -> Option<(String, String)> {
        let state = self.state();
        let subnet = state.subnets.iter().find(|subnet| subnet.id == id)?;
        Some((subnet.vpc.clone(), subnet.zone.clone()))
    }

    /// The state, with the changes that are due by now.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle(self.now_ms());
        state
    }

    fn now_ms(&self) -> i64 {
        self.context.clock.now().as_millisecond()
    }
}

#[async_trait]
impl Service for Ec2 {
    fn name(&self) -> &'static str {
        "ec2"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        if text(&input, "DryRun") == Some("true") {
            let message = "Request would have succeeded, but DryRun flag is set.";
            return Err(AwsError::client("DryRunOperation", message).with_status(412));
        }
        match operation {
            "DescribeVpcs" => describe::VPCS.answer(self.state().vpcs.iter().map(Vpc::show).collect(), &input),
            "DescribeSubnets" => {
                describe::SUBNETS.answer(self.state().subnets.iter().map(Subnet::show).collect(), &input)
            }
            "DescribeSecurityGroups" => self.describe_security_groups(&input),
            "DescribeSecurityGroupRules" => self.describe_security_group_rules(&input),
            "CreateSecurityGroup" => self.create_security_group(&input),
            "DeleteSecurityGroup" => self.delete_security_group(&input),
            "AuthorizeSecurityGroupIngress" => self.authorize(&input, false),
            "RevokeSecurityGroupIngress" => self.revoke(&input, false),
            "DescribeAddresses" => self.describe_addresses(&input),
            "AllocateAddress" => self.allocate_address(&input),
            "ReleaseAddress" => self.release_address(&input),
            "DescribeVpcEndpoints" => self.describe_vpc_endpoints(&input),
            "ModifyVpcEndpoint" => self.modify_vpc_endpoint(&input),
            "DescribeNetworkInterfaces" => self.describe_network_interfaces(&input),
            _ => Err(AwsError::unknown_operation("ec2", operation)),
        }
    }

    fn resource(&self, id: &str) -> Option<Value> {
        let state = self.state();
        let tags = match id.rsplit(':').next()?.split_once('/')? {
            ("security-group", group) => &state.group(group).ok()?.tags,
            ("elastic-ip", address) => &state.address(address).ok()?.tags,
            _ => return None,
        };
        Some(serde_json::json!({ "Tags": model::show_tags(tags) }))
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&*self.state()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
