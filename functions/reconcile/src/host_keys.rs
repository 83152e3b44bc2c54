//! A server's private host keys, one of each algorithm. Wharfinger generates them: AWS can store a host key in Secrets
//! Manager, but deletes that secret with the server, and a rebuilt server must present the same keys to its clients.
//!
//! A server has one secret, which is what AWS bills, with a version for each key. A staging label holds each version: one
//! that has a label is never removed. The current version, `AWSCURRENT`, is one private key and nothing else, which is
//! what release 0.1 reads and hands to AWS.
//!
//! The fingerprint of each key is recorded before it is stored. A key that is found in the secret and was not made here is
//! not used, unless the server has it.

use std::collections::BTreeSet;

use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, PrivateKey, private::KeypairData};
use wharfinger_aws::{
    error::AwsError,
    secrets::{CURRENT, Secret},
};
use wharfinger_chance::Chance;
use wharfinger_decisions::{
    names::ServerName,
    rebuild::{FoundHostKey, HostKey, Kept, SecretVersion},
};
use wharfinger_store::table::StoreError;

use crate::{app::App, error::Error, visit::Visit};

/// The size of RSA keys. It is as strong as the other two algorithms, and NIST takes 2048 bits only until 2030, while a
/// host key is to last. In OpenSSH's form it has 2,600 of the 4,096 characters that AWS takes. It is found in 0.2 s on
/// average on one core, which Lambda's 128 MB are a fourteenth of; 4096 bits would take three times as long.
const RSA_BITS: usize = 3072;

/// An algorithm of host keys. Clients take the first that they know: most take ed25519, old ones ECDSA or RSA alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A new server is created with this one.
    Ed25519,
    /// On the curve P-256.
    Ecdsa,
    Rsa,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Ed25519, Self::Ecdsa, Self::Rsa];

    /// Where the host key of `server` is kept.
    pub(crate) fn version(self, app: &App, server: &ServerName) -> SecretVersion {
        SecretVersion { secret: secret_name(app, server), label: self.label().into() }
    }

    /// The staging label of its version. The first kind was once the only one.
    const fn label(self) -> &'static str {
        match self {
            Self::Ed25519 => CURRENT,
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }

    /// The id of its version, in any secret: `None` for the first version, which is made with the secret. AWS takes one
    /// value for an id, so a key that is there is never replaced by one that was made at the same moment, or while AWS
    /// did not show the first yet.
    const fn version_id(self) -> Option<&'static str> {
        match self {
            Self::Ed25519 => None,
            Self::Ecdsa => Some("5d1b9f0c-6a3e-4c57-9f27-0f6d3b8e41a2"),
            Self::Rsa => Some("c2a7e6d4-18b5-4f93-8d0e-7b94a1c5f360"),
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Ecdsa => "ECDSA",
            Self::Rsa => "RSA",
        }
    }
}

/// The name of the secret that holds the host keys of `server`.
pub(crate) fn secret_name(app: &App, server: &ServerName) -> String {
    format!("{}servers/{server}/host-key", app.secret_prefix)
}

/// Stores a key of `server` where there is none.
async fn store(app: &App, server: &ServerName, kind: Kind, made: &Secret) -> Result<(), AwsError> {
    let version = kind.version(app, server);
    let Some(id) = kind.version_id() else {
        let kinds = Kind::ALL.map(|kind| format!("{} ({})", kind.title(), kind.label())).join(", ");
        let description = format!("SSH host keys of Wharfinger's server {server}, a version each: {kinds}");
        return app.secrets.create(&version.secret, &description, made).await;
    };
    app.secrets.add(&version, id, made).await
}

/// A key was stored there, and can't be read.
fn lost(version: &SecretVersion) -> Error {
    Error::Missing(format!("{version} can't be found: put the private key back ({})", version.command()))
}

/// Generates a key from `chance`. In a deployed function that is a cryptographically secure generator seeded by the
/// operating system.
fn generate(kind: Kind, server: &ServerName, chance: &Chance) -> Result<Secret, ssh_key::Error> {
    let mut generator = chance.key_generator();
    let mut key = match kind {
        Kind::Ed25519 => PrivateKey::random(&mut generator, Algorithm::Ed25519)?,
        Kind::Ecdsa => PrivateKey::random(&mut generator, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 })?,
        Kind::Rsa => PrivateKey::try_from(KeypairData::from(chance.rsa_key(RSA_BITS)?))?,
    };
    key.set_comment(server.as_str());
    Ok(Secret::new(key.to_openssh(LineEnding::LF)?.to_string()))
}

/// What a version of a secret holds, by the fingerprint of its key.
pub(crate) fn kept(secret: Option<&Secret>) -> Kept {
    let Some(secret) = secret else { return Kept::Nothing };
    match PrivateKey::from_openssh(secret.reveal()) {
        Ok(key) => Kept::Key(key.fingerprint(HashAlg::Sha256).to_string()),
        Err(_) => Kept::Unreadable,
    }
}

/// The fingerprint of a private key in a version of a secret.
fn fingerprint(secret: &Secret, version: &SecretVersion) -> Result<String, Error> {
    let Kept::Key(fingerprint) = kept(Some(secret)) else {
        let command = version.command();
        let sentence = format!("{version} holds no private key in OpenSSH's form: put the key back ({command})");
        return Err(Error::Missing(sentence));
    };
    Ok(fingerprint)
}

