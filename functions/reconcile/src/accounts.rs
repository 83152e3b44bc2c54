//! A server's users: AWS's accounts are made equal to what is wanted. One user's trouble holds up no other.
//!
//! An account is compared with AWS when something about it changed, when AWS's list shows another number of keys, and
//! every ten minutes.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::{
    account::{self, Step, Wanted},
    names::{ServerName, UserName},
    user::{UserPhase, UserStatus},
};
use wharfinger_runtime::Moment;
use wharfinger_store::{
    servers::ServerRecord,
    sites::{self, SiteRecord},
    table::StoreError,
    unreadable::{Unreadable, readable},
    users::{self, UserRecord},
};

use crate::{
    app::App,
    sight::{SERVER_TAG, tags},
    trouble::{self, Trouble},
};

/// How long an account is taken to be as it was seen.
const TRUSTED_FOR: SignedDuration = SignedDuration::from_mins(10);

/// Half of the time the function may run: users that are left over come with the next look.
const TIME_FOR_USERS: Duration = Duration::from_secs(15);

/// What came of the users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// So many wait for AWS.
    pub(crate) waiting: usize,
    /// So many are refused.
    pub(crate) failed: usize,
    /// Accounts on AWS that nobody asked for.
    pub(crate) strangers: Vec<String>,
    /// There was no time for all.
    pub(crate) left_over: bool,
    /// Why no account could be looked at.
    pub(crate) trouble: Option<String>,
}

impl Report {
    /// What to add to the server's reason.
    pub(crate) fn remark(&self) -> String {
        let mut remark = String::new();
        if let Some(trouble) = &self.trouble {
            remark.push_str(&format!("; its users could not be read: {trouble}"));
        }
        if self.failed > 0 {
            remark.push_str(&format!("; {} of its users failed: see their status", self.failed));
        }
        if !self.strangers.is_empty() {
            let names = self.strangers.join(", ");
            remark.push_str(&format!("; AWS has users that were not made here: {names}"));
        }
        remark
    }
}

/// One server's users in hand.
struct Accounts<'a> {
    app: &'a App,
    server: &'a ServerName,
    record: &'a ServerRecord,
    server_id: &'a str,
    sites: BTreeMap<String, SiteRecord>,
    moment: Moment,
}

/// Brings the users of `server`, which AWS knows as `server_id`, to what is wanted; stops after half of the time an invocation has.
pub(crate) async fn sync(
    app: &App,
    server: &ServerName,
    record: &ServerRecord,
    server_id: &str,
    moment: Moment,
) -> Result<Report, StoreError> {
    let wanted = app.table.all::<UserRecord>(&users::partition(server)).await?;
    let leave_alone = |item: &Unreadable| trouble::leave_alone(item, moment.present());
    let sites = readable(app.table.all::<SiteRecord>(sites::PARTITION).await?, leave_alone);
    let sites = sites.into_iter().filter(|(_, site)| !site.deleting).collect();
    let mut report = Report::default();
    let mut listed = match app.transfer.users(server_id).await {
        Ok(listed) => listed,
        Err(error) => {
            report.waiting = 1;
            report.trouble = Some(error.to_string());
            return Ok(report);
        }
    };
    let accounts = Accounts { app, server, record, server_id, sites, moment };
    for (name, user) in wanted {
        // Also what can't be read is somebody's: its account is no stranger's.
        let keys = listed.remove(&name);
        let user = match user {
            Ok(user) => user,
            Err(unreadable) => {
                leave_alone(&unreadable);
                continue;
            }
        };
        if moment.elapsed() >= TIME_FOR_USERS {
            report.left_over = true;
            continue;
        }
        let name = UserName::from_stored(name);
        if user.deleting {
            accounts.remove(&name, &user, &mut report).await?;
        } else if accounts.needs_a_look(&user, keys, accounts.moment.present()) {
            accounts.settle(&name, &user, &mut report).await?;
        }
    }
    accounts.strangers(listed.into_keys().collect(), &mut report).await;
    Ok(report)
}

