//! The end of a server that AWS no longer has. Its host key goes (it can be brought back for a week), then its users'
//! records, and its own record last, so that a crash in between is taken up.

use wharfinger_decisions::names::UserName;
use wharfinger_store::{
    table::{Key, StoreError},
    users::{self, UserRecord},
};

use crate::{error::Error, visit::Visit};

impl Visit<'_> {
    /// Forgets the server and its users.
    pub(crate) async fn forget_server(&self) -> Result<(), Error> {
        self.app.secrets.delete(&self.app.host_key_name(self.server)).await?;
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

    /// Forgets the users that are to be deleted from a server that AWS does not have.
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

    /// Forgets the thing at `key`. One that changed since it was read at `version` is for the next visit.
    pub(crate) async fn forget(&self, key: &Key, version: u64) -> Result<(), StoreError> {
        gone(self.app.table.forget(key, version).await)
    }
}

/// What changed since it was read is for the next visit.
fn gone(answer: Result<(), StoreError>) -> Result<(), StoreError> {
    match answer {
        Err(StoreError::Conflict) => Ok(()),
        other => other,
    }
}
