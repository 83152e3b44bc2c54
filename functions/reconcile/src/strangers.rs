//! Accounts without a record. Ours are deleted, unless there are so many that the table may be the wrong one; accounts
//! of others are only reported.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use wharfinger_aws::error::AwsError;
use wharfinger_decisions::{account, deployment};

use crate::{
    owners::{Owner, REMEMBERED_FOR},
    users::Users,
    visit::Visit,
};

/// How many accounts are described at once.
const AT_ONCE: usize = 4;

impl Users<'_> {
    /// Finds out until `until` whose the accounts without a record are, and deletes ours. None is deleted while the
    /// owner of one is unknown: there may be too many of ours.
    pub(crate) async fn look_at_strangers(&mut self, until: Duration) {
        let Some(server_id) = self.server_id.clone() else { return };
        let (ours, all_known) = self.find_owners(&server_id, until).await;
        self.tally.strangers.sort_unstable();
        if account::is_mass_deletion(ours.len(), self.listed) {
            self.tally.without_record = Some(ours.len());
        }
        if !all_known || self.tally.without_record.is_some() {
            return;
        }
        for name in ours {
            if let Err(error) = self.visit.delete_ours(&server_id, &name).await {
                tracing::warn!(server = %self.visit.server, user = name, %error, "a forgotten user could not be deleted");
                self.tally.waiting += 1;
            }
        }
    }

    /// Returns the accounts that are ours, and whether every owner is known. It ends when there are too many of ours.
    async fn find_owners(&mut self, server_id: &str, until: Duration) -> (Vec<String>, bool) {
        let visit = self.visit;
        let find = |name: String| async move { (visit.owner_of(server_id, &name).await, name) };
        let found = stream::iter(std::mem::take(&mut self.without_record)).map(find);
        let mut found = std::pin::pin!(found.buffer_unordered(AT_ONCE));
        let (mut ours, mut all_known) = (Vec::new(), true);
        loop {
            if visit.moment.elapsed() >= until {
                self.tally.waiting += 1;
                return (ours, false);
            }
            let Some((owner, name)) = found.next().await else { return (ours, all_known) };
            match owner {
                Ok(Owner::Us) => {
                    ours.push(name);
                    if account::is_mass_deletion(ours.len(), self.listed) {
                        return (ours, false);
                    }
                }
                Ok(Owner::Others) => self.tally.strangers.push(name),
                Ok(Owner::Nobody) => {}
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

impl Visit<'_> {
    /// The owner of an account, as it was described within the last hour.
    async fn owner_of(&self, server_id: &str, name: &str) -> Result<Owner, AwsError> {
        match self.app.owners.recall(server_id, name, self.moment.now - REMEMBERED_FOR) {
            Some(known) => Ok(known),
            None => self.described_owner(server_id, name).await,
        }
    }

    async fn described_owner(&self, server_id: &str, name: &str) -> Result<Owner, AwsError> {
        let account = self.in_turn(self.app.accounts.account(server_id, name)).await?;
        let owner = account.map_or(Owner::Nobody, |account| {
            let is_ours =
                matches!(self.deployment.owner(&account.tags), deployment::Owner::Us | deployment::Owner::Unmarked);
            if deployment::is_of(self.server, &account.tags) && is_ours { Owner::Us } else { Owner::Others }
        });
        self.app.owners.remember(server_id, name, owner, self.moment.present());
        Ok(owner)
    }

    /// Deletes an account of ours, if it still is: what an earlier visit has found out is looked at again.
    async fn delete_ours(&self, server_id: &str, name: &str) -> Result<(), AwsError> {
        let owner = match self.app.owners.recall(server_id, name, self.moment.now) {
            Some(owner) => owner,
            None => self.described_owner(server_id, name).await?,
        };
        if owner != Owner::Us {
            return Ok(());
        }
        self.in_turn(self.app.accounts.delete_user(server_id, name)).await
    }
}