impl Accounts<'_> {
    fn needs_a_look(&self, user: &UserRecord, keys: Option<usize>, now: Timestamp) -> bool {
        let status = &user.status;
        let Some(observed) = status.observed_at else { return true };
        let site = user.intent.site.as_ref().map(|site| self.sites.get(site.as_str()));
        let site_changed = site.is_some_and(|site| site.is_none_or(|site| site.updated_at >= observed));
        status.state != UserPhase::Ready
            || status.settled_version != user.version
            || keys != Some(user.intent.public_keys.len())
            || site_changed
            || self.record.status.settled_version != self.record.version
            || now.duration_since(observed) > TRUSTED_FOR
    }

    async fn settle(&self, name: &UserName, user: &UserRecord, report: &mut Report) -> Result<(), StoreError> {
        let mut status = UserStatus { observed_at: Some(self.moment.present()), ..user.status.clone() };
        match self.bring(name, user).await {
            Ok(()) => {
                status.settled_version = user.version;
                (status.state, status.reason) = (
                    UserPhase::Ready,
                    "can log in while the server is online; the directory must exist on the file system".into(),
                );
            }
            Err(trouble) => {
                tracing::warn!(server = %self.server, user = %name, error = %trouble, "a user is not as wanted");
                let temporary = trouble.is_temporary();
                let state = if temporary { UserPhase::Pending } else { UserPhase::Failed };
                (status.state, status.reason) = (state, trouble.sentence());
                if temporary { report.waiting += 1 } else { report.failed += 1 }
            }
        }
        self.write(name, &status).await
    }

    /// Makes the account what is wanted.
    async fn bring(&self, name: &UserName, user: &UserRecord) -> Result<(), Trouble> {
        let wanted = self.wanted(user)?;
        match self.take_steps(name, &wanted).await {
            // The answer to CreateUser was lost and the SDK asked again: what is there now says what is left to do.
            Err(Trouble::Aws(error)) if error.is_exists() => self.take_steps(name, &wanted).await,
            other => other,
        }
    }

    /// Takes all steps to `wanted`. Keys are taken back also when another step was refused.
    async fn take_steps(&self, name: &UserName, wanted: &Wanted) -> Result<(), Trouble> {
        let transfer = &self.app.transfer;
        let account = transfer.account(self.server_id, name.as_str(), SERVER_TAG).await?;
        let mut trouble = None;
        for step in account::steps(wanted, account.as_ref()) {
            tracing::info!(server = %self.server, user = %name, step = described(&step), "changing a user");
            let answer = match &step {
                Step::Create(wanted) => {
                    // Without the account no other step makes sense.
                    let tags = tags(self.app, self.server);
                    transfer.create_user(self.server_id, name, wanted, &tags).await?;
                    Ok(())
                }
                Step::Update(wanted) => transfer.update_user(self.server_id, name, wanted).await,
                Step::AddKey(key) => transfer.import_key(self.server_id, name, key).await,
                Step::RemoveKey(id) => transfer.delete_key(self.server_id, name, id).await,
            };
            if let Err(error) = answer {
                trouble.get_or_insert(error);
            }
        }
        trouble.map_or(Ok(()), |error| Err(error.into()))
    }

    fn wanted(&self, user: &UserRecord) -> Result<Wanted, Trouble> {
        let spec = &self.record.intent.spec;
        let site = user.intent.site.as_ref().and_then(|site| self.sites.get(site.as_str()));
        let root = account::root(&user.intent, site.map(|site| &site.intent), &spec.file_system_id)
            .map_err(|error| Trouble::Missing(error.to_string()))?;
        Ok(Wanted {
            role: spec.user_role_arn.as_ref().unwrap_or(&self.app.user_role).clone(),
            root,
            posix: user.intent.posix.clone(),
            keys: user.intent.public_keys.clone(),
        })
    }

    async fn remove(&self, name: &UserName, user: &UserRecord, report: &mut Report) -> Result<(), StoreError> {
        let error = match self.app.transfer.delete_user(self.server_id, name.as_str()).await {
            Ok(()) => {
                tracing::info!(server = %self.server, user = %name, "the user is deleted");
                let forgotten = self.app.table.forget(&users::key(self.server, name), user.version).await;
                return if let Err(StoreError::Conflict) = forgotten { Ok(()) } else { forgotten };
            }
            Err(error) => Trouble::from(error),
        };
        if error.is_temporary() {
            report.waiting += 1
        } else {
            report.failed += 1
        }
        let status = UserStatus {
            state: UserPhase::Deleting,
            reason: error.sentence(),
            observed_at: Some(self.moment.present()),
            ..user.status.clone()
        };
        self.write(name, &status).await
    }

    /// Accounts without a record: ours are deleted, those of others are only told of.
    async fn strangers(&self, names: Vec<String>, report: &mut Report) {
        for name in names {
            let account = self.app.transfer.account(self.server_id, &name, SERVER_TAG).await;
            let ours = matches!(&account, Ok(Some(account)) if account.tagged.as_deref() == Some(self.server.as_str()));
            if !ours {
                report.strangers.push(name);
            } else if let Err(error) = self.app.transfer.delete_user(self.server_id, &name).await {
                tracing::warn!(server = %self.server, user = name, %error, "a forgotten user could not be deleted");
                report.waiting += 1;
            }
        }
    }

    async fn write(&self, name: &UserName, status: &UserStatus) -> Result<(), StoreError> {
        match self.app.table.write_status(&users::key(self.server, name), status).await {
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }
}

fn described(step: &Step) -> &'static str {
    match step {
        Step::Create(_) => "create",
        Step::Update(_) => "update",
        Step::AddKey(_) => "add key",
        Step::RemoveKey(_) => "remove key",
    }
}
