//! An SFTP user of a server.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{directory::Directory, key::PublicKey, names::SiteName, text::Invalid};

/// What a person wants of a user: who logs in, and which directory is the root that they see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// The keys that may log in: 1 to 10.
    pub public_keys: Vec<PublicKey>,
    /// The site whose directory the user sees as `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteName>,
    /// The directory that the user sees as `/`, in place of a site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Directory>,
    /// Who owns what the user uploads.
    #[serde(default)]
    pub posix: Posix,
}

/// The POSIX identity of a user on the file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posix {
    /// The user id, 1 to 2³²−1. 0 (root) is refused: nothing on the file system would be safe from an upload.
    pub uid: u32,
    /// The group id, 0 to 2³²−1.
    pub gid: u32,
    /// Further group ids, at most 16.
    #[serde(default)]
    pub secondary_gids: Vec<u32>,
}

impl Default for Posix {
    /// The first ordinary user of most Linux images.
    fn default() -> Self {
        Self { uid: 1000, gid: 1000, secondary_gids: Vec::new() }
    }
}

impl UserSpec {
    /// What no single field can say.
    ///
    /// # Errors
    /// The JSON pointer of the field, and a sentence that says what is allowed.
    pub fn check(&self) -> Result<(), (&'static str, Invalid)> {
        let keys = &self.public_keys;
        if !(1..=10).contains(&keys.len()) {
            return Err(("/public_keys", Invalid(format!("there are {} keys: give 1 to 10", keys.len()))));
        }
        if keys.iter().enumerate().any(|(index, key)| keys[..index].contains(key)) {
            return Err(("/public_keys", Invalid("a key is given twice".into())));
        }
        match (&self.site, &self.directory) {
            (Some(_), Some(_)) => {
                return Err(("/directory", Invalid("give a site or a directory, not both".into())));
            }
            (None, None) => {
                return Err((
                    "/site",
                    Invalid("give a site, or a directory such as /sites/blog, as the user's root".into()),
                ));
            }
            _ => {}
        }
        if self.posix.uid == 0 {
            return Err((
                "/posix/uid",
                Invalid("0 is root: give the uid that your containers run as, such as 1000".into()),
            ));
        }
        let root = Invalid("0 is root's group: give the gid that your containers run with, such as 1000".into());
        if self.posix.gid == 0 {
            return Err(("/posix/gid", root));
        }
        if self.posix.secondary_gids.contains(&0) {
            return Err(("/posix/secondary_gids", root));
        }
        if self.posix.secondary_gids.len() > 16 {
            return Err(("/posix/secondary_gids", Invalid("Transfer Family takes at most 16 secondary groups".into())));
        }
        Ok(())
    }
}

/// Where a user stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserPhase {
    /// Not yet as wanted.
    #[default]
    Pending,
    /// As wanted: can log in while the server is online.
    Ready,
    /// AWS refuses it; `reason` says why. It is tried again.
    Failed,
    /// On its way out.
    Deleting,
}

/// What is known of a user. Written by `reconcile` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatus {
    /// Where it stands.
    pub state: UserPhase,
    /// Why, in a sentence for people.
    pub reason: String,
    /// The version of the spec that AWS has.
    #[serde(default)]
    pub settled_version: u64,
    /// When `reconcile` last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
}
