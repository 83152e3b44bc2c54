//! Host keys of servers and public keys of users: what AWS takes, how it names and shows them.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use russh::keys::{
    Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey, decode_secret_key, key::safe_rng, ssh_key::LineEnding,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Transfer,
    page::page,
    state::{Tags, exists, invalid, read_tags, show_tags, text, unknown},
};
use crate::{error::AwsError, ids::random_id};

/// Host keys a server can have (AWS's quota).
const HOST_KEYS: usize = 10;

/// Public keys a user can have. AWS's pages say 5, 10 and 50; its service quotas say 10.
const USER_KEYS: usize = 10;

/// A private key in OpenSSH's format; it never prints.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Secret(String);

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
    secret: Secret,
}

/// A public key of a user.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct UserKey {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) imported: f64,
}

impl HostKey {
    /// The key of a PEM or OpenSSH text, which may be RSA, ECDSA or ED25519, without a passphrase.
    pub(super) fn parse(body: &str, now: f64) -> Result<Self, AwsError> {
        let refused = || invalid("Unsupported or invalid SSH private key format");
        let key = decode_secret_key(body, None).map_err(|_| refused())?;
        match key.algorithm() {
            Algorithm::Rsa { .. } | Algorithm::Ecdsa { .. } | Algorithm::Ed25519 => Self::new(&key, now),
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
        });
        shown[if listed { "Fingerprint" } else { "HostKeyFingerprint" }] = self.fingerprint.clone().into();
        if !listed {
            shown["Tags"] = show_tags(&self.tags);
        }
        shown
    }
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

impl UserKey {
    /// The key of one line in OpenSSH's `authorized_keys` form without options.
    pub(super) fn parse(body: &str, now: f64) -> Result<Self, AwsError> {
        let refused = || invalid("Unsupported or invalid SSH public key format");
        let key = PublicKey::from_openssh(body.trim()).map_err(|_| refused())?;
        match key.algorithm() {
            Algorithm::Rsa { .. } | Algorithm::Ecdsa { .. } | Algorithm::Ed25519 => {}
            _ => return Err(refused()),
        }
        Ok(Self { id: random_id("key-"), body: body.trim().to_owned(), imported: now })
    }

    /// The key itself; none when a saved state was damaged.
    pub(super) fn public_key(&self) -> Option<PublicKey> {
        PublicKey::from_openssh(&self.body).ok()
    }

    /// `SshPublicKey`.
    pub(super) fn show(&self) -> Value {
        json!({ "SshPublicKeyId": self.id, "SshPublicKeyBody": self.body, "DateImported": self.imported })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.public_key().map(|key| key.key_data().clone()) == other.public_key().map(|key| key.key_data().clone())
    }
}

impl Transfer {
    pub(super) fn import_public_key(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let key = UserKey::parse(text(input, "SshPublicKeyBody"), self.context.clock.epoch_seconds())?;
        let mut state = self.state();
        let user = state.server_mut(text(input, "ServerId"))?.user_mut(text(input, "UserName"))?;
        if user.keys.iter().any(|known| known.is_same(&key)) {
            return Err(exists("SshPublicKey", &user.name, "SSH public key already exists for this user"));
        }
        if user.keys.len() >= USER_KEYS {
            return Err(invalid(format!(
                "The user already has {USER_KEYS} SSH public keys, the most that a user can have"
            )));
        }
        let id = key.id.clone();
        user.keys.push(key);
        Ok(json!({ "ServerId": input["ServerId"], "SshPublicKeyId": id, "UserName": input["UserName"] }))
    }

    pub(super) fn delete_public_key(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let id = text(input, "SshPublicKeyId");
        let mut state = self.state();
        let user = state.server_mut(text(input, "ServerId"))?.user_mut(text(input, "UserName"))?;
        let before = user.keys.len();
        user.keys.retain(|key| key.id != id);
        if user.keys.len() == before { Err(unknown("SshPublicKey", id)) } else { Ok(Value::Null) }
    }

    pub(super) fn import_host_key(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
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
        let id = key.id.clone();
        server.host_keys.push(key);
        Ok(json!({ "ServerId": server.id, "HostKeyId": id }))
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
}
