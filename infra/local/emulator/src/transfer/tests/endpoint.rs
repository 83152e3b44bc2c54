use super::*;

#[tokio::test(start_paused = true)]
async fn what_the_vpc_refuses_has_a_code_of_transfer_family() {
    let region = Region::new();
    for change in [
        json!({ "VpcId": "vpc-00000002" }),
        json!({ "SubnetIds": ["subnet-00000002"] }),
        json!({ "SecurityGroupIds": ["sg-00000002"] }),
    ] {
        let message = region.refused("CreateServer", server(details(change))).await;
        assert!(message.contains("does not exist"), "{message}");
    }
    let id = region.offline().await;
    region.refused("UpdateServer", update(&id, json!({ "AddressAllocationIds": ["eipalloc-00000002"] }))).await;
    region.refused("UpdateServer", update(&id, json!({ "SubnetIds": ["subnet-00000002"] }))).await;
    let zones = region.refused("UpdateServer", update(&id, json!({ "SubnetIds": [SUBNETS[0], "subnet-0000000e"] })));
    assert!(zones.await.contains("availability zone"));
    assert_eq!(region.described(&id).await["EndpointDetails"]["SubnetIds"], json!([SUBNETS[0]]));
}

#[tokio::test(start_paused = true)]
async fn a_server_is_in_at_most_three_subnets_and_twice_in_none() {
    let region = Region::new();
    for subnets in [json!(SUBNETS), json!([SUBNETS[0], SUBNETS[0]])] {
        region.refused("CreateServer", server(details(json!({ "SubnetIds": subnets })))).await;
    }
    let id = region.online(details(json!({ "SubnetIds": SUBNETS[..3] }))).await;
    for subnets in [json!(SUBNETS), json!([SUBNETS[0], SUBNETS[0]])] {
        region.refused("UpdateServer", update(&id, json!({ "SubnetIds": subnets }))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn subnets_move_online_where_there_are_no_elastic_ips() {
    let region = Region::new();
    let id = region.online(details(json!({ "SubnetIds": SUBNETS[..2] }))).await;
    let endpoint = region.described(&id).await["EndpointDetails"]["VpcEndpointId"].clone();
    let interfaces = async || {
        let input = json!({ "VpcEndpointId": [endpoint] });
        let answer = region.ec2.call("DescribeVpcEndpoints", input).await.unwrap();
        answer["vpcEndpointSet"][0].clone()
    };
    let before = interfaces().await;
    let addresses = region.ec2.addresses(endpoint.as_str().unwrap());
    region.done("UpdateServer", update(&id, json!({ "SubnetIds": [SUBNETS[2], SUBNETS[1]] }))).await;
    let after = interfaces().await;
    assert_eq!(after["subnetIdSet"], json!([SUBNETS[2], SUBNETS[1]]));
    assert_eq!(after["state"], "pending");
    assert_eq!(after["networkInterfaceIdSet"][1], before["networkInterfaceIdSet"][1], "an interface that stays");
    assert_ne!(region.ec2.addresses(endpoint.as_str().unwrap()), addresses);
    let shown = region.described(&id).await;
    assert_eq!((&shown["State"], &shown["EndpointDetails"]["VpcEndpointId"]), (&json!("ONLINE"), &endpoint));
    let early = region.transfer.call("StopServer", json!({ "ServerId": id })).await.unwrap_err();
    assert_eq!(early.code, "ConflictException");
    region.settle().await;
    region.done("StopServer", json!({ "ServerId": id })).await;
}

#[tokio::test(start_paused = true)]
async fn addresses_leave_before_subnets_change_and_come_after() {
    let region = Region::new();
    let id = region.offline().await;
    let (there, here) = (json!([SUBNETS[1]]), json!(["eipalloc-00000001"]));
    let both = update(&id, json!({ "SubnetIds": there, "AddressAllocationIds": here }));
    let message = region.refused("UpdateServer", both).await;
    assert_eq!(message, "Specified SubnetIds must exist in the server before attaching AddressAllocationIds");
    region.done("UpdateServer", update(&id, json!({ "AddressAllocationIds": here }))).await;
    for change in [json!({ "SubnetIds": there }), json!({ "SubnetIds": there, "AddressAllocationIds": [] })] {
        let message = region.refused("UpdateServer", update(&id, change)).await;
        assert_eq!(message, "AddressAllocationIds must be removed before SubnetIds can be modified");
    }
    region.done("UpdateServer", update(&id, json!({ "AddressAllocationIds": [] }))).await;
    region.done("UpdateServer", update(&id, json!({ "SubnetIds": there }))).await;
    region.settle().await;
    region.done("UpdateServer", update(&id, json!({ "SubnetIds": there, "AddressAllocationIds": here }))).await;
    let shown = region.described(&id).await["EndpointDetails"].clone();
    assert_eq!((&shown["SubnetIds"], &shown["AddressAllocationIds"]), (&there, &here));
}

#[tokio::test(start_paused = true)]
async fn ipv6_comes_offline_and_not_beside_elastic_ips() {
    let region = Region::new();
    let online = region.online(json!({})).await;
    let dual = |id: &str| json!({ "ServerId": id, "IpAddressType": "DUALSTACK" });
    region.refused("UpdateServer", dual(&online)).await;
    let id = region.offline().await;
    region.done("UpdateServer", update(&id, json!({ "AddressAllocationIds": ["eipalloc-00000001"] }))).await;
    region.refused("UpdateServer", dual(&id)).await;
    region.done("UpdateServer", update(&id, json!({ "AddressAllocationIds": [] }))).await;
    region.done("UpdateServer", dual(&id)).await;
    region.refused("UpdateServer", update(&id, json!({ "AddressAllocationIds": ["eipalloc-00000001"] }))).await;
}
