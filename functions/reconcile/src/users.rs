//! A server's users, worked off by urgency and several at once. One user's refusal costs no other.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use futures::{
    StreamExt as _,
    stream::{self, FuturesUnordered},
};
use jiff::Timestamp;
use wharfinger_decisions::{
    account::{self, Listed, Urgency, User, Wanted},
    names::UserName,
};
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::StoreError,
    unreadable::{Unreadable, readable},
    users::{self, UserRecord},
};

use crate::{
    concurrency::Concurrency,
    error::{Error, leave_alone, sentence},
    observe::SERVER_TAG,
    outcome::Outcome,
    visit::Visit,
};

/// How long accounts without a record may be described in one visit.
const TIME_FOR_STRANGERS: Duration = Duration::from_secs(3);

/// How many of them are described at once.
const STRANGERS_AT_ONCE: usize = 4;

/// The users of a server, and what came of them so far.
pub(crate) struct Users<'a> {
    visit: &'a Visit<'a>,
    pub(crate) server_id: Option<String>,
    jobs: VecDeque<Job>,
    strangers: Vec<String>,
    listed: usize,
    pub(crate) tally: Tally,
}

/// One account to be worked on.
pub(crate) struct Job {
    pub(crate) name: UserName,
    pub(crate) user: UserRecord,
    /// What is wanted of the account; an error: that can't be told.
    pub(crate) wanted: Result<Wanted, Error>,
    pub(crate) urgency: Urgency,
}

/// What came of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is as wanted, or gone as wanted.
    Settled,
    /// It waits for AWS, which may have too much to do.
    Waiting,
    /// AWS refuses it, or it lacks something.
    Refused,
}

/// What came of a server's users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many wait for AWS.
    pub(crate) waiting: usize,
    /// How many are refused.
    pub(crate) refused: usize,
    /// How many there was no time for.
    pub(crate) left_over: usize,
    /// Accounts on AWS that nobody asked for, and that are not ours.
    pub(crate) strangers: Vec<String>,
    /// How many accounts without a record AWS refuses to describe, so that nobody knows whose they are.
    pub(crate) undescribed: usize,
    /// How many accounts of ours have no record; they are so many that none was deleted.
    pub(crate) without_record: Option<usize>,
    /// Why AWS's list of accounts could not be read.
    pub(crate) unlisted: Option<String>,
}

impl Tally {
    /// Whether all accounts are known to be as wanted.
    pub(crate) fn is_settled(&self) -> bool {
        let Self { waiting, refused, left_over, strangers: _, undescribed, without_record, unlisted } = self;
        let counts = [waiting, refused, left_over, undescribed];
        counts.iter().all(|count| **count == 0) && without_record.is_none() && unlisted.is_none()
    }

    /// When to look at them again.
    pub(crate) fn outcome(&self) -> Outcome {
        let again = |step: &str, slowly| Outcome::Again { step: step.to_owned(), slowly };
        if self.left_over > 0 {
            again("users", false)
        } else if self.waiting > 0 || self.unlisted.is_some() {
            again("users wait for AWS", false)
        } else if self.refused > 0 || self.undescribed > 0 || self.without_record.is_some() {
            again("users fail", true)
        } else {
            Outcome::Done
        }
    }

    fn count(&mut self, progress: Progress) {
        match progress {
            Progress::Settled => {}
            Progress::Waiting => self.waiting += 1,
            Progress::Refused => self.refused += 1,
        }
    }
}

impl Visit<'_> {
    /// The users of the server that AWS knows as `server_id`, the most urgent first. Without one there is nothing to do
    /// for them.
    pub(crate) async fn users(&self, server_id: Option<&str>) -> Result<Users<'_>, StoreError> {
        let mut users = Users {
            visit: self,
            server_id: server_id.map(str::to_owned),
            jobs: VecDeque::new(),
            strangers: Vec::new(),
            listed: 0,
            tally: Tally::default(),
        };
        let Some(server_id) = server_id else { return Ok(users) };
        let partition = users::partition(self.server);
        let (records, sites, listed) = tokio::join!(
            self.app.table.all::<UserRecord>(&partition),
            self.app.table.all::<SiteRecord>(sites::PARTITION),
            self.app.transfer.users(server_id),
        );
        let leave_alone = |item: &Unreadable| leave_alone(item, self.moment.present());
        let sites = readable(sites?, leave_alone).into_iter().filter(|(_, site)| !site.deleting).collect();
        let listed = listed.map_err(|error| users.tally.unlisted = Some(sentence(&error))).ok();
        users.listed = listed.as_ref().map_or(0, BTreeMap::len);
        let records = records?;
        // Also what can't be read is somebody's: its account is no stranger's.
        let names: Vec<String> = records.iter().map(|(name, _)| name.clone()).collect();
        let records = readable(records, leave_alone);
        let jobs = self.jobs(&records, &sites, server_id, listed.as_ref());
        let mut strangers = listed.unwrap_or_default();
        for name in &names {
            strangers.remove(name);
        }
        users.strangers = strangers.into_keys().collect();
        users.jobs = jobs;
        Ok(users)
    }

    fn jobs(
        &self,
        records: &[(String, UserRecord)],
        sites: &BTreeMap<String, SiteRecord>,
        server_id: &str,
        listed: Option<&BTreeMap<String, Listed>>,
    ) -> VecDeque<Job> {
        let now = self.moment.present();
        let job = |(name, user): &(String, UserRecord)| {
            let wanted = self.account(user, sites);
            let urgency = urgency(name, user, wanted.as_ref().ok(), server_id, listed, now)?;
            let name = UserName::from_stored(name.clone());
            // A server on its way out takes nobody in any more.
            let due = !self.record.deleting || urgency == Urgency::Remove;
            due.then(|| Job { name, user: user.clone(), wanted, urgency })
        };
        let mut jobs: Vec<Job> = records.iter().filter_map(job).collect();
        jobs.sort_by_key(|job| (job.urgency, job.user.status.observed_at));
        jobs.into()
    }
}

