use std::net::IpAddr;

use serde_json::json;

use super::*;
use crate::testing::context;

fn region() -> Arc<Ec2> {
    let ec2 = Ec2::new(context(), None).unwrap();
    ec2.add_vpc("vpc-1", "10.0.0.0/16", "main");
    ec2.add_subnet("subnet-a", "vpc-1", "us-east-1a", "10.0.0.0/20");
    ec2.add_subnet("subnet-b", "vpc-1", "us-east-1b", "10.0.16.0/20");
    ec2.add_security_group("sg-1", "vpc-1", "sftp", "SFTP");
    ec2.add_address("eipalloc-1");
    ec2.add_address("eipalloc-2");
    ec2
}

fn subnets() -> Vec<String> {
    vec!["subnet-a".to_owned(), "subnet-b".to_owned()]
}

fn permission(cidr: &str) -> Value {
    json!({"GroupId": "sg-1", "IpPermissions": [
        {"IpProtocol": "tcp", "FromPort": "22", "ToPort": "22", "IpRanges": [{"CidrIp": cidr}]}
    ]})
}

#[tokio::test]
async fn an_endpoint_admits_whom_its_ingress_rules_name() {
    let ec2 = region();
    let endpoint = ec2.create_endpoint("vpc-1", &subnets(), &["sg-1".to_owned()]).unwrap();
    let (home, abroad) = ("203.0.113.9".parse().unwrap(), "198.51.100.9".parse().unwrap());
    assert!(!ec2.admits(&endpoint.id, home, 22), "a new group admits nobody");
    ec2.call("AuthorizeSecurityGroupIngress", permission("203.0.113.0/24")).await.unwrap();
    assert!(ec2.admits(&endpoint.id, home, 22));
    assert!(!ec2.admits(&endpoint.id, abroad, 22));
    assert!(!ec2.admits(&endpoint.id, home, 2222));
    ec2.call("RevokeSecurityGroupIngress", permission("203.0.113.0/24")).await.unwrap();
    assert!(!ec2.admits(&endpoint.id, home, 22));
}

#[tokio::test]
async fn the_same_rule_twice_is_a_duplicate_and_a_missing_one_is_not_found() {
    let ec2 = region();
    ec2.call("AuthorizeSecurityGroupIngress", permission("203.0.113.0/24")).await.unwrap();
    let again = ec2.call("AuthorizeSecurityGroupIngress", permission("203.0.113.7/24")).await.unwrap_err();
    assert_eq!(again.code, "InvalidPermission.Duplicate");
    let missing = ec2.call("RevokeSecurityGroupIngress", permission("10.0.0.0/8")).await.unwrap_err();
    assert_eq!(missing.code, "InvalidPermission.NotFound");
    let malformed = ec2.call("AuthorizeSecurityGroupIngress", permission("10.0.0/8")).await.unwrap_err();
    assert_eq!(malformed.code, "InvalidParameterValue");
}

#[test]
fn an_address_serves_one_endpoint_at_a_time() {
    let ec2 = region();
    let first = ec2.create_endpoint("vpc-1", &subnets(), &[]).unwrap();
    let second = ec2.create_endpoint("vpc-1", &subnets(), &[]).unwrap();
    assert_eq!(ec2.addresses(&first.id), [first.private_address]);
    let one = ["eipalloc-1".to_owned()];
    assert_eq!(ec2.attach_addresses(&first.id, &one).unwrap(), [IpAddr::from([127, 0, 0, 1])]);
    assert_eq!(ec2.attach_addresses(&second.id, &one).unwrap_err().code, "Resource.AlreadyAssociated");
    let two = ["eipalloc-2".to_owned(), "eipalloc-1".to_owned()];
    assert_eq!(ec2.attach_addresses(&first.id, &two).unwrap().len(), 2);
    assert_eq!(ec2.attach_addresses(&first.id, &[]).unwrap(), Vec::<IpAddr>::new());
    ec2.attach_addresses(&second.id, &one).unwrap();
    ec2.delete_endpoint(&second.id);
    ec2.attach_addresses(&first.id, &one).unwrap();
    let unknown = ec2.attach_addresses(&first.id, &["eipalloc-3".to_owned()]).unwrap_err();
    assert_eq!(unknown.code, "InvalidAllocationID.NotFound");
}

#[tokio::test]
async fn a_group_in_use_is_not_deleted() {
    let ec2 = region();
    let group = json!({"GroupId": "sg-00000001"});
    ec2.add_security_group("sg-00000001", "vpc-1", "other", "Another");
    let endpoint = ec2.create_endpoint("vpc-1", &subnets(), &["sg-00000001".to_owned()]).unwrap();
    assert_eq!(ec2.call("DeleteSecurityGroup", group.clone()).await.unwrap_err().code, "DependencyViolation");
    ec2.delete_endpoint(&endpoint.id);
    ec2.call("DeleteSecurityGroup", group.clone()).await.unwrap();
    assert_eq!(ec2.call("DeleteSecurityGroup", group).await.unwrap_err().code, "InvalidGroup.NotFound");
}

