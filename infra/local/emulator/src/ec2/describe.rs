//! What all Describe operations of EC2 share: ids, filters and pages. A filter is a path through what is shown, so
//! that what a person sees is what a person can filter by.

use serde_json::{Map, Value, json};

use super::ids::{self, Kind};
use crate::{
    error::AwsError,
    input::{list, text, texts, whole},
    page::page,
};

/// One Describe operation.
pub(super) struct Describe {
    /// The answer's list.
    set: &'static str,
    /// The input's list of ids, and the shown member that is the id.
    ids: (&'static str, &'static str),
    kind: &'static Kind,
    /// The filters, and the paths of the shown members that they compare.
    filters: &'static [(&'static str, &'static str)],
}

pub(super) const VPCS: Describe = Describe {
    set: "vpcSet",
    ids: ("VpcId", "vpcId"),
    kind: &ids::VPC,
    filters: &[
        ("vpc-id", "vpcId"),
        ("cidr", "cidrBlock"),
        ("cidr-block-association.cidr-block", "cidrBlockAssociationSet.cidrBlock"),
        ("state", "state"),
        ("is-default", "isDefault"),
        ("owner-id", "ownerId"),
    ],
};

pub(super) const SUBNETS: Describe = Describe {
    set: "subnetSet",
    ids: ("SubnetId", "subnetId"),
    kind: &ids::SUBNET,
    filters: &[
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
        ("availability-zone", "availabilityZone"),
        ("availability-zone-id", "availabilityZoneId"),
        ("cidr-block", "cidrBlock"),
        ("state", "state"),
        ("default-for-az", "defaultForAz"),
        ("owner-id", "ownerId"),
    ],
};

pub(super) const GROUPS: Describe = Describe {
    set: "securityGroupInfo",
    ids: ("GroupId", "groupId"),
    kind: &ids::GROUP,
    filters: &[
        ("group-id", "groupId"),
        ("group-name", "groupName"),
        ("vpc-id", "vpcId"),
        ("description", "groupDescription"),
        ("owner-id", "ownerId"),
        ("ip-permission.cidr", "ipPermissions.ipRanges.cidrIp"),
        ("ip-permission.ipv6-cidr", "ipPermissions.ipv6Ranges.cidrIpv6"),
        ("ip-permission.from-port", "ipPermissions.fromPort"),
        ("ip-permission.to-port", "ipPermissions.toPort"),
        ("ip-permission.protocol", "ipPermissions.ipProtocol"),
        ("ip-permission.group-id", "ipPermissions.groups.groupId"),
        ("egress.ip-permission.cidr", "ipPermissionsEgress.ipRanges.cidrIp"),
    ],
};

pub(super) const RULES: Describe = Describe {
    set: "securityGroupRuleSet",
    ids: ("SecurityGroupRuleId", "securityGroupRuleId"),
    kind: &ids::RULE,
    filters: &[("group-id", "groupId"), ("security-group-rule-id", "securityGroupRuleId")],
};

pub(super) const ADDRESSES: Describe = Describe {
    set: "addressesSet",
    ids: ("AllocationId", "allocationId"),
    kind: &ids::ADDRESS,
    filters: &[
        ("allocation-id", "allocationId"),
        ("association-id", "associationId"),
        ("domain", "domain"),
        ("network-interface-id", "networkInterfaceId"),
        ("private-ip-address", "privateIpAddress"),
        ("public-ip", "publicIp"),
        ("network-border-group", "networkBorderGroup"),
    ],
};

pub(super) const ENDPOINTS: Describe = Describe {
    set: "vpcEndpointSet",
    ids: ("VpcEndpointId", "vpcEndpointId"),
    kind: &ids::ENDPOINT,
    filters: &[
        ("vpc-endpoint-id", "vpcEndpointId"),
        ("vpc-endpoint-state", "state"),
        ("vpc-endpoint-type", "vpcEndpointType"),
        ("vpc-id", "vpcId"),
        ("service-name", "serviceName"),
    ],
};

pub(super) const INTERFACES: Describe = Describe {
    set: "networkInterfaceSet",
    ids: ("NetworkInterfaceId", "networkInterfaceId"),
    kind: &ids::INTERFACE,
    filters: &[
        ("network-interface-id", "networkInterfaceId"),
        ("subnet-id", "subnetId"),
        ("vpc-id", "vpcId"),
        ("group-id", "groupSet.groupId"),
        ("group-name", "groupSet.groupName"),
        ("description", "description"),
        ("status", "status"),
        ("interface-type", "interfaceType"),
        ("availability-zone", "availabilityZone"),
        ("private-ip-address", "privateIpAddress"),
        ("addresses.private-ip-address", "privateIpAddress"),
        ("association.public-ip", "association.publicIp"),
        ("association.allocation-id", "association.allocationId"),
        ("association.association-id", "association.associationId"),
        ("requester-managed", "requesterManaged"),
    ],
};

