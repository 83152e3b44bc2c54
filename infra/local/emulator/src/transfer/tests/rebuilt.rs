//! A server that is made again with what a description says of it.

use wharfinger_decisions::settings::{self, Lost};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_server_made_with_the_settings_of_another_is_described_like_it() {
    let region = Region::new();
    region.logs.call("CreateLogGroup", json!({ "logGroupName": "/sftp" })).await.unwrap();
    let given = json!({
        "IpAddressType": "DUALSTACK",
        "LoggingRole": ROLE,
        "PostAuthenticationLoginBanner": "welcome",
        "PreAuthenticationLoginBanner": "ahoy",
        "ProtocolDetails": { "PassiveIp": "AUTO", "SetStatOption": "ENABLE_NO_OP", "ProxyConfig": { "SftpMode": "NONE" } },
        "S3StorageOptions": { "DirectoryListingOptimization": "DISABLED" },
        "SecurityPolicyName": "TransferSecurityPolicy-2025-03",
        "StructuredLogDestinations": ["arn:aws:logs:us-east-1:000000000000:log-group:/sftp:*"],
        "WorkflowDetails": { "OnUpload": [{ "WorkflowId": "w-1", "ExecutionRole": ROLE }] },
        "Tags": [{ "Key": "team", "Value": "web" }],
    });
    for changes in [json!({}), given] {
        let described = region.described(&region.online(changes.clone()).await).await;
        let (recorded, lost) = settings::read(&described);
        assert_eq!(lost, [], "all that this region shows is known");
        let mut again = json!(recorded.members);
        if !recorded.tags.is_empty() {
            again["Tags"] = recorded.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        }
        let rebuilt = region.described(&region.online(again).await).await;
        assert_eq!(settings::read(&rebuilt), (recorded, Vec::<Lost>::new()));
        for member in changes.as_object().unwrap().keys() {
            let given = &changes[member];
            assert_eq!((&described[member], &rebuilt[member]), (given, given), "{member}");
        }
    }
}
