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
    let endpoint = ec2.create_endpoint("vpc-1", &subnets(), &["sg-1".to_owned()]).unwrap();
    let group = json!({"GroupId": "sg-1"});
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
