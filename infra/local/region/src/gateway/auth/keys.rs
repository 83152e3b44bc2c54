//! The access keys that people sign with: given on the command line, or made at the start of a region. A key belongs
//! to a user of the region's account, who is allowed everything.

use std::{fmt, str::FromStr};

use rand::RngExt as _;

/// The letters of an access key's id: 20 of `A` to `Z` and `2` to `7`.
const ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters of secrets and tokens. AWS's have `+` and `/` as well; these need no quotes anywhere.
const SECRET_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// An access key: its id is public, its secret signs requests. Its session token, if it has one, is sent with each.
#[derive(Clone, Eq, PartialEq)]
pub struct AccessKey {
    id: String,
    secret: String,
    session_token: Option<String>,
    user: String,
}

/// What is wrong with an access key as it was given.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// It is not in two or three parts.
    #[error("write ID:SECRET, or ID:SECRET:TOKEN for temporary credentials")]
    Parts,
    /// The id has letters that no id has.
    #[error("an access key's id is 3 to 128 letters, digits and underscores, such as AKIALOCAL")]
    Id,
    /// A secret or token is empty, or has whitespace or signs that do not go into a header.
    #[error("a secret and a session token are visible ASCII characters without spaces")]
    Secret,
}

impl AccessKey {
    /// Temporary credentials as `aws sso login` or STS would give them, for the user `local`.
    #[must_use]
    pub fn generate() -> Self {
        Self {
            id: format!("ASIALOCAL{}", random(ID_LETTERS, 11)),
            secret: random(SECRET_LETTERS, 40),
            session_token: Some(random(SECRET_LETTERS, 64)),
            user: "local".to_owned(),
        }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The session token of temporary credentials.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// The name of the user whose key it is: `local` for the region's own, the id for one that was given.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl FromStr for AccessKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts: Vec<_> = text.split(':').collect();
        let (id, secret, token) = match parts[..] {
            [id, secret] => (id, secret, None),
            [id, secret, token] => (id, secret, Some(token)),
            _ => return Err(KeyError::Parts),
        };
        // "The access key ID", IAM API Reference: 16 to 128 of [\w]. Shorter ones are handy here.
        let id_fits =
            (3..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !id_fits {
            return Err(KeyError::Id);
        }
        let fits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits(secret) || !token.is_none_or(fits) {
            return Err(KeyError::Secret);
        }
        Ok(Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            session_token: token.map(str::to_owned),
            user: id.to_owned(),
        })
    }
}

/// Without the secrets.
impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AccessKey").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

fn random(letters: &[u8], length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(letters[random.random_range(0..letters.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_two_or_three_parts() {
        let key: AccessKey = "AKIAME:a/b+c".parse().unwrap();
        assert_eq!((key.id(), key.secret(), key.session_token(), key.user()), ("AKIAME", "a/b+c", None, "AKIAME"));
        let key: AccessKey = "ASIAME:secret:token==".parse().unwrap();
        assert_eq!(key.session_token(), Some("token=="));
    }

    #[test]
    fn what_is_no_key_is_told() {
        for (text, problem) in [
            ("", KeyError::Parts),
            ("AKIAME", KeyError::Parts),
            ("a:b:c:d", KeyError::Parts),
            (":secret", KeyError::Id),
            ("AK/ME:secret", KeyError::Id),
            ("AKIAME:", KeyError::Secret),
            ("AKIAME:two words", KeyError::Secret),
            ("AKIAME:secret:", KeyError::Secret),
        ] {
            assert_eq!(text.parse::<AccessKey>(), Err(problem), "{text}");
        }
    }

    #[test]
    fn a_generated_key_is_new_each_time_and_could_be_given() {
        let (one, other) = (AccessKey::generate(), AccessKey::generate());
        assert_ne!((one.id(), one.secret(), one.session_token()), (other.id(), other.secret(), other.session_token()));
        assert_eq!(one.id().len(), 20);
        let text = format!("{}:{}:{}", one.id(), one.secret(), one.session_token().unwrap());
        let given: AccessKey = text.parse().unwrap();
        assert_eq!((given.id(), given.secret()), (one.id(), one.secret()));
    }

    #[test]
    fn secrets_are_not_shown() {
        let key: AccessKey = "AKIAME:hidden:private".parse().unwrap();
        let shown = format!("{key:?}");
        assert!(shown.contains("AKIAME") && !shown.contains("hidden") && !shown.contains("private"), "{shown}");
    }
}
