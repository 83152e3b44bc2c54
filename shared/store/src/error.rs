//! Why a call to the table failed.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::item::Unreadable;

/// Why a call to the table failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The condition did not hold: another writer came first. Read again and decide again.
    #[error("the item was changed by another writer")]
    Conflict,
    /// DynamoDB refused the call.
    #[error("DynamoDB could not {what}")]
    Table {
        /// What was attempted.
        what: &'static str,
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DynamoDB throttled, failed temporarily or did not answer: the call may or may not have taken effect, and may
    /// succeed later.
    #[error("DynamoDB was too busy to {what}")]
    Busy {
        /// What was attempted.
        what: &'static str,
        /// Its answer, or why there was none.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This version can't read the item.
    #[error("an item of the table can't be read: {0}")]
    Unreadable(Box<Unreadable>),
    /// A value can't be represented in DynamoDB.
    #[error("a value can't be written to the table")]
    Form(#[from] serde_dynamo::Error),
}

/// Converts the error of a call that attempted `what`.
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
