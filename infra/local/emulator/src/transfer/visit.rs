//! Logins in this process.

use std::net::IpAddr;

use russh::keys::PublicKey;

use super::{
    Transfer,
    sftp::{Gate, Shut, Visit},
};

impl Transfer {
    /// Lets a client at `client` in as `user` of a server, as its listener would.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn log_in(&self, server_id: &str, user: &str, key: &PublicKey, client: IpAddr) -> Result<Visit, Shut> {
        let shut = self.door(server_id).ok_or(Shut::Offline)?;
        if !self.admits(server_id, client) {
            return Err(Shut::NotAdmitted);
        }
        let gate = Gate::new(server_id, self.itself.clone(), self.context.clone(), self.meter(server_id));
        Visit::log_in(gate, shut, client, (user, key))
    }
}
