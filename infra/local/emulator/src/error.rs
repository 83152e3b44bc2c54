//! An error as AWS answers it: HTTP status, code, message, and further members of the error's shape.

use std::fmt;

use serde_json::{Map, Value};

/// An AWS error answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AwsError {
    /// The HTTP status.
    pub status: u16,
    /// AWS's code, e.g. `ResourceNotFoundException`.
    pub code: String,
    /// What AWS says to a person.
    pub message: String,
    /// Further members of the error's shape, e.g. `Resource`.
    pub members: Map<String, Value>,
}

impl AwsError {
    /// An error that the caller made: HTTP 400.
    pub fn client(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.into(), message: message.into(), members: Map::new() }
    }

    /// The same error with another HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same error with a further member.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// AWS's answer to an operation that the service does not have.
    #[must_use]
    pub fn unknown_operation(service: &str, operation: &str) -> Self {
        Self::client("UnknownOperationException", format!("{service} has no operation {operation} in this region"))
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for AwsError {}
