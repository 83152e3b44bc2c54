//! Security groups.

use serde_json::{Value, json};

use super::{
    Ec2, describe, ids, limits,
    model::{Group, show_tags, specified_tags},
    rules::{Peer, Rule, group_of, show_permissions},
};
use crate::{
    error::AwsError,
    ids::{ACCOUNT, REGION, random_id},
    input::{text, texts},
};

impl Ec2 {
    /// Adds a security group with an id of one's own, and AWS's first egress rule: everything.
    pub fn add_security_group(&self, id: &str, vpc: &str, name: &str, description: &str) {
        let everything = Rule::new("-1", -1, -1, true, Peer::Cidr("0.0.0.0/0".to_owned()));
        let group = Group {
            id: id.to_owned(),
            name: name.to_owned(),
            description: description.to_owned(),
            vpc: vpc.to_owned(),
            rules: vec![everything],
            tags: vec![],
        };
        self.state().groups.insert(id.to_owned(), group);
    }

    pub(super) fn create_security_group(&self, input: &Value) -> Result<Value, AwsError> {
        let missing =
            |name: &str| AwsError::client("MissingParameter", format!("The request must contain the parameter {name}"));
        let name = text(input, "GroupName").ok_or_else(|| missing("GroupName"))?;
        let description = text(input, "GroupDescription").ok_or_else(|| missing("GroupDescription"))?;
        let vpc = text(input, "VpcId").ok_or_else(|| missing("VpcId"))?;
        limits::check_text("security group description", description)?;
        limits::check_text("security group name", name)?;
        if name.starts_with("sg-") {
            let message = format!("Invalid group-name '{name}'. Group names may not be in the format sg-*.");
            return Err(AwsError::client("InvalidParameterValue", message));
        }
        let tags = specified_tags(input, "security-group");
        {
            let state = self.state();
            if !state.vpcs.iter().any(|known| known.id == vpc) {
                return Err(ids::VPC.unknown(vpc));
            }
            if state.groups.values().any(|group| group.vpc == vpc && group.name == name) {
                let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
                return Err(AwsError::client("InvalidGroup.Duplicate", message));
            }
        }
        let id = random_id("sg-");
        self.add_security_group(&id, vpc, name, description);
        self.state().group_mut(&id)?.tags.clone_from(&tags);
        Ok(json!({"return": true, "groupId": id, "tagSet": show_tags(&tags), "securityGroupArn": arn(&id)}))
    }

    pub(super) fn delete_security_group(&self, input: &Value) -> Result<Value, AwsError> {
        let id = group_of(input)?;
        let mut state = self.state();
        let group = state.group(id)?;
        if group.name == "default" {
            let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
            return Err(AwsError::client("CannotDelete", message));
        }
        let in_use = state.interfaces.values().any(|interface| interface.groups.iter().any(|group| group == id));
        let referenced = state
            .groups
            .values()
            .any(|group| group.id != id && group.rules.iter().any(|rule| rule.peer == Peer::Group(id.to_owned())));
        if in_use || referenced {
            return Err(AwsError::client("DependencyViolation", format!("resource {id} has a dependent object")));
        }
        state.groups.remove(id);
        Ok(json!({"return": true, "groupId": id}))
    }

    pub(super) fn describe_security_groups(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let names = texts(input, "GroupName");
        if let Some(name) = names.iter().find(|name| !state.groups.values().any(|group| group.name == **name)) {
            let message = format!("The security group '{name}' does not exist");
            return Err(AwsError::client("InvalidGroup.NotFound", message));
        }
        let named = state.groups.values().filter(|group| names.is_empty() || names.contains(&group.name));
        describe::GROUPS.answer(named.map(show).collect(), input)
    }
}

fn show(group: &Group) -> Value {
    json!({
        "groupId": group.id, "groupName": group.name, "groupDescription": group.description, "vpcId": group.vpc,
        "ownerId": ACCOUNT, "securityGroupArn": arn(&group.id), "tagSet": show_tags(&group.tags),
        "ipPermissions": show_permissions(group.rules.iter().filter(|rule| !rule.egress)),
        "ipPermissionsEgress": show_permissions(group.rules.iter().filter(|rule| rule.egress)),
    })
}

fn arn(id: &str) -> String {
    format!("arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{id}")
}
