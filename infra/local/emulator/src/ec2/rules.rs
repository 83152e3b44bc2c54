//! The rules of security groups: given as permissions, kept one by one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Ec2,
    cidr::Cidr,
    describe, ids, limits,
    model::{State, Tag, show_tags, specified_tags},
};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, REGION, random_id},
    input::{list, text, texts, whole},
};

/// One rule of a security group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rule {
    pub id: String,
    pub egress: bool,
    /// `tcp`, `udp`, `icmp`, a number, or `-1` for all.
    pub protocol: String,
    /// -1 means all ports.
    pub from: i64,
    pub to: i64,
    pub peer: Peer,
    pub description: Option<String>,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// Whom a rule admits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Peer {
    /// A block of IPv4 addresses.
    Cidr(String),
    /// A block of IPv6 addresses.
    Cidr6(String),
    /// The members of a security group.
    Group(String),
}

impl Rule {
    pub(super) fn new(protocol: &str, from: i64, to: i64, egress: bool, peer: Peer) -> Self {
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "6" => "tcp".to_owned(),
            "17" => "udp".to_owned(),
            "1" => "icmp".to_owned(),
            "all" => "-1".to_owned(),
            other => other.to_owned(),
        };
        let (from, to) = if protocol == "-1" { (-1, -1) } else { (from, to) };
        Self { id: random_id("sgr-"), egress, protocol, from, to, peer, description: None, tags: Vec::new() }
    }

    /// Whether both admit the same; ids and descriptions don't count.
    fn equals(&self, other: &Rule) -> bool {
        (self.egress, &self.protocol, self.from, self.to, &self.peer)
            == (other.egress, &other.protocol, other.from, other.to, &other.peer)
    }

    /// Whether the rule lets TCP through to `port`.
    pub(super) fn opens(&self, port: u16) -> bool {
        let all_ports = self.from == -1;
        match self.protocol.as_str() {
            "-1" => true,
            "tcp" => all_ports || (self.from..=self.to).contains(&i64::from(port)),
            _ => false,
        }
    }

    fn show(&self, group: &str) -> Value {
        let mut shown = json!({
            "securityGroupRuleId": self.id, "groupId": group, "groupOwnerId": ACCOUNT, "isEgress": self.egress,
            "ipProtocol": self.protocol, "fromPort": self.from, "toPort": self.to, "tagSet": show_tags(&self.tags),
            "securityGroupRuleArn": format!("arn:aws:ec2:{REGION}:{ACCOUNT}:security-group-rule/{}", self.id),
        });
        let (member, peer) = match &self.peer {
            Peer::Cidr(cidr) => ("cidrIpv4", json!(cidr)),
            Peer::Cidr6(cidr) => ("cidrIpv6", json!(cidr)),
            Peer::Group(id) => ("referencedGroupInfo", json!({"groupId": id, "userId": ACCOUNT})),
        };
        shown[member] = peer;
        if let Some(description) = &self.description {
            shown["description"] = json!(description);
        }
        shown
    }
}

impl Ec2 {
    pub(super) fn describe_security_group_rules(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let shown = state.groups.values().flat_map(|group| group.rules.iter().map(|rule| rule.show(&group.id)));
        describe::RULES.answer(shown.collect(), input)
    }

    pub(super) fn authorize(&self, input: &Value, egress: bool) -> Result<Value, AwsError> {
        let id = group_of(input)?;
        let mut state = self.state();
        let present = &state.group(id)?.rules;
        let mut added = permissions(&state, input, egress)?;
        for (index, rule) in added.iter().enumerate() {
            if present.iter().chain(&added[..index]).any(|known| known.equals(rule)) {
                return Err(duplicate(rule));
            }
        }
        limits::check_rules(present.iter().chain(&added))?;
        let tags = specified_tags(input, "security-group-rule");
        for rule in &mut added {
            rule.tags.clone_from(&tags);
        }
        let shown: Value = added.iter().map(|rule| rule.show(id)).collect();
        state.group_mut(id)?.rules.extend(added);
        Ok(json!({"return": true, "securityGroupRuleSet": shown}))
    }

    pub(super) fn revoke(&self, input: &Value, egress: bool) -> Result<Value, AwsError> {
        let id = group_of(input)?;
        let mut state = self.state();
        let by_id = texts(input, "SecurityGroupRuleId");
        let present = state.group(id)?.rules.clone();
        let mut doomed: Vec<String> = Vec::new();
        for rule_id in by_id {
            let found = present.iter().find(|rule| rule.id == rule_id && rule.egress == egress);
            let rule = found.ok_or_else(|| ids::RULE.unknown(&rule_id))?;
            doomed.push(rule.id.clone());
        }
        if doomed.is_empty() {
            for wanted in permissions(&state, input, egress)? {
                let found = present.iter().find(|rule| rule.equals(&wanted)).ok_or_else(|| {
                    let message = "The specified rule does not exist in this security group.";
                    AwsError::client("InvalidPermission.NotFound", message)
                })?;
                doomed.push(found.id.clone());
            }
        }
        let revoked: Value =
            present.iter().filter(|rule| doomed.contains(&rule.id)).map(|rule| rule.show(id)).collect();
        state.group_mut(id)?.rules.retain(|rule| !doomed.contains(&rule.id));
        Ok(json!({"return": true, "unknownIpPermissionSet": [], "revokedSecurityGroupRuleSet": revoked}))
    }
}

