//! The codes that errors had while their service spoke Query. Callers in Query get them, those in JSON and CBOR read
//! them in `x-amzn-query-error`, and entries of SQS's batches fail with them. From the services' API models.

/// The code in Query of an error that has `code` in JSON.
#[must_use]
pub fn query_code<'a>(service: &str, code: &'a str) -> &'a str {
    match (service, code) {
        ("sqs", "BatchEntryIdsNotDistinct") => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        ("sqs", "BatchRequestTooLong") => "AWS.SimpleQueueService.BatchRequestTooLong",
        ("sqs", "EmptyBatchRequest") => "AWS.SimpleQueueService.EmptyBatchRequest",
        ("sqs", "InvalidBatchEntryId") => "AWS.SimpleQueueService.InvalidBatchEntryId",
        ("sqs", "MessageNotInflight") => "AWS.SimpleQueueService.MessageNotInflight",
        ("sqs", "PurgeQueueInProgress") => "AWS.SimpleQueueService.PurgeQueueInProgress",
        ("sqs", "QueueDeletedRecently") => "AWS.SimpleQueueService.QueueDeletedRecently",
        ("sqs", "QueueDoesNotExist") => "AWS.SimpleQueueService.NonExistentQueue",
        ("sqs", "QueueNameExists") => "QueueAlreadyExists",
        ("sqs", "TooManyEntriesInBatchRequest") => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        ("sqs", "UnsupportedOperation") => "AWS.SimpleQueueService.UnsupportedOperation",
        ("monitoring", "InvalidParameterCombinationException") => "InvalidParameterCombination",
        ("monitoring", "ValidationException") => "ValidationError",
        ("sqs" | "monitoring", "InvalidParameterValueException") => "InvalidParameterValue",
        ("sqs" | "monitoring", "MissingRequiredParameterException") => "MissingParameter",
        (_, code) => code,
    }
}
