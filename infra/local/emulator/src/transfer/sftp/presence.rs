//! A client that is logged in, as the server's metrics and its structured log know it.

use super::{
    activity::ActivityLog,
    meter::{Counts, OpenSession},
};

/// The presence of one client: from its login until its connection and the last of its SFTP sessions are gone.
#[derive(Debug)]
pub(super) struct Presence {
    counted: OpenSession,
    pub(super) log: ActivityLog,
}

impl Presence {
    pub(super) fn new(counted: OpenSession, log: ActivityLog) -> Self {
        Self { counted, log }
    }

    /// Something moved.
    pub(super) fn count(&self, add: impl FnOnce(&mut Counts)) {
        self.counted.count(add);
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.log.write("DISCONNECTED", &[]);
    }
}
