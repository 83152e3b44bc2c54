//! What a caller must be allowed to do for a call to be answered: the action itself on each resource, and what AWS
//! checks of the caller besides, such as `iam:PassRole`. One file a service, from the Service Authorization Reference.

mod dynamodb;
mod ec2;
mod ecs;
mod logs;
mod others;
mod secretsmanager;
mod transfer;

use serde_json::Value;

use super::request::Request;

/// Finds a resource by service and ARN, as the service describes it.
pub type Lookup<'a> = &'a dyn Fn(&str, &str) -> Option<Value>;

/// Everything that the caller of `service`'s `operation` must be allowed to do. None: this operation is not known here.
#[must_use]
pub fn of(service: &str, operation: &str, input: &Value, find: Lookup<'_>) -> Option<Vec<Request>> {
    match service {
        "transfer" => transfer::requests(operation, input, find),
        "ecs" => ecs::requests(operation, input, find),
        "ec2" => ec2::requests(operation, input, find),
        "secretsmanager" => secretsmanager::requests(operation, input, find),
        "dynamodb" => dynamodb::requests(operation, input),
        "logs" => logs::requests(operation, input),
        "sqs" => others::sqs(operation, input),
        "monitoring" => others::cloudwatch(operation, input),
        "elasticfilesystem" => others::efs(operation, input, find),
        // https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html: no permissions are required.
        "sts" => (operation == "GetCallerIdentity").then(Vec::new),
        _ => None,
    }
}

/// An action on the resource `arn`, with the tags that its service says it has.
fn on(action: impl Into<String>, arn: &str, find: Lookup<'_>) -> Request {
    let action = action.into();
    let service = arn.split(':').nth(2).unwrap_or_default();
    let tags = find(service, arn).map(|found| found["Tags"].clone()).unwrap_or_default();
    Request::new(action, arn).having(&tags)
}