#[test]
fn a_restart_finds_everything_again() {
    let ec2 = region();
    let endpoint = ec2.create_endpoint("vpc-1", &subnets(), &["sg-1".to_owned()]).unwrap();
    ec2.attach_addresses(&endpoint.id, &["eipalloc-1".to_owned()]).unwrap();
    let again = Ec2::new(context(), Some(ec2.snapshot())).unwrap();
    assert_eq!(again.snapshot(), ec2.snapshot());
    assert_eq!(again.addresses(&endpoint.id), ec2.addresses(&endpoint.id));
}

async fn code(ec2: &Ec2, operation: &str, input: Value) -> String {
    match ec2.call(operation, input).await {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code,
    }
}

#[tokio::test]
async fn an_id_of_another_form_is_malformed() {
    let ec2 = region();
    for (operation, member, id, expected) in [
        ("DescribeVpcs", "VpcId", "subnet-00000001", "InvalidVpcID.Malformed"),
        ("DescribeVpcs", "VpcId", "vpc-00000002", "InvalidVpcID.NotFound"),
        ("DescribeSubnets", "SubnetId", "subnet-xyz", "InvalidSubnetID.Malformed"),
        ("DescribeSubnets", "SubnetId", "subnet-0a1b2c3d4e5f60719", "InvalidSubnetID.NotFound"),
        ("DescribeSecurityGroups", "GroupId", "default", "InvalidGroupId.Malformed"),
        ("DescribeSecurityGroups", "GroupId", "sg-00000002", "InvalidGroup.NotFound"),
        ("DescribeSecurityGroupRules", "SecurityGroupRuleId", "sgr-1", "InvalidSecurityGroupRuleId.Malformed"),
        ("DescribeVpcEndpoints", "VpcEndpointId", "vpc-00000002", "InvalidVpcEndpointId.Malformed"),
        ("DescribeNetworkInterfaces", "NetworkInterfaceId", "eni", "InvalidNetworkInterfaceId.Malformed"),
        ("DescribeAddresses", "AllocationId", "eip-1", "InvalidAllocationID.NotFound"),
    ] {
        let mut input = json!({});
        input[member] = json!([id]);
        assert_eq!(code(&ec2, operation, input).await, expected, "{id}");
    }
    let mut input = permission("203.0.113.0/24");
    input["GroupId"] = "sftp".into();
    assert_eq!(code(&ec2, "AuthorizeSecurityGroupIngress", input).await, "InvalidGroupId.Malformed");
    assert_eq!(code(&ec2, "DeleteSecurityGroup", json!({})).await, "MissingParameter");
}

#[tokio::test]
async fn a_group_has_sixty_rules_for_each_direction_and_ip_version() {
    let ec2 = region();
    let ranges =
        |count: usize| -> Value { (0..count).map(|n| json!({ "CidrIp": format!("10.0.{n}.0/24") })).collect() };
    let six =
        |count: usize| -> Value { (0..count).map(|n| json!({ "CidrIpv6": format!("2001:db8:{n}::/48") })).collect() };
    let rules = |ranges: Value, six: Value| {
        json!({ "GroupId": "sg-1", "IpPermissions": [{ "IpProtocol": "tcp", "FromPort": "22", "ToPort": "22",
            "IpRanges": ranges, "Ipv6Ranges": six }] })
    };
    let ingress = "AuthorizeSecurityGroupIngress";
    let limit = "RulesPerSecurityGroupLimitExceeded";
    assert_eq!(code(&ec2, ingress, rules(ranges(61), json!([]))).await, limit);
    assert_eq!(code(&ec2, ingress, rules(ranges(59), six(60))).await, "ok");
    let members = json!({ "GroupId": "sg-1", "IpPermissions": [{ "IpProtocol": "tcp", "FromPort": "22",
        "ToPort": "22", "Groups": [{ "GroupId": "sg-1" }] }] });
    assert_eq!(code(&ec2, ingress, members).await, limit, "a rule for a group counts in both versions");
    assert_eq!(code(&ec2, ingress, permission("203.0.113.0/24")).await, "ok");
    assert_eq!(code(&ec2, ingress, permission("198.51.100.0/24")).await, limit);
}

#[test]
fn an_interface_has_five_groups() {
    let ec2 = region();
    let groups: Vec<String> = (0..6).map(|number| format!("sg-0000001{number}")).collect();
    for group in &groups {
        ec2.add_security_group(group, "vpc-1", group, "One of many");
    }
    let error = ec2.create_endpoint("vpc-1", &subnets(), &groups).unwrap_err();
    assert_eq!(error.code, "SecurityGroupsPerInterfaceLimitExceeded");
    assert!(ec2.create_endpoint("vpc-1", &subnets(), &groups[..5]).is_ok());
}

