//! Host keys of servers: what AWS takes, how it shows them, and where it stores them. A key that is stored in Secrets
//! Manager can be read there, whoever made it; AWS keeps it there until the key is stored
//! elsewhere, or it or its server is deleted.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use russh::keys::{
    Algorithm, EcdsaCurve, HashAlg, PrivateKey, decode_secret_key,
    key::safe_rng,
    ssh_key::{LineEnding, private::KeypairData},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Transfer,
    page::page,
    state::{Server, Tags, exists, invalid, read_tags, show_tags, text},
    tags::check_tags,
};
use crate::{error::AwsError, ids::random_id};

/// The storage type of a host key that is in a secret.
pub(super) const SECRETS_MANAGER: &str = "SECRETS_MANAGER";

/// Host keys a server can have (AWS's quota).
const HOST_KEYS: usize = 10;

/// The shortest modulus of an RSA key, in bytes.
const RSA_BYTES: usize = 256;

/// A private key in OpenSSH's format; it never prints.
#[derive(Clone, Serialize, Deserialize)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// A host key of a server.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct HostKey {
    pub(super) id: String,
    pub(super) fingerprint: String,
    pub(super) algorithm: String,
    pub(super) description: String,
    pub(super) imported: f64,
    pub(super) tags: Tags,
    /// The ARN of the secret that stores the key; none while the service does.
    #[serde(default)]
    pub(super) secret_arn: Option<String>,
    secret: Secret,
}

impl HostKey {
    /// The key of a PEM or OpenSSH text, which may be RSA, ECDSA or ED25519, without a passphrase.
    pub(super) fn parse(body: &str, now: f64) -> Result<Self, AwsError> {
        let refused = || invalid("Unsupported or invalid SSH private key format");
        let key = decode_secret_key(body, None).map_err(|_| refused())?;
        let long = match key.key_data() {
            KeypairData::Rsa(pair) => {
                pair.public().n().as_positive_bytes().is_some_and(|modulus| modulus.len() >= RSA_BYTES)
            }
            _ => true,
        };
        match key.algorithm() {
            Algorithm::Rsa { .. } | Algorithm::Ecdsa { .. } | Algorithm::Ed25519 if long => Self::new(&key, now),
            _ => Err(refused()),
        }
    }

    /// The keys that the service makes when it is given none.
    pub(super) fn generate(now: f64) -> Result<Vec<Self>, AwsError> {
        [Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }]
            .into_iter()
            .map(|algorithm| PrivateKey::random(&mut safe_rng(), algorithm).map_err(|error| broken(&error)))
            .map(|key| Self::new(&key?, now))
            .collect()
    }

    fn new(key: &PrivateKey, now: f64) -> Result<Self, AwsError> {
        let fingerprint = key.public_key().fingerprint(HashAlg::Sha256);
        Ok(Self {
            id: random_id("hostkey-"),
            fingerprint: format!("SHA256:{}", STANDARD.encode(fingerprint.as_bytes())),
            algorithm: algorithm_name(&key.algorithm()),
            description: String::new(),
            imported: now,
            tags: Tags::new(),
            secret_arn: None,
            secret: Secret(key.to_openssh(LineEnding::LF).map_err(|error| broken(&error))?.to_string()),
        })
    }

    /// The key to serve with; none when a saved state was damaged.
    pub(super) fn private_key(&self) -> Option<PrivateKey> {
        PrivateKey::from_openssh(&self.secret.0).ok()
    }

    fn arn(&self, transfer: &Transfer, server_id: &str) -> String {
        transfer.context.arn("transfer", &format!("host-key/{server_id}/{}", self.id))
    }

    /// `DescribedHostKey`, or `ListedHostKey` where the fingerprint has another name and tags are left out.
    fn show(&self, transfer: &Transfer, server_id: &str, listed: bool) -> Value {
        let mut shown = json!({
            "Arn": self.arn(transfer, server_id),
            "HostKeyId": self.id,
            "Description": self.description,
            "Type": self.algorithm,
            "DateImported": self.imported,
            "StorageType": if self.secret_arn.is_some() { SECRETS_MANAGER } else { "SERVICE_MANAGED" },
        });
        if let Some(arn) = &self.secret_arn {
            shown["SecretId"] = arn.clone().into();
        }
        shown[if listed { "Fingerprint" } else { "HostKeyFingerprint" }] = self.fingerprint.clone().into();
        if !listed {
            shown["Tags"] = show_tags(&self.tags);
        }
        shown
    }
}

