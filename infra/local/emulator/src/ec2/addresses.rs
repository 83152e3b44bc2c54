//! Elastic IPs. Here they are loopback addresses, one after the other.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    Ec2,
    describe::{self, done},
    ids,
    model::{Address, Association, State, show_tags, specified_tags},
};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, REGION, random_id},
    input::{text, texts},
};

/// How many Elastic IPs an account may have in a region before it asks for more.
const QUOTA: usize = 5;

impl Ec2 {
    /// Adds an Elastic IP with an allocation id of one's own.
    pub fn add_address(&self, allocation: &str) {
        let mut state = self.state();
        let public_ip = (0..=u32::from(u8::MAX))
            .filter_map(|index| match self.context.elastic_ip(index) {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            })
            .find(|candidate| !state.addresses.iter().any(|address| address.public_ip == *candidate));
        if let Some(public_ip) = public_ip {
            let allocation = allocation.to_owned();
            state.addresses.push(Address { allocation, public_ip, association: None, tags: vec![] });
        }
    }

    /// Makes these the only Elastic IPs of a VPC endpoint, one for each of its interfaces; none detaches all.
    ///
    /// # Errors
    /// When the endpoint or an allocation does not exist, an allocation is associated elsewhere, or there are more
    /// allocations than interfaces.
    pub fn attach_addresses(&self, endpoint_id: &str, allocation_ids: &[String]) -> Result<Vec<IpAddr>, AwsError> {
        let mut state = self.state();
        let interfaces = state.endpoint(endpoint_id)?.interfaces.clone();
        if allocation_ids.len() > interfaces.len() {
            let message = format!(
                "{} addresses were given for the {} network interfaces of {endpoint_id}",
                allocation_ids.len(),
                interfaces.len()
            );
            return Err(AwsError::client("InvalidParameterCombination", message));
        }
        for id in allocation_ids {
            let address = state.address(id)?;
            if address.association.as_ref().is_some_and(|taken| !interfaces.contains(&taken.interface)) {
                let message = format!("resource {id} is already associated with associate-id");
                return Err(AwsError::client("Resource.AlreadyAssociated", message));
            }
        }
        for address in &mut state.addresses {
            address.association.take_if(|association| interfaces.contains(&association.interface));
        }
        let mut attached = Vec::new();
        for (id, interface) in allocation_ids.iter().zip(interfaces) {
            let address = state.address_mut(id)?;
            address.association = Some(Association { id: random_id("eipassoc-"), interface });
            attached.push(IpAddr::V4(address.public_ip));
        }
        Ok(attached)
    }

    /// The addresses at which a VPC endpoint is reached: its Elastic IPs, or else its private address.
    #[must_use]
    pub fn addresses(&self, endpoint_id: &str) -> Vec<IpAddr> {
        let state = self.state();
        let Ok(endpoint) = state.endpoint(endpoint_id) else { return Vec::new() };
        let on = |id: &String| state.addresses.iter().find(|address| address.is_on(id));
        let public: Vec<IpAddr> =
            endpoint.interfaces.iter().filter_map(on).map(|address| IpAddr::V4(address.public_ip)).collect();
        let first = endpoint.interfaces.first().and_then(|id| state.interfaces.get(id));
        if public.is_empty() { first.map(|interface| interface.private_address).into_iter().collect() } else { public }
    }

    pub(super) fn describe_addresses(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let public = texts(input, "PublicIp");
        let known = |ip: &String| state.addresses.iter().any(|address| address.public_ip.to_string() == *ip);
        if let Some(ip) = public.iter().find(|ip| !known(ip)) {
            let message = format!("Address '{ip}' not found.");
            return Err(AwsError::client("InvalidAddress.NotFound", message));
        }
        let asked = |address: &&Address| public.is_empty() || public.contains(&address.public_ip.to_string());
        let shown = state.addresses.iter().filter(asked).map(|address| show(&state, address)).collect();
        describe::ADDRESSES.answer(shown, input)
    }

    pub(super) fn allocate_address(&self, input: &Value) -> Result<Value, AwsError> {
        if self.state().addresses.len() >= QUOTA {
            let message = "The maximum number of addresses has been reached.";
            return Err(AwsError::client("AddressLimitExceeded", message));
        }
        let id = random_id("eipalloc-");
        self.add_address(&id);
        let mut state = self.state();
        let address = state.address_mut(&id)?;
        address.tags = specified_tags(input, "elastic-ip");
        Ok(json!({
            "allocationId": id, "publicIp": address.public_ip, "domain": "vpc", "publicIpv4Pool": "amazon",
            "networkBorderGroup": REGION,
        }))
    }

    pub(super) fn release_address(&self, input: &Value) -> Result<Value, AwsError> {
        let id = text(input, "AllocationId").unwrap_or_default();
        let mut state = self.state();
        let address = state.address(id)?;
        if address.association.is_some() {
            let message = format!("Address {} is in use.", address.public_ip);
            return Err(AwsError::client("InvalidIPAddress.InUse", message));
        }
        state.addresses.retain(|address| address.allocation != id);
        Ok(done())
    }
}

impl Address {
    /// Whether the address is associated with this network interface.
    pub(super) fn is_on(&self, interface: &str) -> bool {
        self.association.as_ref().is_some_and(|association| association.interface == interface)
    }
}

impl State {
    pub(super) fn address(&self, id: &str) -> Result<&Address, AwsError> {
        self.addresses.iter().find(|address| address.allocation == id).ok_or_else(|| ids::ADDRESS.unknown(id))
    }

    fn address_mut(&mut self, id: &str) -> Result<&mut Address, AwsError> {
        self.addresses.iter_mut().find(|address| address.allocation == id).ok_or_else(|| ids::ADDRESS.unknown(id))
    }
}

fn show(state: &State, address: &Address) -> Value {
    let mut shown = json!({
        "allocationId": address.allocation, "publicIp": address.public_ip, "domain": "vpc",
        "publicIpv4Pool": "amazon", "networkBorderGroup": REGION, "tagSet": show_tags(&address.tags),
    });
    if let Some(association) = &address.association {
        shown["associationId"] = json!(association.id);
        shown["networkInterfaceId"] = json!(association.interface);
        shown["networkInterfaceOwnerId"] = json!(ACCOUNT);
        if let Some(interface) = state.interfaces.get(&association.interface) {
            shown["privateIpAddress"] = json!(interface.private_address);
        }
    }
    shown
}
