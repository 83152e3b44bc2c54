//! A failed AWS call, by what the caller can do about it.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {kind}")]
pub struct AwsError {
    /// What was tried, on which resource: `stop server s-0123`.
    pub action: String,
    /// What can be done.
    pub kind: Kind,
    /// The SDK's error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What can be done about a failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// The thing is not there.
    #[error("AWS does not know it")]
    NotFound,
    /// The thing is there already.
    #[error("it exists already")]
    Exists,
    /// AWS is busy with it or throttles: try again later.
    #[error("AWS is not ready for it: {0}")]
    Busy(String),
    /// AWS refuses it as it was asked: only a changed request can succeed.
    #[error("AWS refuses it: {code}: {message}")]
    Refused {
        /// AWS's code.
        code: String,
        /// AWS's sentence.
        message: String,
    },
    /// No answer, or one that says nothing about the request: it may or may not have been done.
    #[error("no usable answer: {0}")]
    Unanswered(String),
}

impl AwsError {
    /// Sorts the SDK's error for `action`.
    pub fn sort<E, R>(action: impl Into<String>, error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        let kind = match error.as_service_error() {
            Some(service) => sort_code(service.code().unwrap_or_default(), service.message().unwrap_or_default()),
            None => Kind::Unanswered(error.to_string()),
        };
        Self { action: action.into(), kind, source: Some(Box::new(error)) }
    }

    /// Whether the thing is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Whether the thing is there already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.kind == Kind::Exists
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, Kind::Busy(_) | Kind::Unanswered(_))
    }
}

fn sort_code(code: &str, message: &str) -> Kind {
    let sentence = if message.is_empty() { code } else { message };
    match code {
        "" => Kind::Unanswered(sentence.to_owned()),
        "ClusterNotFoundException" | "ServiceNotFoundException" => Kind::NotFound,
        _ if code.ends_with(".NotFound") || code.contains("ResourceNotFound") || code.ends_with("NotFound") => {
            Kind::NotFound
        }
        _ if code.contains("ResourceExists") || code.ends_with("AlreadyExists") || code.ends_with(".Duplicate") => {
            Kind::Exists
        }
        // StopServer and DeleteServer say InvalidRequestException for what only takes time.
        "InvalidRequestException" if message.contains("Unable to delete VPC endpoint") => {
            Kind::Busy(sentence.to_owned())
        }
        // Two revisions of one family registered at the same moment.
        "ClientException" if message.contains("concurrent") => Kind::Busy(sentence.to_owned()),
        "ConflictException"
        | "UpdateInProgressException"
        | "InternalServiceError"
        | "InternalServerError"
        | "InternalFailure"
        | "ServerException"
        | "ServiceUnavailableException" => Kind::Busy(sentence.to_owned()),
        _ if code.contains("Throttl") || code.contains("RequestLimitExceeded") || code.contains("TooManyRequests") => {
            Kind::Busy(sentence.to_owned())
        }
        _ => Kind::Refused { code: code.to_owned(), message: message.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_can_be_done() {
        assert_eq!(sort_code("ResourceNotFoundException", ""), Kind::NotFound);
        assert_eq!(sort_code("InvalidGroup.NotFound", ""), Kind::NotFound);
        assert_eq!(sort_code("FileSystemNotFound", ""), Kind::NotFound);
        assert_eq!(sort_code("ResourceExistsException", ""), Kind::Exists);
        assert_eq!(sort_code("InvalidPermission.Duplicate", ""), Kind::Exists);
        for busy in [
            "ThrottlingException",
            "Throttling",
            "ConflictException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
        ] {
            assert!(matches!(sort_code(busy, "x"), Kind::Busy(_)), "{busy}");
        }
        assert!(matches!(sort_code("InvalidRequestException", "Unable to delete VPC endpoint"), Kind::Busy(_)));
        assert!(matches!(sort_code("InvalidRequestException", "bad"), Kind::Refused { .. }));
        assert!(matches!(sort_code("", "timeout"), Kind::Unanswered(_)));
    }
}
