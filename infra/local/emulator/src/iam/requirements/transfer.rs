//! Transfer Family: servers, users, their tags and roles, and what it does in the VPC with the caller's permissions.
//!
//! - Actions, resources, condition keys, dependent actions:
//!   <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awstransferfamily.html>
//! - `transfer:Request…` keys: <https://docs.aws.amazon.com/transfer/latest/userguide/transfer-condition-keys.html>
//! - The VPC: Transfer Family's documents name no complete list. `AWSTransferFullAccess` has three Describe actions
//!   (<https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSTransferFullAccess.html>), the first link has
//!   three more as dependent actions of CreateServer, the user guide's "Getting started" making and deleting endpoints,
//!   Terraform's documents `ModifyVpcEndpoint`, and `EndpointDetails` the attaching of addresses. All of them are asked
//!   for here: the strictest reading.

use serde_json::Value;

use super::{Lookup, logs, on, pass_role};
use crate::{
    iam::request::{Request, arn},
    ids::{ACCOUNT, REGION},
    input::{text, texts},
};

const SERVICE: &str = "transfer.amazonaws.com";

pub(super) fn requests(operation: &str, input: &Value, find: Lookup<'_>) -> Option<Vec<Request>> {
    let action = format!("transfer:{operation}");
    Some(match operation {
        "ListServers" => vec![Request::new(action, "*")],
        "CreateServer" => create_server(action, input, find),
        "UpdateServer" => update_server(action, input, find),
        "DeleteServer" => delete_server(action, input, find),
        "DescribeServer" | "ListHostKeys" | "ListUsers" | "StartServer" | "StopServer" => {
            vec![on_server(action, input, find)]
        }
        "ImportHostKey" => {
            let mut requests = vec![on_server(action, input, find).giving(&input["Tags"])];
            requests.extend(tagging(&host_key(input), &input["Tags"]));
            requests.extend(storing(text(input, "StorageType")));
            requests
        }
        "DescribeHostKey" | "DeleteHostKey" => vec![on(action, &host_key(input), find)],
        "UpdateHostKey" => update_host_key(action, input, find),
        "CreateUser" => {
            let mut requests = vec![on_server(action, input, find).giving(&input["Tags"])];
            requests.extend(tagging(&user(input), &input["Tags"]));
            requests.extend(text(input, "Role").map(|role| pass_role(role, SERVICE)));
            requests
        }
        "UpdateUser" => {
            let mut requests = vec![on(action, &user(input), find)];
            requests.extend(text(input, "Role").map(|role| pass_role(role, SERVICE)));
            requests
        }
        "DeleteSshPublicKey" | "DeleteUser" | "DescribeUser" | "ImportSshPublicKey" => {
            vec![on(action, &user(input), find)]
        }
        "ListTagsForResource" | "UntagResource" => vec![on(action, text(input, "Arn")?, find)],
        "TagResource" => vec![on(action, text(input, "Arn")?, find).giving(&input["Tags"])],
        _ => return None,
    })
}

fn on_server(action: String, input: &Value, find: Lookup<'_>) -> Request {
    on(action, &server(input), find)
}

fn server(input: &Value) -> String {
    arn("transfer", "server/", text(input, "ServerId").unwrap_or_default())
}

fn user(input: &Value) -> String {
    let (server, user) = (text(input, "ServerId").unwrap_or_default(), text(input, "UserName").unwrap_or_default());
    arn("transfer", "user/", &format!("{server}/{user}"))
}

fn host_key(input: &Value) -> String {
    let (server, key) = (text(input, "ServerId").unwrap_or_default(), text(input, "HostKeyId").unwrap_or("*"));
    arn("transfer", "host-key/", &format!("{server}/{key}"))
}

/// To move a key that the service stores into a secret is to export it, which is an action of its own.
fn update_host_key(action: String, input: &Value, find: Lookup<'_>) -> Vec<Request> {
    let storage = text(input, "StorageType");
    let mut requests = vec![on(action, &host_key(input), find)];
    if storage == Some("SECRETS_MANAGER") {
        requests.push(on("transfer:ExportHostKey".to_owned(), &host_key(input), find));
    }
    requests.extend(storing(storage));
    requests
}

/// A host key in a secret: it is made in the caller's name, and read by a role of the service's own. Transfer Family's
/// documents don't say what the caller needs for it; this is the strictest reading.
fn storing(storage: Option<&str>) -> Vec<Request> {
    if storage != Some("SECRETS_MANAGER") {
        return Vec::new();
    }
    let role = format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/{SERVICE}/AWSServiceRoleForTransfer");
    vec![
        Request::new("secretsmanager:CreateSecret", arn("secretsmanager", "secret:", "transfer!*")),
        Request::new("iam:CreateServiceLinkedRole", role).with("iam:AWSServiceName", [SERVICE]),
    ]
}

/// Structured logs go out by CloudWatch Logs' deliveries, which the caller sets up.
fn delivering(input: &Value) -> Vec<Request> {
    if texts(input, "StructuredLogDestinations").is_empty() { Vec::new() } else { logs::delivery() }
}

/// Tags of a resource in the making need the permission to tag besides.
fn tagging(arn: &str, tags: &Value) -> Option<Request> {
    let given = tags.as_array().is_some_and(|tags| !tags.is_empty());
    given.then(|| Request::new("transfer:TagResource", arn).giving(tags))
}

