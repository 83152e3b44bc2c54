//! SSH public keys, as users bring them and Transfer Family takes them.

use std::fmt;

use ssh_key::{HashAlg, PublicKey as Parsed};

use crate::text::{Invalid, quoted};

/// The algorithms that Transfer Family takes for users' keys.
/// <https://docs.aws.amazon.com/transfer/latest/APIReference/API_ImportSshPublicKey.html>
const ALGORITHMS: [&str; 5] =
    ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

/// The longest key body that Transfer Family takes, in characters.
const LONGEST: usize = 2048;

/// An SSH public key in OpenSSH's one-line form. Two keys are equal when algorithm and body are, whatever the comment.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey {
    body: String,
    comment: String,
}

impl PublicKey {
    /// Reads `ssh-ed25519 AAAA… comment`.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and names a private key or a certificate when one was given.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        refuse_other_files(text)?;
        let key = Parsed::from_openssh(text).map_err(|_| {
            Invalid(format!(
                "{} is not an SSH public key: give the one line of a file such as id_ed25519.pub (ssh-ed25519 AAAA… comment)",
                quoted(text)
            ))
        })?;
        let algorithm = key.algorithm();
        if !ALGORITHMS.contains(&algorithm.as_str()) {
            return Err(Invalid(format!(
                "keys of the algorithm {algorithm} are not taken by Transfer Family: use one of {}",
                ALGORITHMS.join(", ")
            )));
        }
        let comment = key.comment().as_str_lossy().to_owned();
        let body: Vec<&str> = text.split_ascii_whitespace().take(2).collect();
        let body = body.join(" ");
        if body.len() > LONGEST {
            return Err(Invalid(format!(
                "the key has {} characters, Transfer Family takes at most {LONGEST}",
                body.len()
            )));
        }
        Ok(Self { body, comment })
    }

    /// Algorithm and base64, without the comment: what identifies the key.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The key's SHA-256 fingerprint, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Parsed::from_openssh(&self.body).map(|key| key.fingerprint(HashAlg::Sha256).to_string()).unwrap_or_default()
    }
}

fn refuse_other_files(text: &str) -> Result<(), Invalid> {
    if text.contains("PRIVATE KEY") {
        return Err(Invalid(
            "this is a private key: keep it secret and treat it as leaked now; give the .pub file's line instead"
                .into(),
        ));
    }
    if text.lines().count() > 1 {
        return Err(Invalid("a public key is one line: give each key as a string of its own".into()));
    }
    Ok(())
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.fingerprint())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.body)?;
        if self.comment.is_empty() { Ok(()) } else { write!(formatter, " {}", self.comment) }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}
