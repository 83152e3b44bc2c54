//! Real SFTP servers: one listener for each Transfer Family server that is ONLINE, public-key logins of its users, and
//! their home directories on the directories that stand for EFS file systems. Nothing a client sends leads out of
//! those: files are reached through directory capabilities (`cap-std`), one path component at a time.

mod activity;
mod attributes;
mod connection;
mod handles;
mod listener;
mod metadata;
mod meter;
mod operations;
mod presence;
mod report;
mod session;
mod status;
mod transfers;
mod view;
mod visit;

use russh::keys::PublicKey;

pub use self::visit::{Shut, Visit};
pub(crate) use self::{
    listener::{Gate, Listener},
    meter::Meter,
};

/// What a login needs to know of a user.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The user's name.
    pub(crate) name: String,
    /// The ARN of the user's role.
    pub(crate) role: String,
    /// The POSIX ids that files are shown with.
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The keys that open the door.
    pub(crate) keys: Vec<PublicKey>,
    /// Where a session starts, as the user sees it.
    pub(crate) home: String,
    /// What the user sees, and where it is.
    pub(crate) mappings: Vec<HomeMapping>,
    /// The server's `SetStatOption` is `ENABLE_NO_OP`: requests to set attributes succeed and do nothing.
    pub(crate) ignores_setstat: bool,
}

/// One path of a user's view, and the path on EFS (`/fs-id/directory`) that it stands for.
#[derive(Clone, Debug)]
pub(crate) struct HomeMapping {
    /// What the user sees.
    pub(crate) entry: String,
    /// What it is.
    pub(crate) target: String,
}
