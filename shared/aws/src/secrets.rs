//! Secrets Manager: the private host keys, by name. A secret's text is held by a type that prints as redacted.

use std::fmt;

use aws_sdk_secretsmanager::Client;

use crate::{
    OnFirstUse,
    error::{AwsError, Kind},
};

/// How long a deleted secret can be brought back.
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html>
const RECOVERY_DAYS: i64 = 7;

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

    /// Reads the secret `name`. One that is scheduled for deletion is restored first.
    ///
    /// # Errors
    /// When Secrets Manager fails or refuses.
    pub async fn get(&self, name: &str) -> Result<Option<Secret>, AwsError> {
        match self.read(name).await {
            Err(error) if is_scheduled(&error) => {
                self.restore(name).await?;
                self.read(name).await
            }
            other => other,
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Secret>, AwsError> {
        let answer = self.client.get_secret_value().secret_id(name).send().await;
        match answer.map_err(|error| AwsError::sort(format!("read secret {name}"), error)) {
            Ok(answer) => Ok(answer.secret_string.map(Secret)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn restore(&self, name: &str) -> Result<(), AwsError> {
        let answer = self.client.restore_secret().secret_id(name).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("restore secret {name}"), error))
    }

    /// Creates the secret `name`. The SDK can safely repeat the call: it carries a request token.
    ///
    /// # Errors
    /// [`Kind::Exists`] when the secret exists: read it.
    pub async fn create(&self, name: &str, description: &str, secret: &Secret) -> Result<(), AwsError> {
        let answer =
            self.client.create_secret().name(name).description(description).secret_string(secret.reveal()).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("create secret {name}"), error))
    }

    /// Deletes the secret `name`, which can be restored for a week. Succeeds if it does not exist.
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
