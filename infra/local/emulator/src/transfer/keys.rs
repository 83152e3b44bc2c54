//! Public keys of users: what AWS takes, how it names and shows them.

use russh::keys::{Algorithm, PublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Transfer,
    state::{exists, invalid, text, unknown},
};
use crate::{error::AwsError, ids::random_id};

/// Public keys a user can have. AWS's pages say 5, 10 and 50; its service quotas say 10.
const USER_KEYS: usize = 10;

/// A public key of a user.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct UserKey {
    pub(super) id: String,
    pub(super) body: String,
    pub(super) imported: f64,
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
}