impl Transfer {
    pub(super) fn import_host_key(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        refuse_kms_key(input)?;
        check_tags(&read_tags(input))?;
        let mut key = HostKey::parse(text(input, "HostKeyBody"), self.context.clock.epoch_seconds())?;
        text(input, "Description").clone_into(&mut key.description);
        key.tags = read_tags(input);
        let mut state = self.state();
        let server = state.server_mut(text(input, "ServerId"))?;
        if server.host_keys.iter().any(|known| known.fingerprint == key.fingerprint) {
            return Err(exists("HostKey", &key.fingerprint, "Host key already exists for this server"));
        }
        if server.host_keys.len() >= HOST_KEYS {
            return Err(invalid(format!(
                "The server already has {HOST_KEYS} host keys, the most that a server can have"
            )));
        }
        if text(input, "StorageType") == SECRETS_MANAGER {
            self.export_host_key(&server.id, &mut key);
        }
        let id = key.id.clone();
        server.host_keys.push(key);
        Ok(json!({ "ServerId": server.id, "HostKeyId": id }))
    }

    pub(super) fn describe_host_key(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let state = self.state();
        let server = state.server(text(input, "ServerId"))?;
        let key = server.host_key(text(input, "HostKeyId"))?;
        Ok(json!({ "HostKey": key.show(self, &server.id, false) }))
    }

    pub(super) fn list_host_keys(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let server_id = text(input, "ServerId");
        let state = self.state();
        let mut keys: Vec<&HostKey> = state.server(server_id)?.host_keys.iter().collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        let items = keys.iter().map(|key| (key.id.as_str(), key.show(self, server_id, true)));
        let mut answer = page(input, "HostKeys", items)?;
        answer.insert("ServerId".to_owned(), server_id.into());
        Ok(answer.into())
    }

    pub(super) fn update_host_key(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        refuse_kms_key(input)?;
        let mut state = self.state();
        let server = state.server_mut(text(input, "ServerId"))?;
        let server_id = server.id.clone();
        let key = server.host_key_mut(text(input, "HostKeyId"))?;
        if let Some(description) = input.get("Description").and_then(Value::as_str) {
            description.clone_into(&mut key.description);
        }
        match (text(input, "StorageType"), &key.secret_arn) {
            (SECRETS_MANAGER, None) => self.export_host_key(&server_id, key),
            ("SERVICE_MANAGED", Some(_)) => {
                self.forget_host_key(key);
                key.secret_arn = None;
            }
            _ => {}
        }
        Ok(json!({ "ServerId": server_id, "HostKeyId": key.id }))
    }

    pub(super) fn delete_host_key(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let id = text(input, "HostKeyId");
        let mut state = self.state();
        let server = state.server_mut(text(input, "ServerId"))?;
        let key = server.host_key(id)?.clone();
        if server.host_keys.len() == 1 {
            return Err(invalid("A server must have a host key: import another one before this one is deleted"));
        }
        server.host_keys.retain(|key| key.id != id);
        self.forget_host_key(&key);
        Ok(Value::Null)
    }

    /// UpdateServer's HostKey takes the place of the key of its algorithm that is in use.
    pub(super) fn replace_host_key(&self, server: &mut Server, mut key: HostKey) {
        match server.host_keys.iter_mut().find(|known| known.algorithm == key.algorithm) {
            Some(known) => {
                if known.secret_arn.is_some() {
                    self.forget_host_key(known);
                    self.export_host_key(&server.id, &mut key);
                }
                *known = key;
            }
            None => server.host_keys.insert(0, key),
        }
    }

    /// Stores a host key in a secret of the account.
    pub(super) fn export_host_key(&self, server_id: &str, key: &mut HostKey) {
        let name = format!("transfer!{server_id}-{}", key.id);
        key.secret_arn = Some(self.secrets.keep("transfer", &name, &key.secret.0));
    }

    /// Deletes the secret that stores a host key, if one does.
    pub(super) fn forget_host_key(&self, key: &HostKey) {
        if let Some(arn) = &key.secret_arn {
            self.secrets.forget(arn);
        }
    }
}

fn refuse_kms_key(input: &Map<String, Value>) -> Result<(), AwsError> {
    if input.contains_key("KmsKey") {
        return Err(invalid("This region has no KMS keys: KmsKey cannot be set"));
    }
    Ok(())
}

fn broken(error: &russh::keys::ssh_key::Error) -> AwsError {
    AwsError::client("InternalServiceError", error.to_string()).with_status(500)
}

/// AWS names RSA keys `ssh-rsa`, whatever hash they sign with.
fn algorithm_name(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Rsa { .. } => "ssh-rsa".to_owned(),
        other => other.as_str().to_owned(),
    }
}