fn urgency(
    name: &str,
    user: &UserRecord,
    wanted: Option<&Wanted>,
    server_id: &str,
    listed: Option<&BTreeMap<String, Listed>>,
    now: Timestamp,
) -> Option<Urgency> {
    let target = wanted.map(|wanted| wanted.applied(server_id));
    let facts = User {
        version: user.version,
        deleting: user.deleting,
        keys: user.intent.public_keys.len(),
        status: &user.status,
        target: target.as_ref(),
    };
    // Where AWS's list can't be read, accounts are taken to be as they were.
    let assumed = Listed {
        keys: user.intent.public_keys.len(),
        role: target.as_ref().map(|target| target.role.clone()).unwrap_or_default(),
    };
    facts.urgency(listed.map_or(Some(&assumed), |listed| listed.get(name)), now)
}

impl Users<'_> {
    /// Deletes those that are to be deleted, as far as they can be begun `until` then. All others are left alone.
    pub(crate) async fn remove(&mut self, until: Duration) -> Result<(), StoreError> {
        self.jobs.retain(|job| job.urgency == Urgency::Remove);
        self.tally.unlisted = None;
        self.work_off(Urgency::Remove, until).await?;
        self.tally.left_over = self.jobs.len();
        Ok(())
    }

    /// Works off the accounts that may let somebody in too much, as far as they can be begun `until` then.
    pub(crate) async fn close(&mut self, until: Duration) -> Result<(), StoreError> {
        self.work_off(Urgency::Revoke, until).await
    }

    /// Works off all others, as far as they can be begun `until` then. Accounts without a record are looked at after
    /// those that are not as wanted, and have a little time of their own.
    pub(crate) async fn settle(&mut self, until: Duration) -> Result<(), StoreError> {
        self.work_off(Urgency::Settle, until).await?;
        self.strangers(self.visit.moment.elapsed() + TIME_FOR_STRANGERS).await;
        self.work_off(Urgency::Retry, until).await?;
        self.tally.left_over = self.jobs.len();
        Ok(())
    }

    async fn work_off(&mut self, least: Urgency, until: Duration) -> Result<(), StoreError> {
        let Some(server_id) = self.server_id.as_deref() else { return Ok(()) };
        let visit = self.visit;
        let mut concurrency = Concurrency::default();
        let mut running = FuturesUnordered::new();
        let mut failed = None;
        loop {
            while failed.is_none() && concurrency.allows(running.len()) && visit.moment.elapsed() < until {
                let Some(job) = self.jobs.pop_front_if(|job| job.urgency <= least) else { break };
                running.push(Box::pin(async move { visit.work(server_id, job).await }));
            }
            let Some(progress) = running.next().await else { break };
            match progress {
                Ok(progress) => {
                    concurrency = concurrency.after(progress == Progress::Waiting);
                    self.tally.count(progress);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Accounts without a record: ours are deleted, unless they are so many that the table may be the wrong one; those
    /// of others are only told of. While one of them is unknown, none is deleted: there may be too many of ours.
    async fn strangers(&mut self, until: Duration) {
        let Some(server_id) = self.server_id.as_deref() else { return };
        let (visit, transfer) = (self.visit, &self.visit.app.transfer);
        let describe = |name: String| async move { (transfer.account(server_id, &name, SERVER_TAG).await, name) };
        let described = stream::iter(std::mem::take(&mut self.strangers)).map(describe);
        let mut described = std::pin::pin!(described.buffer_unordered(STRANGERS_AT_ONCE));
        let (mut ours, mut all_known) = (Vec::new(), true);
        loop {
            if visit.moment.elapsed() >= until {
                self.tally.waiting += 1;
                all_known = false;
                break;
            }
            let Some((account, name)) = described.next().await else { break };
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
        self.tally.strangers.sort_unstable();
        if account::is_mass_deletion(ours.len(), self.listed) {
            self.tally.without_record = Some(ours.len());
        }
        if !all_known || self.tally.without_record.is_some() {
            return;
        }
        for name in ours {
            if let Err(error) = transfer.delete_user(server_id, &name).await {
                tracing::warn!(server = %visit.server, user = name, %error, "a forgotten user could not be deleted");
                self.tally.waiting += 1;
            }
        }
    }
}
