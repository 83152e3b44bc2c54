//! What EC2 keeps, and how it is shown on the wire.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{endpoints::VpcEndpoint, ids, interfaces::Interface, rules::Rule};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, REGION},
    input::{list, text},
};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub vpcs: Vec<Vpc>,
    pub subnets: Vec<Subnet>,
    pub groups: BTreeMap<String, Group>,
    pub addresses: Vec<Address>,
    pub endpoints: BTreeMap<String, VpcEndpoint>,
    pub interfaces: BTreeMap<String, Interface>,
    /// How many private addresses were given out.
    pub private_addresses: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Tag {
    pub key: String,
    pub value: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Vpc {
    pub id: String,
    pub cidr: String,
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    pub cidr: String,
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Group {
    pub id: String,
    pub name: String,
    pub description: String,
    pub vpc: String,
    pub rules: Vec<Rule>,
    pub tags: Vec<Tag>,
}

/// An Elastic IP.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Address {
    pub allocation: String,
    pub public_ip: Ipv4Addr,
    pub association: Option<Association>,
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Association {
    pub id: String,
    pub interface: String,
}

impl State {
    /// The next private address: loopback, so that it can be bound and stays on this machine.
    pub(super) fn next_private_address(&mut self) -> Ipv4Addr {
        self.private_addresses += 1;
        Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 9).to_bits() + self.private_addresses)
    }

    pub(super) fn group(&self, id: &str) -> Result<&Group, AwsError> {
        self.groups.get(id).ok_or_else(|| ids::GROUP.unknown(id))
    }

    pub(super) fn group_mut(&mut self, id: &str) -> Result<&mut Group, AwsError> {
        self.groups.get_mut(id).ok_or_else(|| ids::GROUP.unknown(id))
    }
}

impl Vpc {
    pub(super) fn show(&self) -> Value {
        json!({
            "vpcId": self.id, "cidrBlock": self.cidr, "state": "available", "ownerId": ACCOUNT, "isDefault": false,
            "instanceTenancy": "default", "dhcpOptionsId": "default", "tagSet": show_tags(&self.tags),
            "cidrBlockAssociationSet": [{
                "associationId": self.id.replace("vpc-", "vpc-cidr-assoc-"), "cidrBlock": self.cidr,
                "cidrBlockState": {"state": "associated"},
            }],
        })
    }
}

impl Subnet {
    pub(super) fn show(&self) -> Value {
        json!({
            "subnetId": self.id, "vpcId": self.vpc, "availabilityZone": self.zone, "cidrBlock": self.cidr,
            "availabilityZoneId": zone_id(&self.zone), "state": "available", "ownerId": ACCOUNT, "defaultForAz": false,
            "availableIpAddressCount": 4091, "mapPublicIpOnLaunch": false, "assignIpv6AddressOnCreation": false,
            "subnetArn": format!("arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/{}", self.id), "tagSet": show_tags(&self.tags),
        })
    }
}

/// The id of a zone: `us-east-1a` is `use1-az1` here.
pub(crate) fn zone_id(zone: &str) -> String {
    let letter = zone.bytes().last().unwrap_or(b'a');
    format!("use1-az{}", letter.saturating_sub(b'a') + 1)
}

/// A list of tags of an input.
pub(super) fn tags(items: &[Value]) -> Vec<Tag> {
    let tag = |item: &Value| {
        let value = text(item, "Value").unwrap_or_default().to_owned();
        Some(Tag { key: text(item, "Key")?.to_owned(), value })
    };
    items.iter().filter_map(tag).collect()
}

/// The tags that a creation gives to its resource.
pub(super) fn specified_tags(input: &Value, resource: &str) -> Vec<Tag> {
    let of_resource =
        list(input, "TagSpecification").iter().filter(|item| text(item, "ResourceType") == Some(resource));
    of_resource.flat_map(|item| tags(list(item, "Tag"))).collect()
}

pub(super) fn show_tags(tags: &[Tag]) -> Value {
    tags.iter().map(|tag| json!({"key": tag.key, "value": tag.value})).collect()
}

pub(super) fn named(name: &str) -> Vec<Tag> {
    vec![Tag { key: "Name".to_owned(), value: name.to_owned() }]
}