impl Describe {
    /// Answers with those of `items` that the input asks for.
    pub(super) fn answer(&self, items: Vec<Value>, input: &Value) -> Result<Value, AwsError> {
        let wanted = texts(input, self.ids.0);
        for id in &wanted {
            if !items.iter().any(|item| item[self.ids.1] == id.as_str()) {
                return Err(self.kind.unknown(id));
            }
        }
        let mut chosen = Vec::new();
        for item in items {
            let id = text(&item, self.ids.1).unwrap_or_default();
            if (wanted.is_empty() || wanted.iter().any(|wanted| wanted == id)) && self.passes(&item, input)? {
                chosen.push(item);
            }
        }
        let limit = whole(input, "MaxResults").map_or(1000, |limit| usize::try_from(limit).unwrap_or(0).clamp(1, 1000));
        let keyed = chosen.into_iter().map(|item| (text(&item, self.ids.1).unwrap_or_default().to_owned(), item));
        let page = page(keyed, text(input, "NextToken"), limit)
            .ok_or_else(|| AwsError::client("InvalidNextToken", "The token is not valid."))?;
        let mut answer = Map::new();
        answer.insert(self.set.to_owned(), page.items.into());
        if let Some(next) = page.next {
            answer.insert("nextToken".to_owned(), next.into());
        }
        Ok(Value::Object(answer))
    }

    fn passes(&self, item: &Value, input: &Value) -> Result<bool, AwsError> {
        for filter in list(input, "Filter") {
            let name = text(filter, "Name").unwrap_or_default();
            let shown = self.shown(item, name)?;
            let patterns = texts(filter, "Value");
            if !shown.iter().any(|shown| patterns.iter().any(|pattern| matches(pattern.as_bytes(), shown.as_bytes()))) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a filter compares.
    fn shown(&self, item: &Value, filter: &str) -> Result<Vec<String>, AwsError> {
        let mut shown = Vec::new();
        if let Some(key) = filter.strip_prefix("tag:") {
            let tags = list(item, "tagSet").iter().filter(|tag| tag["key"] == key);
            shown.extend(tags.filter_map(|tag| tag["value"].as_str().map(str::to_owned)));
        } else if filter == "tag-key" {
            collect(item, "tagSet.key", &mut shown);
        } else {
            let (_, path) = self.filters.iter().find(|(known, _)| *known == filter).ok_or_else(|| {
                AwsError::client("InvalidParameterValue", format!("The filter '{filter}' is invalid"))
            })?;
            collect(item, path, &mut shown);
        }
        Ok(shown)
    }
}

/// The texts at a path of members; lists on the way count with all of their items.
fn collect(value: &Value, path: &str, found: &mut Vec<String>) {
    match (value, path.split_once('.')) {
        (Value::Array(items), _) => items.iter().for_each(|item| collect(item, path, found)),
        (Value::Object(_), Some((first, rest))) => collect(&value[first], rest, found),
        (Value::Object(_), None) if !path.is_empty() => collect(&value[path], "", found),
        (Value::String(text), None) => found.push(text.clone()),
        (Value::Bool(_) | Value::Number(_), None) => found.push(value.to_string()),
        _ => {}
    }
}

/// Whether a text matches a pattern in which `*` stands for any text and `?` for one character.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) if matches(rest, text) => true,
        (Some((b'*', _)), Some((_, text))) => matches(pattern, text),
        (Some((b'?', rest)), Some((_, text))) => matches(rest, text),
        (Some((one, rest)), Some((other, text))) => one == other && matches(rest, text),
        _ => false,
    }
}

/// The answer of an operation that says only that it was done.
pub(super) fn done() -> Value {
    json!({"return": true})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_follows_its_path_through_lists() {
        let item = json!({"groupId": "sg-1", "ipPermissions": [{"ipRanges": [{"cidrIp": "10.0.0.0/8"}]}]});
        let by = |name: &str, value: &str| json!({"Filter": [{"Name": name, "Value": [value]}]});
        assert!(GROUPS.passes(&item, &by("ip-permission.cidr", "10.*")).unwrap());
        assert!(!GROUPS.passes(&item, &by("ip-permission.cidr", "11.*")).unwrap());
        assert!(GROUPS.passes(&item, &by("group-id", "sg-?")).unwrap());
        assert_eq!(GROUPS.passes(&item, &by("colour", "red")).unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn pages_follow_one_another() {
        let items: Vec<Value> = (0..7).map(|number| json!({"vpcId": format!("vpc-{number}")})).collect();
        let first = VPCS.answer(items.clone(), &json!({"MaxResults": "5"})).unwrap();
        assert_eq!(first["vpcSet"].as_array().unwrap().len(), 5);
        let second = VPCS.answer(items, &json!({"MaxResults": "5", "NextToken": first["nextToken"]})).unwrap();
        assert_eq!(second["vpcSet"][0]["vpcId"], "vpc-5");
        assert_eq!(second.get("nextToken"), None);
    }
}
