//! What may stand between the endpoint and its services: calls that are slow, refused or answered otherwise.

use async_trait::async_trait;
use serde_json::Value;

use super::wire::Call;
use crate::{error::AwsError, service::Service};

/// Answers calls in place of their service, with its help. A call comes here once its role allows it.
#[async_trait]
pub trait Between: Send + Sync + 'static {
    /// Answers `call`, which is meant for `service`.
    ///
    /// # Errors
    /// The service's error, or one of its own.
    async fn call(&self, call: Call, service: &dyn Service) -> Result<Value, AwsError>;
}