#[tokio::test]
async fn descriptions_and_names_are_of_few_letters() {
    let ec2 = region();
    let long = "x".repeat(256);
    for bad in ["Bob's office", "Büro", "a<b", long.as_str()] {
        let mut input = permission("203.0.113.0/24");
        input["IpPermissions"][0]["IpRanges"][0]["Description"] = bad.into();
        let refused = ec2.call("AuthorizeSecurityGroupIngress", input).await.unwrap_err();
        assert_eq!(refused.code, "InvalidParameterValue");
        assert!(refused.message.starts_with("Invalid rule description. Valid"), "{}", refused.message);
        let group = json!({ "GroupName": "more", "GroupDescription": bad, "VpcId": "vpc-1" });
        assert_eq!(code(&ec2, "CreateSecurityGroup", group).await, "InvalidParameterValue");
    }
    let named = |name: &str| json!({ "GroupName": name, "GroupDescription": "More", "VpcId": "vpc-1" });
    assert_eq!(code(&ec2, "CreateSecurityGroup", named("sg-mine")).await, "InvalidParameterValue");
    assert_eq!(code(&ec2, "CreateSecurityGroup", named("Mine (2)")).await, "ok");
}

#[tokio::test]
async fn tags_of_rules_are_kept_and_filtered_by() {
    let ec2 = region();
    let mut input = permission("203.0.113.0/24");
    let tags = json!([{ "Key": "owner", "Value": "main" }]);
    input["TagSpecification"] = json!([{ "ResourceType": "security-group-rule", "Tag": tags }]);
    let made = ec2.call("AuthorizeSecurityGroupIngress", input).await.unwrap();
    assert_eq!(made["securityGroupRuleSet"][0]["tagSet"], json!([{ "key": "owner", "value": "main" }]));
    let by_tag = json!({ "Filter": [{ "Name": "tag:owner", "Value": ["main"] }] });
    let found = ec2.call("DescribeSecurityGroupRules", by_tag).await.unwrap();
    assert_eq!(found["securityGroupRuleSet"], made["securityGroupRuleSet"]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_pending_at_first_and_its_groups_change_later() {
    let ec2 = region();
    ec2.add_security_group("sg-2", "vpc-1", "other", "Another");
    let endpoint = ec2.create_endpoint("vpc-1", &subnets(), &["sg-1".to_owned()]).unwrap();
    let shown = async || ec2.call("DescribeVpcEndpoints", json!({})).await.unwrap()["vpcEndpointSet"][0].clone();
    assert_eq!(shown().await["state"], "pending");
    let pace = ec2.context.pace.clone();
    tokio::time::advance(pace.server_transition + pace.endpoint_lag).await;
    assert_eq!(shown().await["state"], "available");
    let modify = |added: &str, removed: &str| json!({ "VpcEndpointId": endpoint.id, "AddSecurityGroupId": [added], "RemoveSecurityGroupId": [removed] });
    ec2.call("ModifyVpcEndpoint", modify("sg-2", "sg-1")).await.unwrap();
    assert_eq!(shown().await["groupSet"][0]["groupId"], "sg-1");
    tokio::time::advance(pace.endpoint_lag).await;
    assert_eq!(shown().await["groupSet"], json!([{ "groupId": "sg-2", "groupName": "other" }]));
    let subnets = json!({ "VpcEndpointId": endpoint.id, "AddSubnetId": ["subnet-a"] });
    assert_eq!(code(&ec2, "ModifyVpcEndpoint", subnets).await, "InvalidParameter");
}

#[tokio::test]
async fn an_endpoint_keeps_what_stays_when_its_subnets_change() {
    let ec2 = region();
    let id = ec2.create_endpoint("vpc-1", &subnets(), &["sg-1".to_owned()]).unwrap().id;
    let interfaces = async || {
        let answer = ec2.call("DescribeVpcEndpoints", json!({"VpcEndpointId": [id]})).await.unwrap();
        answer["vpcEndpointSet"][0]["networkInterfaceIdSet"].clone()
    };
    let before = interfaces().await;
    ec2.set_subnets(&id, &["subnet-b".to_owned()]).unwrap();
    assert_eq!(interfaces().await, json!([before[1]]));
    ec2.set_subnets(&id, &subnets()).unwrap();
    let after = interfaces().await;
    assert_eq!(after[1], before[1]);
    let groups = ec2.interface(after[0].as_str().unwrap()).unwrap().groups;
    assert_eq!(groups, ["sg-1"]);
    ec2.add_subnet("subnet-c", "vpc-1", "us-east-1a", "10.0.32.0/20");
    let one_zone = ["subnet-a".to_owned(), "subnet-c".to_owned()];
    assert_eq!(ec2.set_subnets(&id, &one_zone).unwrap_err().code, "DuplicateSubnetsInSameZone");
    assert_eq!(ec2.create_endpoint("vpc-1", &one_zone, &[]).unwrap_err().code, "DuplicateSubnetsInSameZone");
}
