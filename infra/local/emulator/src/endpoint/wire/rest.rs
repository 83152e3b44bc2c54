//! restJson, as EFS speaks it: the operation is in the method and the path.

use bytes::Bytes;
use http::{Response, request::Parts};
use serde_json::{Map, Value};

use super::{malformed, query, response};
use crate::error::AwsError;

/// EFS's operations: method, path below `/2015-02-01`, name, status of success. Of the paths that match, the first
/// is meant. From the EFS API model.
const ROUTES: [(&str, &str, &str, u16); 17] = [
    ("POST", "file-systems", "CreateFileSystem", 201),
    ("GET", "file-systems", "DescribeFileSystems", 200),
    ("GET", "file-systems/replication-configurations", "DescribeReplicationConfigurations", 200),
    ("PUT", "file-systems/{FileSystemId}", "UpdateFileSystem", 202),
    ("DELETE", "file-systems/{FileSystemId}", "DeleteFileSystem", 204),
    ("GET", "file-systems/{FileSystemId}/policy", "DescribeFileSystemPolicy", 200),
    ("POST", "mount-targets", "CreateMountTarget", 200),
    ("GET", "mount-targets", "DescribeMountTargets", 200),
    ("DELETE", "mount-targets/{MountTargetId}", "DeleteMountTarget", 204),
    ("GET", "mount-targets/{MountTargetId}/security-groups", "DescribeMountTargetSecurityGroups", 200),
    ("POST", "access-points", "CreateAccessPoint", 200),
    ("GET", "access-points", "DescribeAccessPoints", 200),
    ("DELETE", "access-points/{AccessPointId}", "DeleteAccessPoint", 204),
    ("POST", "resource-tags/{ResourceId}", "TagResource", 200),
    ("GET", "resource-tags/{ResourceId}", "ListTagsForResource", 200),
    ("DELETE", "resource-tags/{ResourceId}", "UntagResource", 200),
    ("GET", "account-preferences", "DescribeAccountPreferences", 200),
];

const SERVICE: &str = "elasticfilesystem";

pub(super) fn decode(head: &Parts, body: &Bytes) -> Result<(String, String, Value), AwsError> {
    let path = head.uri.path().trim_matches('/');
    let Some((operation, labels)) = path.strip_prefix("2015-02-01/").and_then(|path| route(head.method.as_str(), path))
    else {
        let message = format!("EFS has no operation at {} {} in this region", head.method, head.uri.path());
        return Err(AwsError::client("UnknownOperationException", message).with_status(404));
    };
    let mut input: Map<String, Value> = if body.is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(body).map_err(|why| malformed(why).with_status(400))?
    };
    let mut tag_keys: Vec<Value> = Vec::new();
    for (key, text) in query::pairs(head.uri.query().unwrap_or_default().as_bytes()) {
        if key == "tagKeys" {
            tag_keys.push(text.into());
        } else if let ("MaxItems" | "MaxResults", Ok(number)) = (key.as_str(), text.parse::<u64>()) {
            input.insert(key, number.into());
        } else {
            input.insert(key, text.into());
        }
    }
    if !tag_keys.is_empty() {
        input.insert("TagKeys".to_owned(), tag_keys.into());
    }
    input.extend(labels);
    Ok((SERVICE.to_owned(), operation.to_owned(), Value::Object(input)))
}

fn route(method: &str, path: &str) -> Option<(&'static str, Map<String, Value>)> {
    ROUTES.iter().filter(|(known, ..)| *known == method).find_map(|(_, pattern, operation, _)| {
        let mut labels = Map::new();
        let mut parts = path.split('/');
        for expected in pattern.split('/') {
            let part = parts.next()?;
            match expected.strip_prefix('{').and_then(|label| label.strip_suffix('}')) {
                Some(label) => {
                    // A resource may be named by its ARN, which the SDKs escape.
                    let (text, _) = query::pairs(part.as_bytes()).pop()?;
                    labels.insert(label.to_owned(), text.into());
                }
                None if expected == part => {}
                None => return None,
            }
        }
        parts.next().is_none().then_some((*operation, labels))
    })
}

pub(super) fn encode(operation: &str, answer: Result<Value, AwsError>) -> Response<Bytes> {
    match answer {
        Ok(output) => {
            let known = ROUTES.iter().find(|(_, _, known, _)| *known == operation);
            let status = known.map_or(200, |(.., status)| *status);
            let body = if status == 204 || output.is_null() { String::new() } else { output.to_string() };
            response(status, "application/json", &[], body)
        }
        Err(error) => {
            let mut body = Map::new();
            body.insert("ErrorCode".to_owned(), error.code.clone().into());
            body.insert("Message".to_owned(), error.message.clone().into());
            body.extend(error.members.clone());
            let headers = [("x-amzn-errortype", error.code)];
            response(error.status, "application/json", &headers, Value::Object(body).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_operation_and_resource() {
        let (operation, labels) = route("GET", "mount-targets/fsmt-1/security-groups").unwrap();
        assert_eq!(operation, "DescribeMountTargetSecurityGroups");
        assert_eq!(labels["MountTargetId"], "fsmt-1");
        let (operation, labels) = route("GET", "resource-tags/arn%3Aaws%3Aefs").unwrap();
        assert_eq!((operation, labels["ResourceId"].as_str()), ("ListTagsForResource", Some("arn:aws:efs")));
        assert_eq!(route("GET", "file-systems/fs-1/nothing"), None);
    }
}
