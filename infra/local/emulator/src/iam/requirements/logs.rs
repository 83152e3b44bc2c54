//! CloudWatch Logs: AWS evaluates reads of a log group against the ARN of a stream without a name, so that a policy must
//! name the group with `:*` at its end.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html>

use serde_json::Value;

use crate::{
    iam::request::{Request, arn},
    input::text,
};

pub(super) fn requests(operation: &str, input: &Value) -> Option<Vec<Request>> {
    let group = match operation {
        "DescribeLogGroups" => arn("logs", "log-group:", ""),
        "FilterLogEvents" => {
            let named = text(input, "logGroupName").or_else(|| text(input, "logGroupIdentifier"))?;
            arn("logs", "log-group:", named.strip_suffix(":*").unwrap_or(named))
        }
        _ => return None,
    };
    Some(vec![Request::new(format!("logs:{operation}"), format!("{group}:log-stream:"))])
}

/// What a service needs of its caller to deliver logs to a group.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-CWL.html>
pub(super) fn delivery() -> Vec<Request> {
    const ACTIONS: [&str; 8] = [
        "CreateLogDelivery",
        "DeleteLogDelivery",
        "DescribeLogGroups",
        "DescribeResourcePolicies",
        "GetLogDelivery",
        "ListLogDeliveries",
        "PutResourcePolicy",
        "UpdateLogDelivery",
    ];
    ACTIONS.iter().map(|action| Request::new(format!("logs:{action}"), "*")).collect()
}
