//! Secrets Manager: the private host keys, by the names of their secrets and the staging labels of their versions. A
//! secret's text is held by a type that prints as redacted.

use std::fmt;

use aws_sdk_secretsmanager::Client;
use wharfinger_decisions::rebuild::SecretVersion;

use crate::{
    OnFirstUse,
    error::{AwsError, Kind},
};

/// How long a deleted secret can be brought back.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>
const RECOVERY_DAYS: i64 = 7;

/// The staging label of the version that whoever names none reads.
pub const CURRENT: &str = "AWSCURRENT";

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one call that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

/// The secrets of this account.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: OnFirstUse<Client>,
}

impl Secrets {
    /// The secrets that `client` reaches.
    #[must_use]
    pub fn new(client: OnFirstUse<Client>) -> Self {
        Self { client }
    }

    /// Reads a version of a secret: `None` if there is no such secret, or none of its versions has the label. A secret
    /// that is scheduled for deletion is restored first.
    ///
    /// # Errors
    /// When Secrets Manager fails or refuses.
    pub async fn get(&self, version: &SecretVersion) -> Result<Option<Secret>, AwsError> {
        match self.read(version).await {
            Err(error) if is_scheduled(&error) => {
                self.restore(&version.secret).await?;
                self.read(version).await
            }
            other => other,
        }
    }

    async fn read(&self, version: &SecretVersion) -> Result<Option<Secret>, AwsError> {
        let call = self.client.get_secret_value().secret_id(&version.secret).version_stage(&version.label);
        match call.send().await.map_err(|error| AwsError::sort(format!("read {version}"), error)) {
            Ok(answer) => Ok(answer.secret_string.map(Secret)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn restore(&self, name: &str) -> Result<(), AwsError> {
        let answer = self.client.restore_secret().secret_id(name).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("restore secret {name}"), error))
    }

    /// Creates the secret `name`, with `secret` as its current version. The SDK can safely repeat the call: it carries a
    /// request token.
    ///
    /// # Errors
    /// [`Kind::Exists`] when the secret exists: read it.
    pub async fn create(&self, name: &str, description: &str, secret: &Secret) -> Result<(), AwsError> {
        let answer =
            self.client.create_secret().name(name).description(description).secret_string(secret.reveal()).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("create secret {name}"), error))
    }

    /// Adds `secret` to a secret that exists as the version with the id `id`, and moves the label to it. No other version
    /// loses its value, and none but the label's last holder loses a label. The first version of a secret that has none
    /// becomes its current one too.
    ///
    /// AWS takes one value for an id, so that of several who add a version with the same id the first one wins. The SDK
    /// can safely repeat the call.
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html>
    ///
    /// # Errors
    /// [`Kind::Exists`] when there is or was such a version with another value, [`Kind::NotFound`] when there is no such
    /// secret.
    pub async fn add(&self, version: &SecretVersion, id: &str, secret: &Secret) -> Result<(), AwsError> {
        let call = self.client.put_secret_value().secret_id(&version.secret).client_request_token(id);
        let answer = call.version_stages(&version.label).secret_string(secret.reveal()).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("store {version}"), error))
    }

    /// Deletes the secret `name` with all its versions, which can be restored for a week. Succeeds if it does not exist.
    ///
    /// # Errors
    /// When Secrets Manager fails or refuses.
    pub async fn delete(&self, name: &str) -> Result<(), AwsError> {
        let answer = self.client.delete_secret().secret_id(name).recovery_window_in_days(RECOVERY_DAYS).send().await;
        match answer.map_err(|error| AwsError::sort(format!("delete secret {name}"), error)) {
            Err(error) if !error.is_not_found() && !is_scheduled(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether the secret is scheduled for deletion already.
fn is_scheduled(error: &AwsError) -> bool {
    matches!(&error.kind, Kind::Refused { code, message }
        if code == "InvalidRequestException" && message.contains("deletion"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_redacted() {
        assert_eq!(format!("{:?}", Secret::new("key".into())), "Secret(redacted)");
    }
}