impl Visit<'_> {
    /// Returns the server's key of this kind, and its fingerprint. If none is stored, it is generated, and stored before
    /// it is used. `there`: the host keys that the server has on AWS.
    ///
    /// # Errors
    /// Also for a stored one that was not made here and that the server does not have: whoever made a secret of that name
    /// before us would know the key by which clients know the server.
    pub(crate) async fn host_key(&self, kind: Kind, there: &[HostKey]) -> Result<(Secret, String), Error> {
        let (app, version) = (self.app, kind.version(self.app, self.server));
        if let Some(kept) = app.secrets.get(&version).await? {
            return self.checked(kept, version, there).await;
        }
        // The first version of a secret is its current one, whatever its label: it must not be another key than release
        // 0.1 would read.
        let first = Kind::Ed25519.version(app, self.server);
        if kind != Kind::Ed25519 && app.secrets.get(&first).await?.is_none() {
            return Err(lost(&first));
        }
        let made = generate(kind, self.server, &app.chance)?;
        let fingerprint = fingerprint(&made, &version)?;
        // Recorded before it is stored: after a crash it is known for ours.
        app.table.add_host_key(self.server, &fingerprint).await?;
        let Err(error) = store(app, self.server, kind, &made).await else { return Ok((made, fingerprint)) };
        if error.had_no_effect() {
            app.table.remove_host_key(self.server, &fingerprint).await?;
        }
        if !error.is_exists() {
            return Err(error.into());
        }
        let kept = app.secrets.get(&version).await?.ok_or_else(|| lost(&version))?;
        self.checked(kept, version, there).await
    }

    async fn checked(
        &self,
        kept: Secret,
        version: SecretVersion,
        there: &[HostKey],
    ) -> Result<(Secret, String), Error> {
        let fingerprint = fingerprint(&kept, &version)?;
        if self.made_host_keys().await?.contains(&fingerprint) {
            return Ok((kept, fingerprint));
        }
        if there.iter().any(|key| key.fingerprint == fingerprint) {
            self.app.table.add_host_key(self.server, &fingerprint).await?;
            return Ok((kept, fingerprint));
        }
        Err(Error::HostKeyFound(FoundHostKey { version, fingerprint }))
    }

    /// The fingerprints of the host keys that were made for the server, and of those that it had when they were last
    /// looked at: release 0.1 recorded no others.
    pub(crate) async fn made_host_keys(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut fingerprints = self.app.table.host_keys(self.server).await?;
        fingerprints.extend(self.record.status.host_key_fingerprints.iter().cloned());
        Ok(fingerprints)
    }

    /// Gives the server `server_id` those of its host keys that it does not have, each of which is made if need be.
    /// Returns the fingerprints of all its host keys, ours first. A key that is refused holds up none of the others.
    ///
    /// # Errors
    /// The first one.
    pub(crate) async fn import_missing_host_keys(&self, server_id: &str) -> Result<Vec<String>, Error> {
        let there = self.app.transfer.host_keys(server_id).await?;
        let (mut fingerprints, mut first) = (Vec::new(), Ok(()));
        for kind in Kind::ALL {
            match self.import_host_key(server_id, kind, &there).await {
                Ok(fingerprint) => fingerprints.push(fingerprint),
                Err(error) => first = first.and(Err(error)),
            }
        }
        let others = there.into_iter().map(|key| key.fingerprint);
        let others: Vec<String> = others.filter(|fingerprint| !fingerprints.contains(fingerprint)).collect();
        fingerprints.extend(others);
        first.map(|()| fingerprints)
    }

    /// Gives the server its key of this kind, unless it is `there`. Returns the key's fingerprint.
    async fn import_host_key(&self, server_id: &str, kind: Kind, there: &[HostKey]) -> Result<String, Error> {
        let (host_key, fingerprint) = self.host_key(kind, there).await?;
        if !there.iter().any(|key| key.fingerprint == fingerprint) {
            tracing::info!(server = %self.server, id = server_id, kind = kind.title(), "importing a host key");
            let description = format!("{} of Wharfinger's server {}", kind.title(), self.server);
            self.app.transfer.import_host_key(server_id, &host_key, &description).await?;
        }
        Ok(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kind: Kind, seed: u64) -> Secret {
        generate(kind, &ServerName::parse("main").unwrap(), &Chance::seeded(seed)).unwrap()
    }

    #[test]
    fn new_keys_are_in_the_form_that_transfer_family_takes() {
        let expected =
            [Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }, Algorithm::Rsa { hash: None }];
        for (kind, algorithm) in Kind::ALL.into_iter().zip(expected) {
            let made = drawn(kind, 1);
            let key = PrivateKey::from_openssh(made.reveal()).unwrap();
            assert_eq!((key.algorithm(), key.comment().as_bytes()), (algorithm, "main".as_bytes()));
            assert!(made.reveal().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") && made.reveal().len() <= 4096);
            if let KeypairData::Rsa(pair) = key.key_data() {
                assert_eq!(pair.key_size(), 3072);
            }
        }
    }

    #[test]
    fn a_key_comes_from_chance_alone() {
        for kind in Kind::ALL {
            assert_eq!(drawn(kind, 7), drawn(kind, 7));
            assert_ne!(drawn(kind, 7), drawn(kind, 8));
        }
    }

    #[test]
    fn a_version_holds_a_key_nothing_or_something_else() {
        let Kept::Key(fingerprint) = kept(Some(&drawn(Kind::Ecdsa, 1))) else { panic!("it holds a key") };
        assert!(fingerprint.starts_with("SHA256:") && !fingerprint.ends_with('='), "{fingerprint}");
        assert_eq!(kept(None), Kept::Nothing);
        assert_eq!(kept(Some(&Secret::new("hello".into()))), Kept::Unreadable);
    }
}