/// What making an endpoint looks at first.
const LOOKED_AT: [&str; 4] =
    ["ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"];

fn create_server(action: String, input: &Value, find: Lookup<'_>) -> Vec<Request> {
    // The server has no id yet, and the action no resource-level permissions.
    let create = Request::new(action, "*")
        .giving(&input["Tags"])
        .with("transfer:RequestServerDomain", text(input, "Domain"))
        .with("transfer:RequestServerEndpointType", text(input, "EndpointType"))
        .with("transfer:RequestServerProtocols", texts(input, "Protocols"));
    let mut requests = vec![create];
    requests.extend(tagging(&arn("transfer", "server/", "*"), &input["Tags"]));
    requests.extend(text(input, "LoggingRole").map(|role| pass_role(role, SERVICE)));
    requests.extend(storing(text(input, "HostKeyStorageType")));
    requests.extend(delivering(input));
    let details = &input["EndpointDetails"];
    if let Some(vpc) = text(details, "VpcId") {
        let mut resources = vec![arn("ec2", "vpc/", vpc)];
        resources.extend(texts(details, "SubnetIds").iter().map(|id| arn("ec2", "subnet/", id)));
        resources.extend(texts(details, "SecurityGroupIds").iter().map(|id| arn("ec2", "security-group/", id)));
        requests.extend(resources.into_iter().map(|resource| Request::new("ec2:CreateVpcEndpoint", resource)));
        requests.push(on_endpoint("ec2:CreateVpcEndpoint", "*"));
        requests.extend(LOOKED_AT.map(|action| Request::new(action, "*")));
        requests.extend(attach(&texts(details, "AddressAllocationIds"), find));
    }
    requests
}

fn update_server(action: String, input: &Value, find: Lookup<'_>) -> Vec<Request> {
    let update = on_server(action, input, find)
        .with("transfer:RequestServerEndpointType", text(input, "EndpointType"))
        .with("transfer:RequestServerProtocols", texts(input, "Protocols"));
    let mut requests = vec![update];
    requests.extend(text(input, "LoggingRole").map(|role| pass_role(role, SERVICE)));
    requests.extend(delivering(input));
    let details = &input["EndpointDetails"];
    if !details.is_object() {
        return requests;
    }
    requests.push(Request::new("ec2:DescribeVpcEndpoints", "*"));
    let current = find("transfer", &server(input)).map(|found| found["EndpointDetails"].clone()).unwrap_or_default();
    let subnets = texts(details, "SubnetIds");
    if let (false, Some(endpoint)) = (subnets.is_empty(), text(&current, "VpcEndpointId")) {
        let subnets = subnets.iter().map(|id| arn("ec2", "subnet/", id));
        let resources = std::iter::once(arn("ec2", "vpc-endpoint/", endpoint)).chain(subnets);
        requests.extend(resources.map(|resource| Request::new("ec2:ModifyVpcEndpoint", resource)));
    }
    if details.get("AddressAllocationIds").is_some() {
        let (before, after) = (texts(&current, "AddressAllocationIds"), texts(details, "AddressAllocationIds"));
        let gone: Vec<String> = before.iter().filter(|id| !after.contains(id)).cloned().collect();
        requests.extend(attach(&after, find));
        requests.extend(detach(&gone, find));
    }
    requests
}

fn delete_server(action: String, input: &Value, find: Lookup<'_>) -> Vec<Request> {
    let mut requests = vec![on_server(action, input, find)];
    let current = find("transfer", &server(input)).map(|found| found["EndpointDetails"].clone()).unwrap_or_default();
    if let Some(endpoint) = text(&current, "VpcEndpointId") {
        requests.push(on_endpoint("ec2:DeleteVpcEndpoints", endpoint));
        requests.extend(detach(&texts(&current, "AddressAllocationIds"), find));
    }
    requests
}

/// A server's VPC endpoint leads to Transfer Family. The key belongs to the endpoint, not to what else is named.
fn on_endpoint(action: &str, endpoint: &str) -> Request {
    let service = format!("com.amazonaws.{REGION}.transfer.server");
    Request::new(action, arn("ec2", "vpc-endpoint/", endpoint)).with("ec2:VpceServiceName", [service])
}

/// Elastic IPs come to the endpoint's network interfaces.
fn attach(addresses: &[String], find: Lookup<'_>) -> Vec<Request> {
    let mut requests = move_addresses("ec2:AssociateAddress", addresses, find);
    if !requests.is_empty() {
        requests.push(Request::new("ec2:DescribeAddresses", "*"));
        requests.push(Request::new("ec2:DescribeNetworkInterfaces", "*"));
    }
    requests
}

/// Elastic IPs leave the endpoint's network interfaces.
fn detach(addresses: &[String], find: Lookup<'_>) -> Vec<Request> {
    move_addresses("ec2:DisassociateAddress", addresses, find)
}

fn move_addresses(action: &str, addresses: &[String], find: Lookup<'_>) -> Vec<Request> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let interface = std::iter::once(arn("ec2", "network-interface/", "*"));
    let resources = addresses.iter().map(|id| arn("ec2", "elastic-ip/", id)).chain(interface);
    resources.map(|resource| on(action, &resource, find)).collect()
}
