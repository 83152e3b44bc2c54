//! Transfer Family's host keys. A server has up to ten, and shows clients the oldest of each algorithm.

use wharfinger_decisions::rebuild::HostKey;

use super::{Transfer, fingerprint};
use crate::{error::AwsError, secrets::Secret};

impl Transfer {
    /// The host keys of a server.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn host_keys(&self, server_id: &str) -> Result<Vec<HostKey>, AwsError> {
        let action = || format!("list the host keys of server {server_id}");
        let (mut keys, mut next) = (Vec::new(), None);
        // The SDK has no paginator for this operation.
        loop {
            let page = self.client.list_host_keys().server_id(server_id).set_next_token(next).send().await;
            let page = page.map_err(|error| AwsError::sort(action(), error))?;
            keys.extend(page.host_keys().iter().map(|key| HostKey {
                id: key.host_key_id().unwrap_or_default().to_owned(),
                algorithm: key.r#type().unwrap_or_default().to_owned(),
                fingerprint: key.fingerprint().map(fingerprint).unwrap_or_default(),
            }));
            next = page.next_token;
            if next.is_none() {
                return Ok(keys);
            }
        }
    }

    /// Adds a private key, in PEM or OpenSSH's form, to a server's host keys. Succeeds if the server has it already.
    ///
    /// # Errors
    /// When AWS fails, or refuses, as it does for an eleventh key.
    pub async fn import_host_key(&self, server_id: &str, host_key: &Secret, description: &str) -> Result<(), AwsError> {
        let call = self.client.import_host_key().server_id(server_id).host_key_body(host_key.reveal());
        let answer = call.description(description).send().await;
        match answer.map_err(|error| AwsError::sort(format!("import a host key into server {server_id}"), error)) {
            Err(error) if !error.is_exists() => Err(error),
            _ => Ok(()),
        }
    }
}
