//! The part of EC2 that a server's endpoint needs: rules of security groups, the endpoint's groups and addresses,
//! Elastic IPs. Behind the feature `ec2`.

mod mounting;
mod network;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::{
    Client,
    types::{Filter, IpPermission, IpRange, Ipv6Range, SecurityGroupRule, State},
};
use wharfinger_decisions::{
    cidr::Cidr,
    ids::{AllocationId, SecurityGroupId},
    ingress::Rule,
};

use crate::{OnFirstUse, error::AwsError};

/// The network of this account.
#[derive(Clone, Debug)]
pub struct Ec2 {
    client: OnFirstUse<Client>,
}

/// The VPC endpoint of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VpcEndpoint {
    /// Its security groups.
    pub groups: BTreeSet<SecurityGroupId>,
    /// Its network interfaces.
    pub interfaces: Vec<String>,
    /// Whether it accepts connections.
    pub available: bool,
}

/// An Elastic IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElasticIp {
    /// The address.
    pub public_ip: String,
    /// Whether it is associated with a network interface.
    pub held: bool,
}

impl Ec2 {
    /// The network that `client` reaches.
    #[must_use]
    pub fn new(client: OnFirstUse<Client>) -> Self {
        Self { client }
    }

    /// The ingress rules of `groups`.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn rules(&self, groups: &BTreeSet<SecurityGroupId>) -> Result<Vec<Rule>, AwsError> {
        let filter = filter("group-id", groups);
        let mut pages = self.client.describe_security_group_rules().filters(filter).into_paginator().items().send();
        let mut rules = Vec::new();
        while let Some(rule) = pages.next().await {
            let rule = rule.map_err(|error| AwsError::sort("list the rules of the security groups", error))?;
            rules.extend(ingress_rule(&rule));
        }
        Ok(rules)
    }

    /// Allows `cidr` to reach TCP `port` through `group`. Succeeds if the rule exists.
    ///
    /// # Errors
    /// When EC2 fails or refuses; [`NotFound`](crate::error::Kind::NotFound) when the group does not exist.
    pub async fn authorize(
        &self,
        group: &SecurityGroupId,
        cidr: &Cidr,
        port: u16,
        description: &str,
    ) -> Result<(), AwsError> {
        let permission = IpPermission::builder().ip_protocol("tcp").from_port(port.into()).to_port(port.into());
        let permission = if cidr.is_ipv6() {
            permission.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr.as_str()).description(description).build())
        } else {
            permission.ip_ranges(IpRange::builder().cidr_ip(cidr.as_str()).description(description).build())
        };
        let call = self.client.authorize_security_group_ingress().group_id(group.as_str());
        let answer = call.ip_permissions(permission.build()).send().await;
        let action = || format!("let {cidr} in through security group {group}");
        match answer.map_err(|error| AwsError::sort(action(), error)) {
            Err(error) if !error.is_exists() => Err(error),
            _ => Ok(()),
        }
    }

    /// Revokes the rule `rule` of `group`. Succeeds if it does not exist.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn revoke(&self, group: &SecurityGroupId, rule: &str) -> Result<(), AwsError> {
        let call = self.client.revoke_security_group_ingress().group_id(group.as_str());
        let answer = call.security_group_rule_ids(rule).send().await;
        match answer.map_err(|error| AwsError::sort(format!("take back rule {rule} of {group}"), error)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Reads the endpoint `id`, or `None` if it does not exist yet.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn endpoint(&self, id: &str) -> Result<Option<VpcEndpoint>, AwsError> {
        let answer = self.client.describe_vpc_endpoints().vpc_endpoint_ids(id).send().await;
        let endpoints = match answer.map_err(|error| AwsError::sort(format!("describe VPC endpoint {id}"), error)) {
            Ok(answer) => answer.vpc_endpoints.unwrap_or_default(),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(endpoints.into_iter().next().map(|endpoint| VpcEndpoint {
            groups: endpoint
                .groups()
                .iter()
                .filter_map(|group| SecurityGroupId::parse(group.group_id().unwrap_or_default()).ok())
                .collect(),
            // EC2 writes "available" in lower case; its model has capitals.
            available: endpoint.state().map(State::as_str).is_some_and(|state| state.eq_ignore_ascii_case("available")),
            interfaces: endpoint.network_interface_ids.unwrap_or_default(),
        }))
    }

    /// Changes the security groups of the endpoint `id`.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn regroup(
        &self,
        id: &str,
        add: &BTreeSet<SecurityGroupId>,
        remove: &BTreeSet<SecurityGroupId>,
    ) -> Result<(), AwsError> {
        let texts = |groups: &BTreeSet<SecurityGroupId>| {
            (!groups.is_empty()).then(|| groups.iter().map(|group| group.to_string()).collect())
        };
        let call = self.client.modify_vpc_endpoint().vpc_endpoint_id(id);
        let call = call.set_add_security_group_ids(texts(add)).set_remove_security_group_ids(texts(remove));
        let action = || format!("change the security groups of VPC endpoint {id}");
        call.send().await.map(drop).map_err(|error| AwsError::sort(action(), error))
    }

    /// Returns the `allocations` that exist.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn elastic_ips(
        &self,
        allocations: &BTreeSet<AllocationId>,
    ) -> Result<BTreeMap<AllocationId, ElasticIp>, AwsError> {
        if allocations.is_empty() {
            return Ok(BTreeMap::new());
        }
        // By filter: EC2 refuses the whole call for one id that it does not know.
        let call = self.client.describe_addresses().filters(filter("allocation-id", allocations));
        let answer = call.send().await.map_err(|error| AwsError::sort("describe the Elastic IPs", error))?;
        let elastic_ip = |address: aws_sdk_ec2::types::Address| {
            let allocation = AllocationId::parse(address.allocation_id()?).ok()?;
            let held = address.association_id().is_some();
            Some((allocation, ElasticIp { public_ip: address.public_ip?, held }))
        };
        let found = answer.addresses.unwrap_or_default().into_iter().filter_map(elastic_ip);
        Ok(found.filter(|(allocation, _)| allocations.contains(allocation)).collect())
    }

    /// The private addresses of network interfaces.
    ///
    /// # Errors
    /// When EC2 fails or refuses.
    pub async fn private_addresses(&self, interfaces: &[String]) -> Result<Vec<String>, AwsError> {
        if interfaces.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.client.describe_network_interfaces().set_network_interface_ids(Some(interfaces.to_vec()));
        let answer = call.send().await.map_err(|error| AwsError::sort("describe the network interfaces", error))?;
        let found = answer.network_interfaces.unwrap_or_default();
        Ok(found.into_iter().filter_map(|interface| interface.private_ip_address).collect())
    }
}

/// A filter by ids. What does not exist is left out of the answer.
fn filter<'a, T: ToString + 'a>(name: &str, ids: impl IntoIterator<Item = &'a T>) -> Filter {
    let values = ids.into_iter().map(ToString::to_string).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

fn ingress_rule(rule: &SecurityGroupRule) -> Option<Rule> {
    if rule.is_egress() == Some(true) {
        return None;
    }
    Some(Rule {
        id: rule.security_group_rule_id()?.to_owned(),
        group: SecurityGroupId::parse(rule.group_id()?).ok()?,
        cidr: rule.cidr_ipv4().or(rule.cidr_ipv6()).map(str::to_owned),
        protocol: rule.ip_protocol().unwrap_or_default().to_owned(),
        ports: (rule.from_port().unwrap_or(-1), rule.to_port().unwrap_or(-1)),
        description: rule.description().unwrap_or_default().to_owned(),
    })
}
