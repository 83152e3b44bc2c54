//! EC2: security groups, addresses and endpoints.

use std::net::IpAddr;

use aws_sdk_ec2::{
    Client,
    error::ProvideErrorMetadata,
    types::{Filter, IpPermission, IpRange, Ipv6Range},
};
use wharfinger_region::seed;

use crate::emulated_region::{EmulatedRegion, until};

async fn client(region: &EmulatedRegion) -> Client {
    Client::new(&region.config().await)
}

fn ssh(cidr: &str) -> IpPermission {
    let range = IpRange::builder().cidr_ip(cidr).description("office").build();
    IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).ip_ranges(range).build()
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

#[tokio::test]
async fn the_network_that_people_have_is_there() {
    let region = EmulatedRegion::new().await;
    let ec2 = client(&region).await;
    let vpcs = ec2.describe_vpcs().send().await.unwrap();
    assert_eq!(vpcs.vpcs()[0].vpc_id(), Some(seed::VPC));
    let subnets = ec2.describe_subnets().filters(filter("vpc-id", seed::VPC)).send().await.unwrap();
    let ids: Vec<_> = subnets.subnets().iter().filter_map(|subnet| subnet.subnet_id()).collect();
    assert_eq!(ids, seed::SUBNETS);
    let unknown = ec2.describe_subnets().subnet_ids("subnet-00000000").send().await.unwrap_err().into_service_error();
    assert_eq!(unknown.code(), Some("InvalidSubnetID.NotFound"));
    let efs = ec2.describe_security_groups().filters(filter("group-name", "efs")).send().await.unwrap();
    let permission = &efs.security_groups()[0].ip_permissions()[0];
    assert_eq!((permission.from_port(), permission.ip_protocol()), (Some(2049), Some("tcp")));
    assert_eq!(permission.user_id_group_pairs()[0].group_id(), Some(seed::EFS_GROUP));
}

#[tokio::test]
async fn rules_come_and_go_by_permission_and_by_id() {
    let region = EmulatedRegion::new().await;
    let ec2 = client(&region).await;
    let authorize = |permission: IpPermission| {
        ec2.authorize_security_group_ingress().group_id(seed::SFTP_GROUP).ip_permissions(permission).send()
    };
    let added = authorize(ssh("203.0.113.0/24")).await.unwrap();
    let rule = added.security_group_rules()[0].security_group_rule_id().unwrap().to_owned();
    assert_eq!(added.security_group_rules()[0].description(), Some("office"));
    let again = authorize(ssh("203.0.113.0/24")).await.unwrap_err().into_service_error();
    assert_eq!(again.code(), Some("InvalidPermission.Duplicate"));
    let six = Ipv6Range::builder().cidr_ipv6("2001:db8::/32").build();
    authorize(IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).ipv6_ranges(six).build())
        .await
        .unwrap();
    let rules = ec2.describe_security_group_rules().filters(filter("group-id", seed::SFTP_GROUP)).send().await.unwrap();
    let ingress: Vec<_> = rules.security_group_rules().iter().filter(|rule| rule.is_egress() == Some(false)).collect();
    assert_eq!(ingress.len(), 2);
    assert_eq!(ingress[1].cidr_ipv6(), Some("2001:db8::/32"));
    let revoke = || ec2.revoke_security_group_ingress().group_id(seed::SFTP_GROUP);
    revoke().security_group_rule_ids(rule).send().await.unwrap();
    let missing = revoke().ip_permissions(ssh("203.0.113.0/24")).send().await.unwrap_err().into_service_error();
    assert_eq!(missing.code(), Some("InvalidPermission.NotFound"));
}

#[tokio::test]
async fn a_description_comes_in_pages() {
    let region = EmulatedRegion::new().await;
    let ec2 = client(&region).await;
    let pages = ec2.describe_security_groups().max_results(1).into_paginator().items().send();
    let groups: Vec<_> = pages.collect::<Result<_, _>>().await.unwrap();
    assert_eq!(groups.len(), 3);
}

#[tokio::test]
async fn an_endpoint_shows_its_groups_and_its_addresses() {
    let region = EmulatedRegion::new().await;
    let ec2 = client(&region).await;
    let subnets = seed::SUBNETS.map(str::to_owned);
    let endpoint = region.ec2.create_endpoint(seed::VPC, &subnets, &[seed::SFTP_GROUP.to_owned()]).unwrap();
    let addresses = region.ec2.attach_addresses(&endpoint.id, &[seed::ADDRESSES[0].to_owned()]).unwrap();
    assert_eq!(addresses, [IpAddr::from([127, 0, 0, 1])]);
    let shown = ec2.describe_vpc_endpoints().vpc_endpoint_ids(&endpoint.id).send().await.unwrap();
    let shown = &shown.vpc_endpoints()[0];
    assert_eq!(shown.groups()[0].group_id(), Some(seed::SFTP_GROUP));
    assert_eq!(shown.subnet_ids(), seed::SUBNETS);
    assert!(shown.creation_timestamp().is_some());
    let address = ec2.describe_addresses().allocation_ids(seed::ADDRESSES[0]).send().await.unwrap();
    let address = &address.addresses()[0];
    assert_eq!(address.network_interface_id(), Some(shown.network_interface_ids()[0].as_str()));
    assert_eq!(address.private_ip_address(), Some(endpoint.private_address.to_string().as_str()));
    let modify = ec2.modify_vpc_endpoint().vpc_endpoint_id(&endpoint.id);
    modify.add_security_group_ids(seed::EFS_GROUP).remove_security_group_ids(seed::SFTP_GROUP).send().await.unwrap();
    until(async || {
        let shown = ec2.describe_vpc_endpoints().vpc_endpoint_ids(&endpoint.id).send().await.unwrap();
        (shown.vpc_endpoints()[0].groups()[0].group_id() == Some(seed::EFS_GROUP)).then_some(())
    })
    .await;
    let release = ec2.release_address().allocation_id(seed::ADDRESSES[0]).send().await.unwrap_err();
    assert_eq!(release.into_service_error().code(), Some("InvalidIPAddress.InUse"));
    region.ec2.delete_endpoint(&endpoint.id);
    ec2.release_address().allocation_id(seed::ADDRESSES[0]).send().await.unwrap();
    let gone = ec2.describe_addresses().allocation_ids(seed::ADDRESSES[0]).send().await.unwrap_err();
    assert_eq!(gone.into_service_error().code(), Some("InvalidAllocationID.NotFound"));
}
