//! Network interfaces: what VPC endpoints and EFS mount targets are reached at.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Ec2,
    cidr::Cidr,
    describe, ids, limits,
    model::State,
    rules::{Peer, Rule},
};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, random_id},
};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-…`.
    pub id: String,
    /// Its subnet.
    pub subnet: String,
    /// Its VPC.
    pub vpc: String,
    /// Its Availability Zone.
    pub zone: String,
    /// Its security groups.
    pub groups: Vec<String>,
    /// Its address in the VPC: loopback here, so that it can be bound.
    pub private_address: IpAddr,
    /// What it is for.
    pub description: String,
}

impl Ec2 {
    /// Puts a network interface into a subnet, for a service.
    ///
    /// # Errors
    /// When the subnet or a security group does not exist.
    pub fn create_interface(
        &self,
        subnet_id: &str,
        security_group_ids: &[String],
        description: &str,
    ) -> Result<Interface, AwsError> {
        let mut state = self.state();
        let vpc = state.subnet_vpc(subnet_id)?;
        let groups = state.groups_in(&vpc, security_group_ids)?;
        state.add_interface(&vpc, subnet_id, &groups, description.to_owned())
    }

    /// Changes the security groups of a network interface.
    ///
    /// # Errors
    /// When the interface or a security group does not exist.
    pub fn set_interface_groups(&self, id: &str, security_group_ids: &[String]) -> Result<(), AwsError> {
        let mut state = self.state();
        let vpc = state.interface(id)?.vpc.clone();
        let groups = state.groups_in(&vpc, security_group_ids)?;
        if let Some(interface) = state.interfaces.get_mut(id) {
            interface.groups = groups;
        }
        Ok(())
    }

    /// The network interface with this id.
    #[must_use]
    pub fn interface(&self, id: &str) -> Option<Interface> {
        self.state().interfaces.get(id).cloned()
    }

    /// Takes a network interface out of its subnet.
    pub fn delete_interface(&self, id: &str) {
        self.state().remove_interface(id);
    }

    pub(super) fn describe_network_interfaces(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        describe::INTERFACES.answer(state.interfaces.values().map(|one| state.show_interface(one)).collect(), input)
    }
}

impl State {
    fn interface(&self, id: &str) -> Result<&Interface, AwsError> {
        self.interfaces.get(id).ok_or_else(|| ids::INTERFACE.unknown(id))
    }

    fn subnet_vpc(&self, id: &str) -> Result<String, AwsError> {
        self.subnets
            .iter()
            .find(|subnet| subnet.id == id)
            .map(|subnet| subnet.vpc.clone())
            .ok_or_else(|| ids::SUBNET.unknown(id))
    }

    /// The zone of a subnet; None when it belongs to another VPC.
    pub(super) fn subnet_zone(&self, vpc: &str, id: &str) -> Result<Option<String>, AwsError> {
        self.subnet_vpc(id)?;
        Ok(self.subnets.iter().find(|subnet| subnet.id == id && subnet.vpc == vpc).map(|subnet| subnet.zone.clone()))
    }

    /// These security groups, all of this VPC; without any, the VPC's default one.
    pub(super) fn groups_in(&self, vpc: &str, ids: &[String]) -> Result<Vec<String>, AwsError> {
        if ids.is_empty() {
            let default = self.groups.values().find(|group| group.vpc == vpc && group.name == "default");
            return Ok(default.map(|group| group.id.clone()).into_iter().collect());
        }
        limits::check_groups(ids)?;
        self.groups_exactly(vpc, ids)
    }

    pub(super) fn groups_exactly(&self, vpc: &str, ids: &[String]) -> Result<Vec<String>, AwsError> {
        for id in ids {
            if self.group(id)?.vpc != vpc {
                let message =
                    format!("You have specified two resources that belong to different networks: {id}, {vpc}");
                return Err(AwsError::client("InvalidParameter", message));
            }
        }
        Ok(ids.to_vec())
    }

    pub(super) fn add_interface(
        &mut self,
        vpc: &str,
        subnet: &str,
        groups: &[String],
        description: String,
    ) -> Result<Interface, AwsError> {
        let interface = Interface {
            id: random_id("eni-"),
            zone: self.subnet_zone(vpc, subnet)?.unwrap_or_default(),
            subnet: subnet.to_owned(),
            vpc: vpc.to_owned(),
            groups: groups.to_vec(),
            private_address: IpAddr::V4(self.next_private_address()),
            description,
        };
        self.interfaces.insert(interface.id.clone(), interface.clone());
        Ok(interface)
    }

    pub(super) fn remove_interface(&mut self, id: &str) {
        self.interfaces.remove(id);
        for address in &mut self.addresses {
            address.association.take_if(|association| association.interface == id);
        }
    }

    pub(super) fn is_peer(&self, rule: &Rule, client: IpAddr) -> bool {
        match &rule.peer {
            Peer::Cidr(block) | Peer::Cidr6(block) => Cidr::parse(block).is_some_and(|block| block.contains(client)),
            Peer::Group(id) => {
                let member = |interface: &&Interface| interface.groups.contains(id);
                self.interfaces.values().filter(member).any(|interface| interface.private_address == client)
            }
        }
    }

    pub(super) fn show_groups(&self, interface: Option<&Interface>) -> Value {
        let ids = interface.map(|interface| interface.groups.as_slice()).unwrap_or_default();
        let name = |id: &String| self.groups.get(id).map(|group| group.name.clone());
        ids.iter().map(|id| json!({"groupId": id, "groupName": name(id)})).collect()
    }

    fn show_interface(&self, interface: &Interface) -> Value {
        let mut shown = json!({
            "networkInterfaceId": interface.id, "subnetId": interface.subnet, "vpcId": interface.vpc,
            "availabilityZone": interface.zone, "description": interface.description, "ownerId": ACCOUNT,
            "requesterManaged": true, "status": "in-use", "interfaceType": "vpc_endpoint", "sourceDestCheck": true,
            "privateIpAddress": interface.private_address, "groupSet": self.show_groups(Some(interface)), "tagSet": [],
            "privateIpAddressesSet": [{"primary": true, "privateIpAddress": interface.private_address}],
        });
        if !interface.description.starts_with("VPC Endpoint") {
            shown["interfaceType"] = json!("efs");
        }
        if let Some(address) = self.addresses.iter().find(|address| address.is_on(&interface.id)) {
            let association = address.association.as_ref().map(|association| association.id.clone());
            shown["association"] = json!({
                "allocationId": address.allocation, "associationId": association, "publicIp": address.public_ip,
                "ipOwnerId": ACCOUNT,
            });
        }
        shown
    }
}
