//! Services of which little is called: SQS, CloudWatch, EFS.
//!
//! - <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html>
//! - <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html>
//! - <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticfilesystem.html>

use serde_json::Value;

use super::Lookup;
use crate::{
    iam::request::{Request, arn},
    input::text,
};

/// Batches need the permission of their single operation. What event source mappings do, Lambda does by managed
/// policies that AWS SAM adds.
pub(super) fn sqs(operation: &str, input: &Value) -> Option<Vec<Request>> {
    let action = match operation {
        "SendMessage" | "SendMessageBatch" => "sqs:SendMessage",
        "GetQueueAttributes" => "sqs:GetQueueAttributes",
        _ => return None,
    };
    let queue = text(input, "QueueUrl")?.rsplit('/').next().unwrap_or_default();
    Some(vec![Request::new(action, arn("sqs", "", queue))])
}

pub(super) fn cloudwatch(operation: &str, input: &Value) -> Option<Vec<Request>> {
    let request = Request::new(format!("cloudwatch:{operation}"), "*");
    match operation {
        "GetMetricData" | "GetMetricStatistics" | "ListMetrics" => Some(vec![request]),
        "PutMetricData" => Some(vec![request.with("cloudwatch:namespace", text(input, "Namespace"))]),
        _ => None,
    }
}

pub(super) fn efs(operation: &str, input: &Value, find: Lookup<'_>) -> Option<Vec<Request>> {
    let action = format!("elasticfilesystem:{operation}");
    let file_system = text(input, "FileSystemId").map(|id| arn("elasticfilesystem", "file-system/", id));
    match operation {
        // Without an id it is asked about all file systems.
        "DescribeFileSystems" => Some(vec![Request::new(action, file_system.unwrap_or_else(|| "*".to_owned()))]),
        "DescribeMountTargets" | "DescribeFileSystemPolicy" => Some(vec![Request::new(action, file_system?)]),
        // A mount target is no resource of its own: its file system is asked about.
        "DescribeMountTargetSecurityGroups" => {
            let target = text(input, "MountTargetId")?;
            let system =
                find("elasticfilesystem", target).and_then(|found| Some(found["FileSystemId"].as_str()?.to_owned()));
            Some(vec![Request::new(action, arn("elasticfilesystem", "file-system/", &system.unwrap_or_default()))])
        }
        "DescribeAccessPoints" => {
            let point = text(input, "AccessPointId").map(|id| arn("elasticfilesystem", "access-point/", id));
            Some(vec![Request::new(action, point.or(file_system)?)])
        }
        _ => None,
    }
}