/// The role, given by ARN or name, is handed to a service.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html>
fn pass_role(role: &str, to: &str) -> Request {
    let arn = if role.starts_with("arn:") {
        role.to_owned()
    } else {
        format!("arn:aws:iam::{}:role/{role}", crate::ids::ACCOUNT)
    };
    Request::new("iam:PassRole", arn).with("iam:PassedToService", [to])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SERVER: &str = "arn:aws:transfer:us-east-1:000000000000:server/s-1";

    const GROUP: &str = "arn:aws:ec2:us-east-1:000000000000:security-group/sg-1";
    const SERVICE: &str = "arn:aws:ecs:us-east-1:000000000000:service/c/s";
    const ADDRESS: &str = "arn:aws:ec2:us-east-1:000000000000:elastic-ip/eipalloc-1";

    fn find(_: &str, arn: &str) -> Option<Value> {
        let tags = json!([{ "Key": "ours", "Value": "yes" }]);
        let details = json!({ "VpcEndpointId": "vpce-1", "AddressAllocationIds": ["eipalloc-1"] });
        let secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:a/key-AbCdEf";
        match arn {
            SERVER => Some(json!({ "Tags": tags, "EndpointDetails": details })),
            GROUP | ADDRESS | SERVICE => Some(json!({ "Tags": tags })),
            "a/key" => Some(json!({ "ARN": secret })),
            _ => None,
        }
    }

    fn asked(service: &str, operation: &str, input: Value) -> Vec<(String, String)> {
        let requests = of(service, operation, &input, &find).unwrap_or_else(|| panic!("{operation} is unknown"));
        requests.into_iter().map(|request| (request.action, request.resource)).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(action, resource)| ((*action).to_owned(), (*resource).to_owned())).collect()
    }

    #[test]
    fn a_new_user_needs_its_role_passed_and_its_tags_set() {
        let tags = json!([{ "Key": "a", "Value": "1" }]);
        let input = json!({ "ServerId": "s-1", "UserName": "alice", "Role": "arn:aws:iam::1:role/sftp", "Tags": tags });
        let user = "arn:aws:transfer:us-east-1:000000000000:user/s-1/alice";
        let expected = [
            ("transfer:CreateUser", SERVER),
            ("transfer:TagResource", user),
            ("iam:PassRole", "arn:aws:iam::1:role/sftp"),
        ];
        assert_eq!(asked("transfer", "CreateUser", input), pairs(&expected));
    }

    #[test]
    fn a_call_carries_what_conditions_ask_for() {
        let requests = of("transfer", "StopServer", &json!({ "ServerId": "s-1" }), &find).unwrap();
        assert!(requests[0].context["aws:resourcetag/ours"].contains("yes"), "{requests:?}");
        let definition = json!({ "family": "web", "taskRoleArn": "worker", "tags": [{ "key": "a", "value": "1" }] });
        let requests = of("ecs", "RegisterTaskDefinition", &definition, &find).unwrap();
        let pass = requests.iter().find(|request| request.action == "iam:PassRole").unwrap();
        assert_eq!(pass.resource, "arn:aws:iam::000000000000:role/worker");
        assert!(pass.context["iam:passedtoservice"].contains("ecs-tasks.amazonaws.com"));
        let tagging = requests.iter().find(|request| request.action == "ecs:TagResource").unwrap();
        assert!(tagging.context["ecs:createaction"].contains("RegisterTaskDefinition"));
    }

    #[test]
    fn a_server_s_endpoint_is_made_and_deleted_as_transfer_family_s() {
        let details = json!({ "VpcId": "vpc-1", "SubnetIds": ["subnet-1"] });
        for (operation, input, action) in [
            ("CreateServer", json!({ "EndpointDetails": details }), "ec2:CreateVpcEndpoint"),
            ("DeleteServer", json!({ "ServerId": "s-1" }), "ec2:DeleteVpcEndpoints"),
        ] {
            let requests = of("transfer", operation, &input, &find).unwrap();
            let of_service = |request: &&Request| request.context.contains_key("ec2:vpceservicename");
            let [endpoint] = requests.iter().filter(of_service).collect::<Vec<_>>()[..] else {
                panic!("{operation} names one endpoint: {requests:?}")
            };
            assert_eq!(endpoint.action, action);
            assert!(endpoint.resource.contains(":vpc-endpoint/"), "{}", endpoint.resource);
            assert!(endpoint.context["ec2:vpceservicename"].contains("com.amazonaws.us-east-1.transfer.server"));
        }
    }

    #[test]
    fn a_new_elastic_ip_needs_the_callers_rights_in_the_vpc() {
        let details = json!({ "SubnetIds": ["subnet-1"], "AddressAllocationIds": ["eipalloc-2"] });
        let input = json!({ "ServerId": "s-1", "EndpointDetails": details });
        let actions: Vec<String> =
            asked("transfer", "UpdateServer", input).into_iter().map(|(action, _)| action).collect();
        for needed in
            ["transfer:UpdateServer", "ec2:ModifyVpcEndpoint", "ec2:AssociateAddress", "ec2:DisassociateAddress"]
        {
            assert!(actions.iter().any(|action| action == needed), "{needed}: {actions:?}");
        }
    }

    #[test]
    fn exporting_a_host_key_is_an_action_of_its_own() {
        let key = "arn:aws:transfer:us-east-1:000000000000:host-key/s-1/hostkey-1";
        let described = json!({ "ServerId": "s-1", "HostKeyId": "hostkey-1", "Description": "old" });
        assert_eq!(asked("transfer", "UpdateHostKey", described), pairs(&[("transfer:UpdateHostKey", key)]));
        let exported = json!({ "ServerId": "s-1", "HostKeyId": "hostkey-1", "StorageType": "SECRETS_MANAGER" });
        let role = "arn:aws:iam::000000000000:role/aws-service-role/transfer.amazonaws.com/AWSServiceRoleForTransfer";
        let expected = [
            ("transfer:UpdateHostKey", key),
            ("transfer:ExportHostKey", key),
            ("secretsmanager:CreateSecret", "arn:aws:secretsmanager:us-east-1:000000000000:secret:transfer!*"),
            ("iam:CreateServiceLinkedRole", role),
        ];
        assert_eq!(asked("transfer", "UpdateHostKey", exported), pairs(&expected));
    }

    #[test]
    fn groups_and_addresses_bear_their_tags() {
        let details = json!({ "AddressAllocationIds": ["eipalloc-1"] });
        for (service, operation, input, resource) in [
            ("ec2", "AuthorizeSecurityGroupIngress", json!({ "GroupId": "sg-1" }), GROUP),
            ("ec2", "RevokeSecurityGroupIngress", json!({ "GroupId": "sg-1" }), GROUP),
            ("transfer", "UpdateServer", json!({ "ServerId": "s-1", "EndpointDetails": details }), ADDRESS),
            ("transfer", "DeleteServer", json!({ "ServerId": "s-1" }), ADDRESS),
        ] {
            let requests = of(service, operation, &input, &find).unwrap();
            let request = requests.iter().find(|request| request.resource == resource).unwrap();
            for key in ["aws:resourcetag/ours", "ec2:resourcetag/ours"] {
                assert!(request.context[key].contains("yes"), "{operation}: {request:?}");
            }
        }
    }

    #[test]
    fn services_bear_their_tags_and_their_deployments_don_t() {
        for operation in ["DescribeServices", "UpdateService", "ListServiceDeployments"] {
            let input = json!({ "cluster": "c", "service": "s", "services": ["s"] });
            let requests = of("ecs", operation, &input, &find).unwrap();
            assert_eq!(requests[0].resource, SERVICE);
            for key in ["aws:resourcetag/ours", "ecs:resourcetag/ours"] {
                assert!(requests[0].context[key].contains("yes"), "{operation}: {requests:?}");
            }
        }
        let deployment = "arn:aws:ecs:us-east-1:000000000000:service-deployment/c/s/d";
        let input = json!({ "serviceDeploymentArn": deployment, "serviceDeploymentArns": [deployment] });
        for operation in ["StopServiceDeployment", "ContinueServiceDeployment", "DescribeServiceDeployments"] {
            let requests = of("ecs", operation, &input, &find).unwrap();
            assert_eq!(requests[0].resource, deployment);
            assert!(!requests[0].context.contains_key("aws:resourcetag/ours"), "{operation}");
        }
    }

    #[test]
    fn structured_logs_need_the_rights_to_deliver_them() {
        let logged =
            json!({ "ServerId": "s-1", "StructuredLogDestinations": ["arn:aws:logs:us-east-1:1:log-group:a:*"] });
        let needs = |operation: &str, input: &Value| {
            let asked = asked("transfer", operation, input.clone());
            asked.iter().filter(|(action, resource)| action.starts_with("logs:") && resource == "*").count()
        };
        for operation in ["CreateServer", "UpdateServer"] {
            assert_eq!(needs(operation, &logged), 8);
            assert_eq!(needs(operation, &json!({ "ServerId": "s-1", "StructuredLogDestinations": [] })), 0);
        }
    }

    #[test]
    fn resources_are_named_by_arn() {
        for (service, operation, input, expected) in [
            (
                "secretsmanager",
                "GetSecretValue",
                json!({ "SecretId": "a/key" }),
                ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:a/key-AbCdEf"),
            ),
            (
                "secretsmanager",
                "GetSecretValue",
                json!({ "SecretId": "a/new" }),
                ("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:a/new"),
            ),
            (
                "sqs",
                "SendMessage",
                json!({ "QueueUrl": "http://127.0.0.1:1/000000000000/q" }),
                ("sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:q"),
            ),
            (
                "ecs",
                "UpdateService",
                json!({ "cluster": "c", "service": "s" }),
                ("ecs:UpdateService", "arn:aws:ecs:us-east-1:000000000000:service/c/s"),
            ),
            (
                "dynamodb",
                "TransactWriteItems",
                json!({ "TransactItems": [{ "Put": { "TableName": "t" } }] }),
                ("dynamodb:PutItem", "arn:aws:dynamodb:us-east-1:000000000000:table/t"),
            ),
            (
                "elasticfilesystem",
                "DescribeMountTargets",
                json!({ "FileSystemId": "fs-1" }),
                (
                    "elasticfilesystem:DescribeMountTargets",
                    "arn:aws:elasticfilesystem:us-east-1:000000000000:file-system/fs-1",
                ),
            ),
            (
                "logs",
                "FilterLogEvents",
                json!({ "logGroupName": "/sftp" }),
                ("logs:FilterLogEvents", "arn:aws:logs:us-east-1:000000000000:log-group:/sftp:log-stream:"),
            ),
            (
                "logs",
                "DescribeLogGroups",
                json!({}),
                ("logs:DescribeLogGroups", "arn:aws:logs:us-east-1:000000000000:log-group::log-stream:"),
            ),
            ("ec2", "DescribeAddresses", json!({}), ("ec2:DescribeAddresses", "*")),
            ("monitoring", "GetMetricData", json!({}), ("cloudwatch:GetMetricData", "*")),
        ] {
            assert_eq!(asked(service, operation, input), pairs(&[expected]), "{service} {operation}");
        }
        assert!(of("ecs", "RunTask", &json!({}), &find).is_none());
    }
}
