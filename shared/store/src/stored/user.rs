//! What is wanted of a user, in the table.

use serde::Deserialize;
use serde_json::Value;
use wharfinger_decisions::{
    directory::Directory,
    key::PublicKey,
    names::SiteName,
    user::{Posix, UserSpec},
};

use super::{Intent, part, read};

#[derive(Deserialize)]
struct StoredSpec {
    public_keys: Vec<String>,
    #[serde(default)]
    site: Option<String>,
    #[serde(default)]
    directory: Option<String>,
    #[serde(default)]
    posix: Option<StoredPosix>,
}

#[derive(Deserialize)]
struct StoredPosix {
    uid: u32,
    gid: u32,
    #[serde(default)]
    secondary_gids: Vec<u32>,
}

impl Intent for UserSpec {
    fn from_stored(value: &Value) -> Result<Self, String> {
        read::<StoredSpec>(value).map(Into::into)
    }

    /// Nobody logs in by what is half read: there are no keys.
    fn remains(value: &Value) -> Self {
        Self {
            public_keys: Vec::new(),
            site: part::<Option<String>>(value, "/site").map(SiteName::from_stored),
            directory: part::<Option<String>>(value, "/directory").map(Directory::from_stored),
            posix: Posix::default(),
        }
    }
}

impl From<StoredSpec> for UserSpec {
    fn from(stored: StoredSpec) -> Self {
        let posix =
            |stored: StoredPosix| Posix { uid: stored.uid, gid: stored.gid, secondary_gids: stored.secondary_gids };
        Self {
            public_keys: stored.public_keys.iter().map(|key| PublicKey::from_stored(key)).collect(),
            site: stored.site.map(SiteName::from_stored),
            directory: stored.directory.map(Directory::from_stored),
            posix: stored.posix.map(posix).unwrap_or_default(),
        }
    }
}
