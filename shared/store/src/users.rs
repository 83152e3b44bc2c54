//! Users in the table: partition `USERS#{server}`, one item a user.

use wharfinger_decisions::{
    names::{ServerName, UserName},
    user::{UserSpec, UserStatus},
};

use crate::{record::Record, table::Key};

/// A user as the table holds it.
pub type UserRecord = Record<UserSpec, UserStatus>;

/// What the partitions of all servers' users start with.
pub const PARTITIONS: &str = "USERS#";

/// The partition of a server's users.
#[must_use]
pub fn partition(server: &ServerName) -> String {
    format!("{PARTITIONS}{server}")
}

/// The key of a user.
#[must_use]
pub fn key(server: &ServerName, user: &UserName) -> Key {
    Key::new(partition(server), user.as_str())
}
