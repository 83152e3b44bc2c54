//! Accounts without a record. Ours are deleted, unless there are so many that the table may be the wrong one; accounts
//! of others are only reported.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use wharfinger_decisions::account;

use crate::{observe::SERVER_TAG, users::Users};

/// How many accounts are described at once.
const AT_ONCE: usize = 4;

impl Users<'_> {
    /// Describes the accounts without a record until `until`, and deletes ours. None is deleted while the owner of one
    /// is unknown: there may be too many of ours.
    pub(crate) async fn look_at_strangers(&mut self, until: Duration) {
        let Some(server_id) = self.server_id.clone() else { return };
        let (ours, all_known) = self.describe_strangers(&server_id, until).await;
        self.tally.strangers.sort_unstable();
        if account::is_mass_deletion(ours.len(), self.listed) {
            self.tally.without_record = Some(ours.len());
        }
        if !all_known || self.tally.without_record.is_some() {
            return;
        }
        for name in ours {
            if let Err(error) = self.visit.app.transfer.delete_user(&server_id, &name).await {
                tracing::warn!(server = %self.visit.server, user = name, %error, "a forgotten user could not be deleted");
                self.tally.waiting += 1;
            }
        }
    }

    /// Returns the accounts that are ours, and whether every owner is known.
    async fn describe_strangers(&mut self, server_id: &str, until: Duration) -> (Vec<String>, bool) {
        let (visit, transfer) = (self.visit, &self.visit.app.transfer);
        let describe = |name: String| async move { (transfer.account(server_id, &name, SERVER_TAG).await, name) };
        let described = stream::iter(std::mem::take(&mut self.without_record)).map(describe);
        let mut described = std::pin::pin!(described.buffer_unordered(AT_ONCE));
        let (mut ours, mut all_known) = (Vec::new(), true);
        loop {
            if visit.moment.elapsed() >= until {
                self.tally.waiting += 1;
                return (ours, false);
            }
            let Some((account, name)) = described.next().await else { return (ours, all_known) };
            match account {
                Ok(Some(account)) if account.tagged.as_deref() == Some(visit.server.as_str()) => ours.push(name),
                Ok(Some(_)) => self.tally.strangers.push(name),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(server = %visit.server, user = name, %error, "whose account it is can't be told");
                    let count =
                        if error.is_temporary() { &mut self.tally.waiting } else { &mut self.tally.undescribed };
                    *count += 1;
                    all_known = false;
                }
            }
        }
    }
}
