//! Why the table did not do what was asked.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::item::Unreadable;

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The item is not as the caller took it to be: another writer was there first. Read again and decide anew.
    #[error("the item was changed by another writer")]
    Conflict,
    /// DynamoDB did not answer or refused.
    #[error("DynamoDB could not {what}")]
    Table {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB throttles, failed for a moment or did not answer: the call may or may not have been done, and the same
    /// call can succeed later.
    #[error("DynamoDB was too busy to {what}")]
    Busy {
        /// What was tried.
        what: &'static str,
        /// Its answer, or why there was none.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The item is of a form that this version does not know.
    #[error("an item of the table can't be read: {0}")]
    Unreadable(Box<Unreadable>),
    /// A value has no form in DynamoDB.
    #[error("a value can't be written to the table")]
    Form(#[from] serde_dynamo::Error),
}

/// A failed call: a conflict where a condition did not hold, else the cause under what was tried.
pub fn table_error<E, R>(what: &'static str, error: SdkError<E, R>) -> StoreError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    // An item in the midst of another writer's transaction is as good as changed.
    if matches!(error.code(), Some("ConditionalCheckFailedException" | "TransactionConflictException")) {
        return StoreError::Conflict;
    }
    if is_temporary(&error) {
        return StoreError::Busy { what, source: Box::new(error) };
    }
    StoreError::Table { what, source: Box::new(error) }
}

/// Whether the same call can succeed later.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
fn is_temporary<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    const CODES: [&str; 8] = [
        "InternalServerError",
        "InternalFailure",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionInProgressException",
    ];
    match error {
        SdkError::ServiceError(answer) => answer.err().code().is_some_and(|code| CODES.contains(&code)),
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        _ => false,
    }
}