/// The group that an input is about.
pub(super) fn group_of(input: &Value) -> Result<&str, AwsError> {
    text(input, "GroupId").ok_or_else(|| {
        let message = "The request must contain the parameter groupName or groupId";
        AwsError::client("MissingParameter", message)
    })
}

fn duplicate(rule: &Rule) -> AwsError {
    let peer = match &rule.peer {
        Peer::Cidr(peer) | Peer::Cidr6(peer) | Peer::Group(peer) => peer,
    };
    let protocol = rule.protocol.to_uppercase();
    let message = format!(
        "the specified rule \"peer: {peer}, {protocol}, from port: {}, to port: {}, ALLOW\" already exists",
        rule.from, rule.to
    );
    AwsError::client("InvalidPermission.Duplicate", message)
}

/// The rules that an input's permissions mean.
fn permissions(state: &State, input: &Value, egress: bool) -> Result<Vec<Rule>, AwsError> {
    let mut rules = Vec::new();
    for permission in list(input, "IpPermissions") {
        let template = ports(permission, egress)?;
        let mut add = |peer: Peer, description: Option<&str>| {
            let id = random_id("sgr-");
            rules.push(Rule { id, peer, description: description.map(str::to_owned), ..template.clone() });
        };
        for range in list(permission, "IpRanges") {
            add(block(text(range, "CidrIp"), true)?, text(range, "Description"));
        }
        for range in list(permission, "Ipv6Ranges") {
            add(block(text(range, "CidrIpv6"), false)?, text(range, "Description"));
        }
        for pair in list(permission, "Groups") {
            let id = text(pair, "GroupId").unwrap_or_default();
            state.group(id)?;
            add(Peer::Group(id.to_owned()), text(pair, "Description"));
        }
    }
    if let Some(cidr) = text(input, "CidrIp") {
        rules.push(Rule { peer: block(Some(cidr), true)?, ..ports(input, egress)? });
    }
    for description in rules.iter().filter_map(|rule| rule.description.as_deref()) {
        limits::check_text("rule description", description)?;
    }
    if rules.is_empty() {
        let message = "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.";
        return Err(AwsError::client("MissingParameter", message));
    }
    Ok(rules)
}

/// Protocol and ports of a permission, as a rule that admits nobody in particular yet.
fn ports(permission: &Value, egress: bool) -> Result<Rule, AwsError> {
    let protocol = text(permission, "IpProtocol")
        .ok_or_else(|| AwsError::client("MissingParameter", "The request must contain the parameter ipProtocol"))?;
    let (from, to) = (whole(permission, "FromPort"), whole(permission, "ToPort"));
    let rule = Rule::new(protocol, from.unwrap_or(-1), to.unwrap_or(-1), egress, Peer::Cidr(String::new()));
    let port = -1..=65535;
    if rule.protocol == "tcp" || rule.protocol == "udp" {
        if from.is_none() || to.is_none() {
            let message = "The request must contain the parameters fromPort and toPort for this protocol";
            return Err(AwsError::client("MissingParameter", message));
        }
        if !port.contains(&rule.from) || !port.contains(&rule.to) || rule.from > rule.to {
            let message = format!("Invalid value for portRange: from {} to {}", rule.from, rule.to);
            return Err(AwsError::client("InvalidParameterValue", message));
        }
    }
    Ok(rule)
}

fn block(cidr: Option<&str>, ipv4: bool) -> Result<Peer, AwsError> {
    let cidr = cidr.unwrap_or_default();
    let block = Cidr::parse(cidr)
        .filter(|block| block.is_ipv4() == ipv4)
        .ok_or_else(|| AwsError::client("InvalidParameterValue", format!("CIDR block {cidr} is malformed")))?;
    Ok(if ipv4 { Peer::Cidr(block.to_string()) } else { Peer::Cidr6(block.to_string()) })
}

/// Rules as permissions: those with the same protocol and ports together.
pub(super) fn show_permissions<'a>(rules: impl Iterator<Item = &'a Rule>) -> Value {
    let mut keys: Vec<(&str, i64, i64)> = Vec::new();
    let mut permissions: Vec<Map<String, Value>> = Vec::new();
    for rule in rules {
        let key = (rule.protocol.as_str(), rule.from, rule.to);
        let at = keys.iter().position(|known| *known == key).unwrap_or_else(|| {
            keys.push(key);
            permissions.push(empty_permission(rule));
            permissions.len() - 1
        });
        let (list, mut range) = match &rule.peer {
            Peer::Cidr(cidr) => ("ipRanges", json!({"cidrIp": cidr})),
            Peer::Cidr6(cidr) => ("ipv6Ranges", json!({"cidrIpv6": cidr})),
            Peer::Group(id) => ("groups", json!({"groupId": id, "userId": ACCOUNT})),
        };
        if let Some(description) = &rule.description {
            range["description"] = json!(description);
        }
        if let Some(Value::Array(ranges)) = permissions[at].get_mut(list) {
            ranges.push(range);
        }
    }
    permissions.into_iter().map(Value::Object).collect()
}

fn empty_permission(rule: &Rule) -> Map<String, Value> {
    let mut permission = Map::new();
    permission.insert("ipProtocol".to_owned(), rule.protocol.clone().into());
    if rule.protocol != "-1" {
        permission.insert("fromPort".to_owned(), rule.from.into());
        permission.insert("toPort".to_owned(), rule.to.into());
    }
    for list in ["groups", "ipRanges", "ipv6Ranges", "prefixListIds"] {
        permission.insert(list.to_owned(), json!([]));
    }
    permission
}
