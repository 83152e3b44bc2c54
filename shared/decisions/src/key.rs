//! SSH public keys, as users bring them and Transfer Family takes them.

use std::fmt;

use ssh_key::{HashAlg, PublicKey as Parsed};

use crate::text::{Invalid, is_one_line};

mod other_files;

/// The algorithms that Transfer Family takes for users' keys.
/// <https://docs.aws.amazon.com/transfer/latest/APIReference/API_ImportSshPublicKey.html>
const ALGORITHMS: [&str; 5] =
    ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

/// The longest key body that Transfer Family takes, in characters.
const LONGEST: usize = 2048;

/// The longest comment, in bytes. Transfer Family keeps none, so it is for people alone: a name, a machine, a date.
const LONGEST_COMMENT: usize = 256;

/// The shortest RSA modulus, in bits, that is taken: OpenSSH's own default minimum of today is lower, NIST's is this.
/// <https://nvlpubs.nist.gov/nistpubs/SpecialPublications/NIST.SP.800-131Ar2.pdf>
const SHORTEST_RSA: usize = 2048;

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
        other_files::refuse(text)?;
        let key = Parsed::from_openssh(text).map_err(|_| {
            Invalid(
                "this is not an SSH public key: give the one line of a file such as id_ed25519.pub (ssh-ed25519 AAAA… comment)"
                    .into(),
            )
        })?;
        check_strength(&key)?;
        let comment = key.comment().as_str_lossy().to_owned();
        if !is_one_line(&comment) {
            return Err(Invalid("the key's comment has control characters: leave them out".into()));
        }
        if comment.len() > LONGEST_COMMENT {
            return Err(Invalid(format!(
                "the key's comment has {} bytes, at most {LONGEST_COMMENT} are taken: shorten it or leave it out",
                comment.len()
            )));
        }
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

    /// Accepts what an earlier version stored, without today's validation. Only for reading the table.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        let mut words = text.trim().splitn(3, ' ');
        let body: Vec<&str> = words.by_ref().take(2).collect();
        Self { body: body.join(" "), comment: words.next().unwrap_or_default().to_owned() }
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

