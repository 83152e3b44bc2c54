//! Secrets Manager: secrets by ARN, which ends in six characters of AWS's own once the secret is there.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html>

use serde_json::Value;

use super::Lookup;
use crate::{
    iam::request::{Request, arn},
    input::{list, text},
};

pub(super) fn requests(operation: &str, input: &Value, find: Lookup<'_>) -> Option<Vec<Request>> {
    let action = format!("secretsmanager:{operation}");
    Some(match operation {
        "CreateSecret" => {
            let name = text(input, "Name").unwrap_or_default();
            let resource = arn("secretsmanager", "secret:", name);
            let create = Request::new(action, &resource).giving(&input["Tags"]).with("secretsmanager:Name", [name]);
            let tagging = || Request::new("secretsmanager:TagResource", &resource).giving(&input["Tags"]);
            let tags = !list(input, "Tags").is_empty();
            std::iter::once(create).chain(tags.then(tagging)).collect()
        }
        "DeleteSecret" | "GetSecretValue" | "PutSecretValue" | "RestoreSecret" => {
            let id = text(input, "SecretId").unwrap_or_default();
            let found = find("secretsmanager", id).unwrap_or_default();
            let resource = text(&found, "ARN").map_or_else(|| arn("secretsmanager", "secret:", id), str::to_owned);
            vec![Request::new(action, resource).having(&found["Tags"])]
        }
        _ => return None,
    })
}
