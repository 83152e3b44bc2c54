//! The answer to a call that a role's policies don't allow, in the service's own form.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>

use super::{Role, policy::Decision, request::Request};
use crate::error::AwsError;

/// What `service` answers when `role` may not do what `request` asks.
#[must_use]
pub fn answer(service: &str, role: &Role, request: &Request, decision: Decision) -> AwsError {
    let Request { action, resource, .. } = request;
    let because = match decision {
        Decision::Denied(_) => "with an explicit deny in an identity-based policy".to_owned(),
        _ => format!("because no identity-based policy allows the {action} action"),
    };
    let sentence =
        format!("User: {} is not authorized to perform: {action} on resource: {resource} {because}", role.session_arn);
    match service {
        "ec2" => {
            let message = format!("You are not authorized to perform this operation. {sentence}");
            AwsError::client("UnauthorizedOperation", message).with_status(403)
        }
        // The services that answered in XML once: their code is shorter.
        "sqs" | "monitoring" | "sts" => AwsError::client("AccessDenied", sentence).with_status(403),
        "elasticfilesystem" => AwsError::client("AccessDeniedException", sentence).with_status(403),
        _ => AwsError::client("AccessDeniedException", sentence),
    }
}

/// The answer to a call of a function whose permissions are not known here: refusing it keeps the proof whole.
#[must_use]
pub fn unknown(service: &str, operation: &str) -> AwsError {
    let message = format!(
        "The local region doesn't know which permissions {service}'s {operation} needs, so no function may call it: add it to iam/requirements"
    );
    AwsError::client("AccessDeniedException", message).with_status(403)
}
