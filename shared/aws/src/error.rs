//! A failed AWS call, by what the caller can do about it.

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A failed call.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {kind}")]
pub struct AwsError {
    /// What was tried, on which resource: `stop server s-0123`.
    pub action: String,
    /// What can be done about it. It holds AWS's message or the cause, so there is no `source`.
    pub kind: Kind,
}

/// What can be done about a failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// The resource does not exist.
    #[error("AWS does not know it")]
    NotFound,
    /// The resource exists already.
    #[error("it exists already")]
    Exists,
    /// AWS is working on the resource, or fails: retry later. The request may have taken effect.
    #[error("AWS is not ready for it: {0}")]
    Busy(String),
    /// AWS throttles: retry later. The request has no effect.
    #[error("AWS is not ready for it: {0}")]
    Throttled(String),
    /// AWS refuses the request: only a different one can succeed.
    #[error("AWS refuses it: {code}: {message}")]
    Refused {
        /// AWS's code.
        code: String,
        /// AWS's message.
        message: String,
    },
    /// No answer, or one that does not tell: the request may or may not have taken effect.
    #[error("no usable answer: {0}")]
    Unanswered(String),
}

impl AwsError {
    /// Classifies the SDK's error for `action`.
    pub fn sort<E>(action: impl Into<String>, error: SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let kind = match &error {
            SdkError::ServiceError(answer) => {
                let (code, message) = (answer.err().code().unwrap_or_default(), answer.err().message());
                match sort_code(code, message.unwrap_or_default()) {
                    Kind::Refused { code, message } if answer.raw().status().is_server_error() => {
                        Kind::Busy(if message.is_empty() { code } else { message })
                    }
                    kind => kind,
                }
            }
            _ => Kind::Unanswered(with_causes(&error)),
        };
        Self { action: action.into(), kind }
    }

    /// A sentence for people: what AWS answered, and what to do.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.kind {
            Kind::Busy(_) | Kind::Throttled(_) | Kind::Unanswered(_) => format!("waiting for AWS: {self}"),
            Kind::NotFound => format!("{self}: name one that exists in this account and Region"),
            Kind::Exists | Kind::Refused { .. } => {
                format!("{self}. It is tried again; change what was asked for, or what AWS objects to")
            }
        }
    }

    /// Whether the resource does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Whether the resource exists already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.kind == Kind::Exists
    }

    /// Whether a permission is missing.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(&self.kind, Kind::Refused { code, .. } if code.contains("AccessDenied") || code == "UnauthorizedOperation")
    }

    /// Whether AWS has done nothing, for certain.
    #[must_use]
    pub fn had_no_effect(&self) -> bool {
        !matches!(self.kind, Kind::Busy(_) | Kind::Unanswered(_))
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, Kind::Busy(_) | Kind::Throttled(_) | Kind::Unanswered(_))
    }
}

/// The messages of an error and its causes, in one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
        // The same call with credentials that are not worn out, which the SDK fetches, can succeed.
        "ConflictException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServiceError"
        | "RequestExpired"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ServerException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "Unavailable"
        | "UpdateInProgressException" => Kind::Busy(sentence.to_owned()),
        _ if code.contains("Throttl") || code.contains("RequestLimitExceeded") || code.contains("TooManyRequests") => {
            Kind::Throttled(sentence.to_owned())
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
        for throttled in ["ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException"] {
            assert!(matches!(sort_code(throttled, "x"), Kind::Throttled(_)), "{throttled}");
        }
        for busy in [
            "ConflictException",
            "ServiceUnavailable",
            "InternalFailure",
            "RequestTimeoutException",
            "ExpiredTokenException",
            "InternalError",
            "Unavailable",
        ] {
            assert!(matches!(sort_code(busy, "x"), Kind::Busy(_)), "{busy}");
        }
        assert!(matches!(sort_code("InvalidRequestException", "Unable to delete VPC endpoint"), Kind::Busy(_)));
        assert!(matches!(sort_code("InvalidRequestException", "bad"), Kind::Refused { .. }));
        assert!(matches!(sort_code("", "timeout"), Kind::Unanswered(_)));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("service error")]
    struct Answer(aws_smithy_types::error::ErrorMetadata);

    impl ProvideErrorMetadata for Answer {
        fn meta(&self) -> &aws_smithy_types::error::ErrorMetadata {
            &self.0
        }
    }

    fn answered(status: u16, code: &str) -> AwsError {
        let meta = aws_smithy_types::error::ErrorMetadata::builder().code(code).message("the sentence").build();
        let status = status.try_into().unwrap();
        AwsError::sort("try it", SdkError::service_error(Answer(meta), HttpResponse::new(status, "".into())))
    }

    #[test]
    fn whatever_a_server_error_is_called_it_is_temporary() {
        assert!(answered(500, "SomethingNew").is_temporary());
        assert!(answered(503, "SlowDown").is_temporary());
        assert!(!answered(400, "SomethingNew").is_temporary());
        assert!(answered(500, "ResourceNotFoundException").is_not_found());
    }

    #[test]
    fn a_cause_is_told_once() {
        use std::error::Error as _;
        let refused = answered(400, "Bad");
        assert_eq!(refused.to_string(), "try it: AWS refuses it: Bad: the sentence");
        assert!(refused.source().is_none());
        let timeout: SdkError<Answer, HttpResponse> = SdkError::timeout_error("after 3 s");
        let told = AwsError::sort("try it", timeout).to_string();
        assert_eq!(told.matches("after 3 s").count(), 1, "{told}");
    }
}
