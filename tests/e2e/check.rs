//! The check of a site: what keeps its service from mounting it is told before anybody uploads, with the way to mend it.

use serde_json::{Value, json};
use wharfinger_emulator::{endpoint::faults::Fault, error::AwsError};
use wharfinger_region::seed;

use crate::support::{LocalRegion, blog, brisk, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_what_keeps_a_site_from_being_seen() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    assert_eq!(told(&local).await, Vec::<String>::new(), "what people begin with is well");
    local.region.faults().inject(
        "elasticfilesystem",
        "DescribeFileSystemPolicy",
        1,
        Fault::Answer(AwsError::client("AccessDeniedException", "no").with_status(403)),
    );
    assert_eq!(told(&local).await, ["permissions unknown"]);

    let nfs = json!({ "IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049,
        "UserIdGroupPairs": [{ "GroupId": seed::EFS_GROUP }], "Groups": [{ "GroupId": seed::EFS_GROUP }] });
    let rule = json!({ "GroupId": seed::EFS_GROUP, "IpPermissions": [nfs] });
    local.region.call("ec2", "RevokeSecurityGroupIngress", rule).await.unwrap();
    assert_eq!(told(&local).await, ["nfs problem"]);
    let untag = json!({ "resourceArn": "arn:aws:ecs:us-east-1:000000000000:service/local/web",
        "tagKeys": ["wharfinger:allow"] });
    local.region.call("ecs", "UntagResource", untag).await.unwrap();
    assert_eq!(told(&local).await, ["open problem", "nfs problem"]);
    let target = json!({ "MountTargetId": "fsmt-0a1b2c3d4e5f60718" });
    local.region.call("elasticfilesystem", "DeleteMountTarget", target).await.unwrap();
    assert_eq!(told(&local).await, ["open problem", "zones problem", "nfs problem"]);
    let absent = local.api.get("/v1/sites/none/check").await.unwrap();
    assert_eq!(absent.status, 404);
    local.close().await;
}

/// What the check finds amiss, as `code state`.
async fn told(local: &LocalRegion) -> Vec<String> {
    let check =
        local.api.get("/v1/sites/blog/check").await.expect("the API answers").taken("check").expect("it is checked");
    let findings = check["findings"].as_array().expect("there are findings");
    let problem = findings.iter().any(|finding| finding["state"] == "problem");
    assert_eq!(check["ok"], json!(!problem), "{check}");
    for finding in findings.iter().filter(|finding| finding["state"] == "problem") {
        assert_ne!(finding["fix"], json!(""), "{finding}");
    }
    let amiss = findings.iter().filter(|finding| finding["state"] != "ok");
    amiss.map(|finding| format!("{} {}", plain(&finding["code"]), plain(&finding["state"]))).collect()
}

fn plain(value: &Value) -> &str {
    value.as_str().expect("a text")
}
