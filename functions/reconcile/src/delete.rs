//! Removes what is left of a server that AWS no longer has: the host keys, which can be restored for a week, then the
//! users' records, and the server's record last, so that the next visit recovers from a crash in between.

use wharfinger_decisions::names::UserName;
use wharfinger_store::{
    table::{Key, StoreError},
    users::{self, UserRecord},
};

use crate::{error::Error, host_keys, visit::Visit};

impl Visit<'_> {
    /// Removes the server's host keys, and the server and its users from the table.
    pub(crate) async fn forget_server(&self) -> Result<(), Error> {
        self.app.secrets.delete(&host_keys::secret_name(self.app, self.server)).await?;
        self.forget_records().await
    }

    /// Removes the server and its users from the table, and leaves the host keys.
    pub(crate) async fn forget_records(&self) -> Result<(), Error> {
        for (name, user) in self.app.table.all::<UserRecord>(&users::partition(self.server)).await? {
            let key = users::key(self.server, &UserName::from_stored(name));
            match user {
                Ok(user) => self.forget(&key, user.version).await?,
                Err(unreadable) => gone(self.app.table.forget_unreadable(&unreadable).await)?,
            }
        }
        gone(self.app.table.forget_server(self.server, self.record).await)?;
        tracing::info!(server = %self.server, "the server is deleted");
        Ok(())
    }

    /// Removes the users that are to be deleted from a server that AWS does not have.
    pub(crate) async fn forget_deleted_users(&self) -> Result<(), StoreError> {
        for (name, user) in self.app.table.all::<UserRecord>(&users::partition(self.server)).await? {
            if let Ok(user) = user
                && user.deleting
            {
                let name = UserName::from_stored(name);
                tracing::info!(server = %self.server, user = %name, "the user is deleted before there is a server");
                self.forget(&users::key(self.server, &name), user.version).await?;
            }
        }
        Ok(())
    }

    /// Removes the record at `key`. One that has changed since `version` is left to the next visit.
    pub(crate) async fn forget(&self, key: &Key, version: u64) -> Result<(), StoreError> {
        gone(self.app.table.forget(key, version).await)
    }
}

/// Takes a conflict as success: a record that has changed since it was read is left to the next visit.
fn gone(answer: Result<(), StoreError>) -> Result<(), StoreError> {
    match answer {
        Err(StoreError::Conflict) => Ok(()),
        other => other,
    }
}
