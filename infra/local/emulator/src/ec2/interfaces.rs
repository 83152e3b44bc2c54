//! VPC endpoints and network interfaces: what Transfer Family and EFS put into a VPC.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Ec2,
    cidr::Cidr,
    describe::{self, done},
    ids, limits,
    model::State,
    rules::{Peer, Rule},
};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, REGION, random_id},
    input::{given, text, texts},
};

/// A VPC endpoint that was made for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `vpce-…`.
    pub id: String,
    /// The private address of its first network interface.
    pub private_address: IpAddr,
}

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

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct VpcEndpoint {
    pub id: String,
    pub vpc: String,
    pub interfaces: Vec<String>,
    /// RFC 3339.
    pub created: String,
    /// When it is no longer pending, in milliseconds since 1970.
    #[serde(default)]
    pub available_ms: i64,
    #[serde(default)]
    pub change: Option<GroupChange>,
}

/// A change of an endpoint's security groups that AWS has accepted and not made yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct GroupChange {
    /// When it is made, in milliseconds since 1970.
    pub at_ms: i64,
    pub groups: Vec<String>,
}

/// Members of ModifyVpcEndpoint that would do nothing here.
const UNSUPPORTED: [&str; 9] = [
    "AddRouteTableId",
    "AddSubnetId",
    "DnsOptions",
    "IpAddressType",
    "PolicyDocument",
    "PrivateDnsEnabled",
    "RemoveRouteTableId",
    "RemoveSubnetId",
    "ResetPolicy",
];

impl Ec2 {
    /// Makes the VPC endpoint of a Transfer Family server, with one network interface in each subnet. Without
    /// security groups it gets the VPC's default one.
    ///
    /// # Errors
    /// When the VPC, a subnet or a security group does not exist or belongs to another VPC.
    pub fn create_endpoint(
        &self,
        vpc_id: &str,
        subnet_ids: &[String],
        security_group_ids: &[String],
    ) -> Result<Endpoint, AwsError> {
        let mut state = self.state();
        if !state.vpcs.iter().any(|vpc| vpc.id == vpc_id) {
            return Err(ids::VPC.unknown(vpc_id));
        }
        if subnet_ids.is_empty() {
            return Err(AwsError::client("InvalidParameter", "A VPC endpoint needs at least one subnet"));
        }
        let groups = state.groups_in(vpc_id, security_group_ids)?;
        for subnet in subnet_ids {
            if state.subnet_zone(vpc_id, subnet)?.is_none() {
                let message = format!("The subnet ID '{subnet}' does not belong to the VPC '{vpc_id}'");
                return Err(AwsError::client("InvalidParameter", message));
            }
        }
        let id = random_id("vpce-");
        let mut interfaces = Vec::new();
        for subnet in subnet_ids {
            let description = format!("VPC Endpoint Interface {id}");
            interfaces.push(state.add_interface(vpc_id, subnet, &groups, description)?);
        }
        let private_address = interfaces[0].private_address;
        let interfaces = interfaces.into_iter().map(|interface| interface.id).collect();
        let created = self.context.clock.now().to_string();
        // Transfer Family can use it some time after its server is ONLINE.
        let pending = self.context.pace.server_transition + self.context.pace.endpoint_lag;
        let available_ms = self.now_ms() + millis(pending);
        let (vpc, change) = (vpc_id.to_owned(), None);
        let endpoint = VpcEndpoint { id: id.clone(), vpc, interfaces, created, available_ms, change };
        state.endpoints.insert(id.clone(), endpoint);
        Ok(Endpoint { id, private_address })
    }

    /// Deletes a VPC endpoint and its network interfaces; its Elastic IPs become free.
    pub fn delete_endpoint(&self, id: &str) {
        let mut state = self.state();
        if let Some(endpoint) = state.endpoints.remove(id) {
            for interface in &endpoint.interfaces {
                state.remove_interface(interface);
            }
        }
    }

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

    /// Whether the ingress rules of an endpoint's security groups let this client through to a TCP port. An unknown
    /// endpoint admits nobody.
    #[must_use]
    pub fn admits(&self, endpoint_id: &str, client: IpAddr, port: u16) -> bool {
        let state = self.state();
        let Ok(endpoint) = state.endpoint(endpoint_id) else { return false };
        let interface = endpoint.interfaces.first().and_then(|id| state.interfaces.get(id));
        let groups = interface.map(|interface| interface.groups.as_slice()).unwrap_or_default();
        let mut rules = groups.iter().filter_map(|id| state.groups.get(id)).flat_map(|group| &group.rules);
        rules.any(|rule| !rule.egress && rule.opens(port) && state.is_peer(rule, client))
    }

    pub(super) fn describe_vpc_endpoints(&self, input: &Value) -> Result<Value, AwsError> {
        let (state, now_ms) = (self.state(), self.now_ms());
        let shown = state.endpoints.values().map(|endpoint| state.show_endpoint(endpoint, now_ms));
        describe::ENDPOINTS.answer(shown.collect(), input)
    }

