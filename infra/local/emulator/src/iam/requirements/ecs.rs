//! ECS: services and their deployments have resource-level permissions, of the actions on task definitions only
//! registering has them, and a revision's roles are passed. A service bears its tags.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html>

use serde_json::Value;

use super::{Lookup, on, pass_role};
use crate::{
    iam::request::{Request, arn},
    input::{list, text, texts},
};

const TASKS: &str = "ecs-tasks.amazonaws.com";

pub(super) fn requests(operation: &str, input: &Value, find: Lookup<'_>) -> Option<Vec<Request>> {
    let action = format!("ecs:{operation}");
    Some(match operation {
        "DeregisterTaskDefinition" | "DescribeTaskDefinition" | "ListTaskDefinitions" => {
            vec![Request::new(action, "*")]
        }
        "RegisterTaskDefinition" => register(action, input),
        "DescribeServices" => {
            texts(input, "services").iter().map(|service| on_service(action.clone(), input, service, find)).collect()
        }
        "ListServiceDeployments" => vec![on_service(action, input, text(input, "service")?, find)],
        "DescribeServiceDeployments" => on_each(&action, &texts(input, "serviceDeploymentArns")),
        "DescribeServiceRevisions" => on_each(&action, &texts(input, "serviceRevisionArns")),
        "StopServiceDeployment" | "ContinueServiceDeployment" => {
            on_each(&action, &[text(input, "serviceDeploymentArn")?.to_owned()])
        }
        "UpdateService" => {
            let definition = text(input, "taskDefinition");
            let definition = definition.map(|name| arn("ecs", "task-definition/", name));
            vec![on_service(action, input, text(input, "service")?, find).with("ecs:task-definition", definition)]
        }
        "ListTagsForResource" => vec![Request::new(action, text(input, "resourceArn")?)],
        "TagResource" => vec![Request::new(action, text(input, "resourceArn")?).giving(&input["tags"])],
        _ => return None,
    })
}

/// A service named by name or ARN, in a cluster named so; the cluster `default` where none is named.
fn on_service(action: String, input: &Value, service: &str, find: Lookup<'_>) -> Request {
    let cluster = arn("ecs", "cluster/", text(input, "cluster").unwrap_or("default"));
    let name = cluster.rsplit('/').next().unwrap_or_default().to_owned();
    on(action, &arn("ecs", &format!("service/{name}/"), service), find).with("ecs:cluster", [cluster])
}

/// Service deployments and revisions, by ARN. They are named after their service, and bear no tags of it.
fn on_each(action: &str, arns: &[String]) -> Vec<Request> {
    arns.iter().map(|arn| Request::new(action, arn.clone())).collect()
}

fn register(action: String, input: &Value) -> Vec<Request> {
    // The revision has no number yet.
    let family = format!("{}:*", text(input, "family").unwrap_or_default());
    let revision = arn("ecs", "task-definition/", &family);
    let mut requests = vec![Request::new(action, revision.clone()).giving(&input["tags"])];
    if !list(input, "tags").is_empty() {
        let tagging = Request::new("ecs:TagResource", revision);
        requests.push(tagging.giving(&input["tags"]).with("ecs:CreateAction", ["RegisterTaskDefinition"]));
    }
    let roles = ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|member| text(input, member));
    requests.extend(roles.map(|role| pass_role(role, TASKS)));
    requests
}
