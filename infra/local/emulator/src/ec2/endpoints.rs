//! VPC endpoints: what Transfer Family puts into a VPC.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Ec2,
    describe::{self, done},
    ids,
    interfaces::Interface,
    limits,
    model::State,
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
        state.check_subnets(vpc_id, subnet_ids)?;
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

    /// Makes these the only subnets of a VPC endpoint. It keeps its id and its security groups, and in the subnets that
    /// stay its network interfaces; it is pending for a while.
    ///
    /// # Errors
    /// When the endpoint or a subnet does not exist, a subnet belongs to another VPC, or two are in one zone.
    pub fn set_subnets(&self, endpoint_id: &str, subnet_ids: &[String]) -> Result<(), AwsError> {
        let available_ms = self.now_ms() + millis(self.context.pace.endpoint_lag);
        let mut state = self.state();
        let endpoint = state.endpoint(endpoint_id)?.clone();
        state.check_subnets(&endpoint.vpc, subnet_ids)?;
        let old: Vec<Interface> =
            endpoint.interfaces.iter().filter_map(|id| state.interfaces.get(id).cloned()).collect();
        let groups = old.first().map(|interface| interface.groups.clone()).unwrap_or_default();
        let mut interfaces = Vec::new();
        for subnet in subnet_ids {
            let kept = old.iter().find(|interface| interface.subnet == *subnet).map(|interface| interface.id.clone());
            let description = format!("VPC Endpoint Interface {endpoint_id}");
            interfaces.push(match kept {
                Some(id) => id,
                None => state.add_interface(&endpoint.vpc, subnet, &groups, description)?.id,
            });
        }
        for interface in old.iter().filter(|interface| !interfaces.contains(&interface.id)) {
            state.remove_interface(&interface.id);
        }
        if let Some(endpoint) = state.endpoints.get_mut(endpoint_id) {
            (endpoint.interfaces, endpoint.available_ms) = (interfaces, available_ms);
        }
        Ok(())
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

    /// An endpoint can be in these subnets: all of its VPC, each in an Availability Zone of its own.
    fn check_subnets(&self, vpc: &str, subnets: &[String]) -> Result<(), AwsError> {
        let mut zones = Vec::new();
        for subnet in subnets {
            let Some(zone) = self.subnet_zone(vpc, subnet)? else {
                let message = format!("The subnet ID '{subnet}' does not belong to the VPC '{vpc}'");
                return Err(AwsError::client("InvalidParameter", message));
            };
            if zones.contains(&zone) {
                let message = format!("Found another VPC endpoint subnet in the availability zone of {subnet}.");
                return Err(AwsError::client("DuplicateSubnetsInSameZone", message));
            }
            zones.push(zone);
        }
        Ok(())
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
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
