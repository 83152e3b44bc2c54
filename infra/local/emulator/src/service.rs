//! What the AWS endpoint asks of a service: answer one operation, and be kept over a restart.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::AwsError;

/// One AWS service of the region. Input and output are the members of the operation's shapes in AWS's JSON form
/// (names as in AWS's models, timestamps in epoch seconds, blobs in base64); the wire protocol is the front's matter.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// The service's name in a SigV4 credential scope, e.g. `transfer`. Also the name of its saved state.
    fn name(&self) -> &'static str;

    /// Answers one operation.
    ///
    /// # Errors
    /// AWS's own error for what is wrong with the call.
    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError>;

    /// Answers one operation as [`Self::call`] does, and lets what it has begun fail afterwards: a server that is to
    /// start ends in START_FAILED, say. An operation that is done when it is answered is just answered.
    ///
    /// # Errors
    /// AWS's own error for what is wrong with the call.
    async fn call_to_fail(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        self.call(operation, input).await
    }

    /// The resource that `id` (an ARN, or another name that the service takes) means, as the service describes it, with
    /// its tags. Conditions of policies are evaluated against it.
    fn resource(&self, _id: &str) -> Option<Value> {
        None
    }

    /// Everything that a restart must find again.
    fn snapshot(&self) -> Value;

    /// Lets go of what it holds outside of memory, such as ports, when the region ends.
    async fn close(&self) {}
}

/// A saved state that its service can't read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the saved state of {service} can't be read: give an empty directory with --data, or mend state/{service}.json"
)]
pub struct Unreadable {
    service: &'static str,
    #[source]
    source: serde_json::Error,
}

/// Takes up a [`Service::snapshot`]; without one the service begins empty.
///
/// # Errors
/// When it is not what the service writes. Beginning empty then would lose what is kept.
pub fn restore<T: DeserializeOwned + Default>(service: &'static str, saved: Option<Value>) -> Result<T, Unreadable> {
    let restored = saved.map(serde_json::from_value).transpose();
    Ok(restored.map_err(|source| Unreadable { service, source })?.unwrap_or_default())
}
