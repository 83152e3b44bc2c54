//! Endpoints that exist twice: in the other region's EC2, where its callers look for them, and in ours, which knows
//! where on loopback they are reached and whom they let in. Callers see the other region's ids.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_sdk_ec2::{Client, error::DisplayErrorContext, types::VpcEndpointType};
use wharfinger_emulator::{
    ec2::Ec2,
    error::AwsError,
    transfer::network::{Endpoint, Network},
};

/// The other region's EC2 with ours behind it.
pub(super) struct MirroredEndpoints {
    there: Client,
    here: Arc<Ec2>,
    /// Our endpoint's id by the other region's.
    endpoints: Mutex<HashMap<String, String>>,
}

impl MirroredEndpoints {
    pub(super) fn new(there: Client, here: Arc<Ec2>) -> Self {
        Self { there, here, endpoints: Mutex::default() }
    }

    fn endpoints(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ours(&self, endpoint_id: &str) -> String {
        self.endpoints().get(endpoint_id).cloned().unwrap_or_default()
    }

    fn create_there(
        &self,
        vpc_id: &str,
        subnet_ids: &[String],
        security_group_ids: &[String],
    ) -> Result<String, AwsError> {
        let create = self
            .there
            .create_vpc_endpoint()
            .vpc_endpoint_type(VpcEndpointType::Interface)
            .service_name("com.amazonaws.us-east-1.transfer.server")
            .vpc_id(vpc_id)
            .set_subnet_ids(Some(subnet_ids.to_vec()))
            .set_security_group_ids(Some(security_group_ids.to_vec()));
        let made = wait(create.send()).map_err(|error| {
            let message = format!("the other region's EC2 made no VPC endpoint: {}", DisplayErrorContext(&error));
            AwsError::client("InvalidRequestException", message)
        })?;
        let id = made.vpc_endpoint.and_then(|endpoint| endpoint.vpc_endpoint_id);
        id.ok_or_else(|| AwsError::client("InvalidRequestException", "the other region's EC2 named no VPC endpoint"))
    }
}

impl Network for MirroredEndpoints {
    fn create_endpoint(
        &self,
        vpc_id: &str,
        subnet_ids: &[String],
        security_group_ids: &[String],
    ) -> Result<Endpoint, AwsError> {
        let ours = self.here.create_endpoint(vpc_id, subnet_ids, security_group_ids)?;
        let there = self.create_there(vpc_id, subnet_ids, security_group_ids);
        let id = there.inspect_err(|_| self.here.delete_endpoint(&ours.id))?;
        self.endpoints().insert(id.clone(), ours.id);
        Ok(Endpoint { id, private_address: ours.private_address })
    }

    fn move_endpoint(&self, endpoint_id: &str, subnet_ids: &[String]) -> Result<(), AwsError> {
        let refused = |error: &dyn std::error::Error| {
            let message = format!("the other region's EC2 moved no VPC endpoint: {}", DisplayErrorContext(error));
            AwsError::client("InvalidRequestException", message)
        };
        let described = wait(self.there.describe_vpc_endpoints().vpc_endpoint_ids(endpoint_id).send());
        let described = described.map_err(|error| refused(&error))?;
        let present = described.vpc_endpoints().first().map(|found| found.subnet_ids().to_vec()).unwrap_or_default();
        let without = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|id| !others.contains(id)).cloned().collect()
        };
        let change = self
            .there
            .modify_vpc_endpoint()
            .vpc_endpoint_id(endpoint_id)
            .set_add_subnet_ids(Some(without(subnet_ids, &present)))
            .set_remove_subnet_ids(Some(without(&present, subnet_ids)));
        wait(change.send()).map_err(|error| refused(&error))?;
        self.here.set_subnets(&self.ours(endpoint_id), subnet_ids)
    }

    fn delete_endpoint(&self, endpoint_id: &str) {
        if let Err(error) = wait(self.there.delete_vpc_endpoints().vpc_endpoint_ids(endpoint_id).send()) {
            let error = DisplayErrorContext(&error);
            tracing::warn!(endpoint_id, %error, "the other region keeps a VPC endpoint");
        }
        if let Some(ours) = self.endpoints().remove(endpoint_id) {
            self.here.delete_endpoint(&ours);
        }
    }

    fn attach_addresses(&self, endpoint_id: &str, allocation_ids: &[String]) -> Result<Vec<IpAddr>, AwsError> {
        self.here.attach_addresses(&self.ours(endpoint_id), allocation_ids)
    }

    fn addresses(&self, endpoint_id: &str) -> Vec<IpAddr> {
        self.here.addresses(&self.ours(endpoint_id))
    }

    fn admits(&self, endpoint_id: &str, client: IpAddr, port: u16) -> bool {
        self.here.admits(&self.ours(endpoint_id), client, port)
    }
}

/// Waits for the other region from within a call that can't wait otherwise.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(answer))
}
