//! EC2: what is described has no resource-level permissions; what is changed has, for each resource that is named.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html>

use serde_json::Value;

use super::{Lookup, on};
use crate::{
    iam::request::{Request, arn},
    input::{text, texts},
};

pub(super) fn requests(operation: &str, input: &Value, find: Lookup<'_>) -> Option<Vec<Request>> {
    let named = |member: &'static str, kind: &'static str| {
        texts(input, member).into_iter().map(move |id| arn("ec2", kind, &id))
    };
    let resources: Vec<String> = match operation {
        "AuthorizeSecurityGroupIngress" | "RevokeSecurityGroupIngress" => {
            vec![arn("ec2", "security-group/", text(input, "GroupId")?)]
        }
        "ModifyVpcEndpoint" => std::iter::once(arn("ec2", "vpc-endpoint/", text(input, "VpcEndpointId")?))
            .chain(named("AddSecurityGroupId", "security-group/"))
            .chain(named("RemoveSecurityGroupId", "security-group/"))
            .chain(named("AddSubnetId", "subnet/"))
            .chain(named("RemoveSubnetId", "subnet/"))
            .collect(),
        _ if operation.starts_with("Describe") => vec!["*".to_owned()],
        _ => return None,
    };
    Some(resources.into_iter().map(|resource| on(format!("ec2:{operation}"), &resource, find)).collect())
}
