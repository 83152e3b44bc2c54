//! An SFTP user of a server.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    condition::Condition,
    directory::Directory,
    key::PublicKey,
    names::SiteName,
    text::{Misfit, all_fit},
};

/// The parts of an account that follow from more than the user's own spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The server that has the account: another one after a rebuild.
    pub server_id: String,
    /// Its role.
    pub role: String,
    /// What it sees as `/`.
    pub root: String,
}

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
    /// Checks what concerns several fields.
    ///
    /// # Errors
    /// All violations.
    pub fn check(&self) -> Result<(), Vec<Misfit>> {
        all_fit([self.check_keys(), self.check_root()].into_iter().chain(self.posix.check()))
    }

    fn check_keys(&self) -> Option<Misfit> {
        let keys = &self.public_keys;
        if !(1..=10).contains(&keys.len()) {
            return Some(Misfit::new("/public_keys", format!("there are {} keys: give 1 to 10", keys.len())));
        }
        let repeated = keys.iter().enumerate().any(|(index, key)| keys[..index].contains(key));
        repeated.then(|| Misfit::new("/public_keys", "a key is given twice"))
    }

    fn check_root(&self) -> Option<Misfit> {
        match (&self.site, &self.directory) {
            (Some(_), Some(_)) => Some(Misfit::new("/directory", "give a site or a directory, not both")),
            (None, None) => {
                Some(Misfit::new("/site", "give a site, or a directory such as /sites/blog, as the user's root"))
            }
            _ => None,
        }
    }
}

impl Posix {
    fn check(&self) -> [Option<Misfit>; 4] {
        let roots = "0 is root's group: give the gid that your containers run with, such as 1000";
        let root = "0 is root: give the uid that your containers run as, such as 1000";
        let most = "Transfer Family takes at most 16 secondary groups";
        [
            (self.uid == 0).then(|| Misfit::new("/posix/uid", root)),
            (self.gid == 0).then(|| Misfit::new("/posix/gid", roots)),
            self.secondary_gids.contains(&0).then(|| Misfit::new("/posix/secondary_gids", roots)),
            (self.secondary_gids.len() > 16).then(|| Misfit::new("/posix/secondary_gids", most)),
        ]
    }
}

/// A user's state.
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
    /// Being deleted.
    Deleting,
}

/// What is known of a user. Written by `reconcile` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStatus {
    /// Its state.
    pub state: UserPhase,
    /// Why, in a sentence for people.
    pub reason: String,
    /// The version of the spec that AWS has.
    #[serde(default)]
    pub settled_version: u64,
    /// The version of the spec that AWS was asked for last; 0: none, or an earlier version of `reconcile` asked.
    #[serde(default)]
    pub tried_version: u64,
    /// When `reconcile` last observed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What the account was given last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
}
