//! A server's private host key. Wharfinger generates it: AWS can store a host key in Secrets Manager, but deletes that
//! secret with the server, and a rebuilt server must present the same key to its clients.

use ssh_key::{Algorithm, LineEnding, PrivateKey};
use wharfinger_aws::secrets::Secret;
use wharfinger_chance::Chance;
use wharfinger_decisions::names::ServerName;

use crate::{app::App, error::Error};

/// Returns the stored key of `server`, or generates one and stores it before it is used.
pub(crate) async fn obtain(app: &App, server: &ServerName) -> Result<Secret, Error> {
    let name = app.host_key_name(server);
    if let Some(kept) = app.secrets.get(&name).await? {
        return Ok(kept);
    }
    let made = generate(server, &app.chance)?;
    let description = format!("SSH host key of Wharfinger's server {server}");
    match app.secrets.create(&name, &description, &made).await {
        Ok(()) => Ok(made),
        Err(error) if error.is_exists() => match app.secrets.get(&name).await? {
            Some(kept) => Ok(kept),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Generates a key from `chance`. In a deployed function that is a cryptographically secure generator seeded by the
/// operating system.
fn generate(server: &ServerName, chance: &Chance) -> Result<Secret, ssh_key::Error> {
    let mut key = PrivateKey::random(&mut chance.key_generator(), Algorithm::Ed25519)?;
    key.set_comment(server.as_str());
    Ok(Secret::new(key.to_openssh(LineEnding::LF)?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_in_the_form_that_transfer_family_takes() {
        let server = ServerName::parse("main").unwrap();
        let chance = Chance::system();
        let (one, other) = (generate(&server, &chance).unwrap(), generate(&server, &chance).unwrap());
        assert_ne!(one, other);
        let key = PrivateKey::from_openssh(one.reveal()).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Ed25519);
        assert!(one.reveal().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") && one.reveal().len() <= 4096);
    }
    #[test]
    fn a_key_comes_from_chance_alone() {
        let server = ServerName::parse("main").unwrap();
        let drawn = |seed| generate(&server, &Chance::seeded(seed)).unwrap();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
    }
}
