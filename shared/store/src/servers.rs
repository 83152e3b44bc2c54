//! Servers in the table: partition `SERVERS`, one item a server.

use wharfinger_decisions::{
    names::ServerName,
    server::{ServerIntent, ServerStatus},
};

use crate::{record::Record, table::Key};

/// The partition of all servers.
pub const PARTITION: &str = "SERVERS";

/// A server as the table holds it.
pub type ServerRecord = Record<ServerIntent, ServerStatus>;

/// Where a server lies.
#[must_use]
pub fn key(server: &ServerName) -> Key {
    Key::new(PARTITION, server.as_str())
}
