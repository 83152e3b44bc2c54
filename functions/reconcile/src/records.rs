//! What the table has of a server's users and of their sites, and which accounts it could not bring back.

use std::collections::BTreeMap;

use wharfinger_decisions::{
    account::Listed,
    rebuild::{Accounts, Unanswered},
};
use wharfinger_runtime::metrics;
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::StoreError,
    unreadable::Read,
    users::{self, UserRecord},
};

use crate::{error::Error, visit::Visit};

/// The sites that are not being deleted, by name, or why the table could not be read. `None`: this version can't read
/// the site's record.
pub(crate) type Sites = Result<BTreeMap<String, Option<SiteRecord>>, StoreError>;

/// The records of a server's users, and the sites.
pub(crate) struct Records {
    pub(crate) users: Vec<(String, Read<UserRecord>)>,
    pub(crate) sites: Sites,
}

impl Visit<'_> {
    /// Reads the records of the server's users and the sites.
    ///
    /// # Errors
    /// When the users can't be read.
    pub(crate) async fn records(&self) -> Result<Records, StoreError> {
        let partition = users::partition(self.server);
        let (users, sites) = tokio::join!(self.app.table.all::<UserRecord>(&partition), self.sites());
        Ok(Records { users: users?, sites })
    }

    async fn sites(&self) -> Sites {
        let sites = self.app.table.all::<SiteRecord>(sites::PARTITION).await?;
        let site = |(name, site): (String, Read<SiteRecord>)| match site {
            Ok(site) => (!site.deleting).then_some((name, Some(site))),
            Err(unreadable) => {
                metrics::unreadable_record(&unreadable, self.moment.present());
                Some((name, None))
            }
        };
        Ok(sites.into_iter().filter_map(site).collect())
    }

    /// Those of the accounts `listed` that `records` could not bring back: without a record that can be read, or with one
    /// that is not enough. A user that is being deleted is not to be brought back.
    pub(crate) fn lost_accounts(
        &self,
        records: &Records,
        listed: &BTreeMap<String, Listed>,
    ) -> Result<Accounts, Unanswered> {
        let users: BTreeMap<&str, &UserRecord> =
            records.users.iter().filter_map(|(name, user)| Some((name.as_str(), user.as_ref().ok()?))).collect();
        let mut accounts = Accounts::default();
        for name in listed.keys() {
            let Some(user) = users.get(name.as_str()) else {
                accounts.unrecorded.push(name.clone());
                continue;
            };
            match self.account(user, &records.sites) {
                Err(error) if !user.deleting => {
                    let unanswered = unanswered(&error);
                    if unanswered.temporary {
                        return Err(unanswered);
                    }
                    accounts.incomplete.entry(unanswered.error).or_default().push(name.clone());
                }
                _ => {}
            }
        }
        Ok(accounts)
    }
}

/// What is not known of a server that is to be rebuilt, because of `error`.
pub(crate) fn unanswered(error: &Error) -> Unanswered {
    Unanswered { error: error.sentence(), temporary: error.is_temporary() }
}
