//! A service or a role that nobody has opened is not rolled out, and the site says how to open it.

use serde_json::{Value, json};
use wharfinger_region::seed;

use crate::support::{LocalRegion, blog, brisk, server};

const SERVICE: &str = "arn:aws:ecs:us-east-1:000000000000:service/local/web";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_open_is_rolled_out_once_its_tag_is_set() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let untag = json!({ "resourceArn": SERVICE, "tagKeys": ["wharfinger:allow"] });
    local.region.call("ecs", "UntagResource", untag).await.unwrap();
    let alice = local.log_in().await;
    alice.put("index.html", b"one").await.unwrap();
    let told = condition(&local, "service_closed").await;
    let remedy = told["remedy"].as_str().unwrap();
    let command = format!("aws ecs tag-resource --resource-arn {SERVICE} --tags key=wharfinger:allow,value=true");
    assert!(remedy.contains(&command), "{remedy}");
    assert!(!local.page("/").await.contains("one"));

    let tag = json!({ "resourceArn": SERVICE, "tags": [{ "key": "wharfinger:allow", "value": "true" }] });
    local.region.call("ecs", "TagResource", tag).await.unwrap();
    alice.put("index.html", b"two").await.unwrap();
    local
        .until("it is rolled out", || async {
            Ok(local.rollouts().await?.first().filter(|newest| newest["state"] == "succeeded").cloned())
        })
        .await;
    assert!(local.page("/").await.contains("two"));
    let site = local.api.get("/v1/sites/blog").await.unwrap().taken("site").unwrap();
    assert_eq!(site["status"]["conditions"], json!([]), "what is open is told no more");
    alice.log_out().await.unwrap();
    local.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_open_is_not_handed_to_tasks() {
    let local = LocalRegion::ready(brisk(), &server(None), &blog("1s")).await;
    let container = json!({ "name": "web", "image": "httpd:2.4", "essential": true });
    let definition = json!({
        "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
        "memory": "512", "taskRoleArn": "arn:aws:iam::000000000000:role/administrator",
        "containerDefinitions": [container],
    });
    local.region.call("ecs", "RegisterTaskDefinition", definition).await.unwrap();
    let update = json!({ "cluster": seed::CLUSTER, "service": seed::SERVICE, "taskDefinition": "web" });
    local.region.call("ecs", "UpdateService", update).await.unwrap();
    let alice = local.log_in().await;
    alice.put("index.html", b"one").await.unwrap();
    let told = condition(&local, "role_closed").await;
    assert!(told["remedy"].as_str().unwrap().contains("administrator"), "{told}");
    assert!(told["remedy"].as_str().unwrap().contains("TaskRoles"), "{told}");
    alice.log_out().await.unwrap();
    local.close().await;
}

/// The site's condition of this code, once it is told.
async fn condition(local: &LocalRegion, code: &str) -> Value {
    local
        .until(code, || async {
            let site = local.api.get("/v1/sites/blog").await?.taken("site")?;
            let conditions = site["status"]["conditions"].as_array().cloned().unwrap_or_default();
            Ok(conditions.into_iter().find(|condition| condition["code"] == code))
        })
        .await
}
