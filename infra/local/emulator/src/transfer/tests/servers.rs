use super::*;

#[tokio::test(start_paused = true)]
async fn security_policies_proxies_and_ports_are_those_that_there_are() {
    let region = Region::new();
    for change in [
        json!({ "SecurityPolicyName": "TransferSecurityPolicy-2024-02" }),
        json!({ "SecurityPolicyName": "TransferSFTPConnectorSecurityPolicy-2024-03" }),
        json!({ "ProtocolDetails": { "SftpPorts": [{ "SftpPort": 2222, "CommunicationMode": "CLIENT_TALK_FIRST" }] } }),
        json!({ "ProtocolDetails": { "ProxyConfig": { "SftpMode": "PROXY_PROTOCOL_V2_ENFORCED" } } }),
    ] {
        region.refused("CreateServer", server(change)).await;
    }
    let id = region.create(json!({ "SecurityPolicyName": "TransferSecurityPolicy-2025-03" })).await;
    let change = json!({ "ServerId": id, "SecurityPolicyName": "TransferSecurityPolicy-1999-01" });
    region.refused("UpdateServer", change).await;
    assert_eq!(region.described(&id).await["SecurityPolicyName"], "TransferSecurityPolicy-2025-03");
    let plain = region.create(json!({})).await;
    assert_eq!(region.described(&plain).await["SecurityPolicyName"], "TransferSecurityPolicy-2024-01");
}

#[tokio::test(start_paused = true)]
async fn tags_of_aws_are_refused_but_for_the_custom_hostname() {
    let region = Region::new();
    let tags = |key: &str| json!([{ "Key": key, "Value": "x" }]);
    region.refused("CreateServer", server(json!({ "Tags": tags("aws:owner") }))).await;
    let id = region.create(json!({})).await;
    let arn = region.described(&id).await["Arn"].clone();
    region.refused("TagResource", json!({ "Arn": arn, "Tags": tags("AWS:owner") })).await;
    for key in ["aws:transfer:customHostname", "aws:transfer:route53HostedZoneId", "transfer:customHostname"] {
        region.done("TagResource", json!({ "Arn": arn, "Tags": tags(key) })).await;
    }
    let user = json!({ "ServerId": id, "UserName": "alice", "Role": ROLE, "PosixProfile": { "Uid": 1, "Gid": 1 },
        "Tags": tags("aws:owner") });
    region.refused("CreateUser", user).await;
    let key = private_key(Algorithm::Ed25519).0;
    region.refused("ImportHostKey", json!({ "ServerId": id, "HostKeyBody": key, "Tags": tags("aws:owner") })).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_or_stop_that_is_to_fail_fails() {
    let region = Region::new();
    let made = region.transfer.call_to_fail("CreateServer", server(json!({}))).await.unwrap();
    let id = made["ServerId"].as_str().unwrap();
    assert_eq!(region.state(id).await, "STARTING");
    region.settle().await;
    assert_eq!(region.state(id).await, "START_FAILED");
    let server = json!({ "ServerId": id });
    region.transfer.call_to_fail("StartServer", server.clone()).await.unwrap();
    region.settle().await;
    assert_eq!(region.state(id).await, "START_FAILED");
    region.done("StartServer", server.clone()).await;
    region.settle().await;
    assert_eq!(region.state(id).await, "ONLINE");
    region.transfer.call_to_fail("StopServer", server.clone()).await.unwrap();
    region.settle().await;
    assert_eq!(region.state(id).await, "STOP_FAILED");
    region.done("StopServer", server).await;
    region.settle().await;
    assert_eq!(region.state(id).await, "OFFLINE");
}