/// Refuses algorithms that Transfer Family does not take, and RSA keys that are too short to be safe.
fn check_strength(key: &Parsed) -> Result<(), Invalid> {
    let algorithm = key.algorithm();
    if !ALGORITHMS.contains(&algorithm.as_str()) {
        return Err(Invalid(format!(
            "keys of the algorithm {algorithm} are not taken by Transfer Family: use one of {}",
            ALGORITHMS.join(", ")
        )));
    }
    let Some(rsa) = key.key_data().rsa() else { return Ok(()) };
    let modulus = rsa.n().as_positive_bytes().unwrap_or_default();
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - leading;
    if bits < SHORTEST_RSA {
        return Err(Invalid(format!(
            "an RSA key of {bits} bits is too short to be safe: use {SHORTEST_RSA} bits or more, or ed25519 (ssh-keygen -t ed25519)"
        )));
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

#[cfg(test)]
mod tests {
    use super::*;

    const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDzEgZ9B8k2I0kI5D8ZyU9c5jlaI97SHdJNS+HOMW+qMhYlKS1s0si+tbSPxWgwcjHDCFh7CxrC7mZT8a0f2tp6ANEtOalwTn11MYsPiuSwJAncB6UwHlnbFQt1Mdsaa8jjEAAPu+yVJtFL/zzuwKl5hHMiMnGRqjUtEJ5UhgBuLw==";
    const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDDLB3Ms5pzTOSRuMTeai7npJTtolc/jvfOfyiyxZPM4qBxfR50iHac6IpRZz3Qyenpvv3kN4LRSlG+fIKQeorsD2UH6EWEnQ8C58Fj2Si05rleF/NwyQs0W/z57zmIJFz/rllW1vyn2qEb2+IEZaiqnCbVOzSv0rI2cvgz9DcjFLJ4sZL7F/69lepvAbs+lDAxxTZVPuFocLePg67AQvF/oTkxlgrCmoTc21nROk49aZvtbl2keAkhuKhefl08iDkvtdK37NefNYb5aGxIGmw1NRdh+mEi0PXrMeQK/7MAPKF3WPB/7glulikq8amJIAADxNsNOLCKyenZbCppvchj";
    const DSA: &str = "ssh-dss AAAAB3NzaC1kc3MAAACBAPqBZmNGeMzE9zM5URQhhwiyMU9du4r/ZG6Y8c5ECwi4YExDxtzmcvVHWGNkbTL1Inty/xJEisctRYDmPsy1qJjgmJPotL8Dg8GiMMSTV3hpOjCD7yZftGWUJNtPZq7ius+J5xWBuzh26eDuoO15T+Y7JUx62aEbwW4563kTf4mHAAAAFQCL3JIUYAdIJ8E24KTuMayRP3FNzwAAAIA3hc0idqz1/io6vRTzpzX4WSjFsKm17Cn+lmuFj6DwCeqcV0/qHYB3hcYTa6mj0GS/NLJSYHbf3hunk4wkSA8GXB2ElE5qXDf7oNRC2JA7PHkul8HVfd4ujkLfDQXO/Z01MpqYCPfnVgP2DqlFCDjPrDTbzpYAqnNOGQdllHKfIQAAAIEAxcBD2FNRyYMDyYYgprkwpyChuPdRx7DKmrCBg0U8vS2FfltveVCL2qkcTsp3iK2RLTSGw8/pl0BwTIRdvGAWS5F7B96LuCa0Q9yubjZRSdqQhhchTabm/ih+g0vZASzjymd7xjvuf/0puUwzbyxihQrW9OVm/zKSyDYyVgAp4eg=";
    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_key_is_known_by_its_body() {
        let key = PublicKey::parse(&format!("  {ED25519} alice@laptop\n")).unwrap();
        assert_eq!(key.body(), ED25519);
        assert_eq!(key, PublicKey::parse(ED25519).unwrap());
        assert_eq!(key.to_string(), format!("{ED25519} alice@laptop"));
        assert!(key.fingerprint().starts_with("SHA256:"));
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_help() {
        for (bad, help) in [
            ("", "not an SSH public key"),
            ("ssh-ed25519", "not an SSH public key"),
            ("ssh-ed25519 AAAA", "not an SSH public key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
            (&format!("{ED25519}\n{ED25519}"), "one line"),
            (&format!("{ED25519} {ED25519}"), "two keys on one line"),
            (&format!("{ED25519} alice {ED25519} bob"), "two keys on one line"),
            (&format!("{ED25519} al\u{7}ice"), "control characters"),
            (&format!("from=\"10.0.0.0/8\" {ED25519}"), "options"),
            (RSA_1024, "1024 bits is too short"),
            (DSA, "ssh-dss are not taken"),
            ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "ssh-keygen -i"),
            ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "treat it as leaked"),
            ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "treat it as leaked"),
            ("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW", "treat it as leaked"),
            ("MIIEpAIBAAKCAQEAwmPYs3DsVXQ2rE0gIhN4", "treat it as leaked"),
        ] {
            let refusal = PublicKey::parse(bad).unwrap_err().to_string();
            assert!(refusal.contains(help), "{bad}: {refusal}");
        }
    }

    #[test]
    fn a_comment_has_a_bound_that_its_refusal_names() {
        let with_comment = |bytes| PublicKey::parse(&format!("{ED25519} {}", "a".repeat(bytes)));
        assert!(with_comment(LONGEST_COMMENT).is_ok());
        let refusal = with_comment(LONGEST_COMMENT + 1).unwrap_err().to_string();
        assert!(refusal.contains("257 bytes") && refusal.contains("at most 256"), "{refusal}");
        let stored = format!("{ED25519} {}", "a".repeat(1_000));
        assert_eq!(PublicKey::from_stored(&stored).to_string(), stored, "an earlier version took it");
    }

    #[test]
    fn nothing_of_a_private_key_is_repeated() {
        for secret in ["b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", "MIIEpAIBAAKCAQEAwmPYs3DsVXQ2rE0gIhN4", "c2VjcmV0c2VjcmV0"] {
            let refusal = PublicKey::parse(secret).unwrap_err().to_string();
            assert!(!refusal.contains(&secret[..6]), "{refusal}");
        }
    }

    #[test]
    fn an_rsa_key_of_2048_bits_is_taken() {
        assert!(PublicKey::parse(RSA_2048).is_ok());
    }
}