    pub(super) fn modify_vpc_endpoint(&self, input: &Value) -> Result<Value, AwsError> {
        if let Some(member) = given(input, &UNSUPPORTED) {
            let message = format!("This region changes security groups of endpoints alone, and not {member}");
            return Err(AwsError::client("InvalidParameter", message));
        }
        let at_ms = self.now_ms() + millis(self.context.pace.endpoint_lag);
        let mut state = self.state();
        let endpoint = state.endpoint(text(input, "VpcEndpointId").unwrap_or_default())?.clone();
        let removed = texts(input, "RemoveSecurityGroupId");
        let added = state.groups_exactly(&endpoint.vpc, &texts(input, "AddSecurityGroupId"))?;
        state.groups_exactly(&endpoint.vpc, &removed)?;
        let mut groups = state.groups_to_be(&endpoint);
        groups.retain(|group| !removed.contains(group));
        groups.extend(added);
        groups.sort();
        groups.dedup();
        limits::check_groups(&groups)?;
        if groups.is_empty() {
            let message = "An interface VPC endpoint needs at least one security group";
            return Err(AwsError::client("InvalidParameter", message));
        }
        if let Some(endpoint) = state.endpoints.get_mut(&endpoint.id) {
            endpoint.change = Some(GroupChange { at_ms, groups });
        }
        Ok(done())
    }

    pub(super) fn describe_network_interfaces(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        describe::INTERFACES.answer(state.interfaces.values().map(|one| state.show_interface(one)).collect(), input)
    }
}

impl State {
    /// Makes the changes that are due.
    pub(super) fn settle(&mut self, now_ms: i64) {
        for endpoint in self.endpoints.values_mut() {
            let Some(change) = endpoint.change.take_if(|change| change.at_ms <= now_ms) else { continue };
            for id in &endpoint.interfaces {
                if let Some(interface) = self.interfaces.get_mut(id) {
                    interface.groups.clone_from(&change.groups);
                }
            }
        }
    }

    /// The security groups of an endpoint once its change is made.
    fn groups_to_be(&self, endpoint: &VpcEndpoint) -> Vec<String> {
        let first = endpoint.interfaces.first().and_then(|id| self.interfaces.get(id));
        let present = || first.map(|interface| interface.groups.clone()).unwrap_or_default();
        endpoint.change.as_ref().map_or_else(present, |change| change.groups.clone())
    }

    pub(super) fn endpoint(&self, id: &str) -> Result<&VpcEndpoint, AwsError> {
        self.endpoints.get(id).ok_or_else(|| ids::ENDPOINT.unknown(id))
    }

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
    fn subnet_zone(&self, vpc: &str, id: &str) -> Result<Option<String>, AwsError> {
        self.subnet_vpc(id)?;
        Ok(self.subnets.iter().find(|subnet| subnet.id == id && subnet.vpc == vpc).map(|subnet| subnet.zone.clone()))
    }

    /// These security groups, all of this VPC; without any, the VPC's default one.
    fn groups_in(&self, vpc: &str, ids: &[String]) -> Result<Vec<String>, AwsError> {
        if ids.is_empty() {
            let default = self.groups.values().find(|group| group.vpc == vpc && group.name == "default");
            return Ok(default.map(|group| group.id.clone()).into_iter().collect());
        }
        limits::check_groups(ids)?;
        self.groups_exactly(vpc, ids)
    }

    fn groups_exactly(&self, vpc: &str, ids: &[String]) -> Result<Vec<String>, AwsError> {
        for id in ids {
            if self.group(id)?.vpc != vpc {
                let message =
                    format!("You have specified two resources that belong to different networks: {id}, {vpc}");
                return Err(AwsError::client("InvalidParameter", message));
            }
        }
        Ok(ids.to_vec())
    }

    fn add_interface(
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

    fn remove_interface(&mut self, id: &str) {
        self.interfaces.remove(id);
        for address in &mut self.addresses {
            address.association.take_if(|association| association.interface == id);
        }
    }

    fn is_peer(&self, rule: &Rule, client: IpAddr) -> bool {
        match &rule.peer {
            Peer::Cidr(block) | Peer::Cidr6(block) => Cidr::parse(block).is_some_and(|block| block.contains(client)),
            Peer::Group(id) => {
                let member = |interface: &&Interface| interface.groups.contains(id);
                self.interfaces.values().filter(member).any(|interface| interface.private_address == client)
            }
        }
    }

    fn show_groups(&self, interface: Option<&Interface>) -> Value {
        let ids = interface.map(|interface| interface.groups.as_slice()).unwrap_or_default();
        let name = |id: &String| self.groups.get(id).map(|group| group.name.clone());
        ids.iter().map(|id| json!({"groupId": id, "groupName": name(id)})).collect()
    }

    fn show_endpoint(&self, endpoint: &VpcEndpoint, now_ms: i64) -> Value {
        let status = if now_ms < endpoint.available_ms { "pending" } else { "available" };
        let interfaces: Vec<&Interface> = endpoint.interfaces.iter().filter_map(|id| self.interfaces.get(id)).collect();
        let subnets: Vec<&String> = interfaces.iter().map(|interface| &interface.subnet).collect();
        let name = format!("{}.server.transfer.{REGION}.vpce.amazonaws.com", endpoint.id);
        json!({
            "vpcEndpointId": endpoint.id, "vpcEndpointType": "Interface", "vpcId": endpoint.vpc, "state": status,
            "serviceName": format!("com.amazonaws.{REGION}.transfer.server"), "ownerId": ACCOUNT,
            "subnetIdSet": subnets, "groupSet": self.show_groups(interfaces.first().copied()),
            "networkInterfaceIdSet": endpoint.interfaces, "ipAddressType": "ipv4", "privateDnsEnabled": false,
            "requesterManaged": true, "dnsEntrySet": [{"dnsName": name, "hostedZoneId": "Z7HUB22UULQXV"}],
            "creationTimestamp": endpoint.created, "tagSet": [], "routeTableIdSet": [],
        })
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
