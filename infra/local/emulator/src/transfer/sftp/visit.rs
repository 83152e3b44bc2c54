//! A client without a connection: the same logins and the same sessions, called in this process. It exists where no
//! socket does, under a paused clock.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicBool},
};

use russh::keys::PublicKey;
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet};
use tokio_util::sync::CancellationToken;

use super::{connection::Connection, listener::Gate, session::Session, status::Refusal};

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// The server does not listen.
    Offline,
    /// Its security groups don't admit the client's address.
    NotAdmitted,
    /// It has no such user, or the user no such key.
    Refused,
}

/// An open session. Dropping it breaks the connection off: files that are still open are reported as partial.
pub struct Visit {
    session: Session,
    shut: CancellationToken,
}

impl Visit {
    pub(crate) fn log_in(
        gate: Gate,
        shut: CancellationToken,
        client: IpAddr,
        (user, key): (&str, &PublicKey),
    ) -> Result<Self, Shut> {
        let mut connection = Connection::new(Arc::new(gate), client, Arc::new(AtomicBool::new(true)));
        let session = connection.enter(user, key).ok_or(Shut::Refused)?;
        Ok(Self { session, shut })
    }

    /// Whether the server has cut the connection.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shut.is_cancelled()
    }

    /// Opens a file for an upload, empty: its handle.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn begin_upload(&mut self, path: &str) -> Result<String, String> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        match self.asked(|session| session.open(0, path, flags, &FileAttributes::empty()))? {
            Packet::Handle(handle) => Ok(handle.handle),
            _ => Err("the server gives no handle".to_owned()),
        }
    }

    /// Writes to an open file.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn write(&mut self, handle: &str, offset: u64, data: &[u8]) -> Result<(), String> {
        self.asked(|session| session.write(0, handle, offset, data)).map(drop)
    }

    /// Opens a file for a download: its handle.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn begin_download(&mut self, path: &str) -> Result<String, String> {
        match self.asked(|session| session.open(0, path, OpenFlags::READ, &FileAttributes::empty()))? {
            Packet::Handle(handle) => Ok(handle.handle),
            _ => Err("the server gives no handle".to_owned()),
        }
    }

    /// Reads from an open file: at most `length` bytes, none at its end.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn read(&mut self, handle: &str, offset: u64, length: u32) -> Result<Vec<u8>, String> {
        match self.asked(|session| session.read(0, handle, offset, length))? {
            Packet::Data(data) => Ok(data.data),
            _ => Ok(Vec::new()),
        }
    }

    /// Closes a file, which ends its upload or download.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn close(&mut self, handle: &str) -> Result<(), String> {
        self.asked(|session| session.close(0, handle)).map(drop)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn make_directory(&mut self, path: &str) -> Result<(), String> {
        self.asked(|session| session.mkdir(0, path, &FileAttributes::empty())).map(drop)
    }

    /// Renames a file, over one that is there.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), String> {
        self.asked(|session| session.rename(0, from, to, true)).map(drop)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn remove(&mut self, path: &str) -> Result<(), String> {
        self.asked(|session| session.remove(0, path)).map(drop)
    }

    fn asked(&mut self, ask: impl FnOnce(&mut Session) -> Result<Packet, Refusal>) -> Result<Packet, String> {
        if self.is_cut() {
            return Err("the connection is gone".to_owned());
        }
        ask(&mut self.session).map_err(|refusal| refusal.message)
    }
}

impl std::fmt::Debug for Visit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Visit").field("cut", &self.is_cut()).finish_non_exhaustive()
    }
}
