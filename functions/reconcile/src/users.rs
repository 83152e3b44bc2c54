//! A server's users: processed by urgency, several at once. If AWS refuses one user, the others go on.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use wharfinger_decisions::{
    account::{Listed, Urgency, User, Wanted},
    names::UserName,
};
use wharfinger_runtime::metrics;
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::StoreError,
    unreadable::readable,
    users::{self, UserRecord},
};

use crate::{
    concurrency::Concurrency,
    error::{Error, sentence},
    tally::{Progress, Tally},
    visit::Visit,
};

/// How long accounts without a record may be described in one visit.
const TIME_FOR_STRANGERS: Duration = Duration::from_secs(3);

/// The users of a server, and the results so far.
pub(crate) struct Users<'a> {
    pub(crate) visit: &'a Visit<'a>,
    pub(crate) server_id: Option<String>,
    jobs: VecDeque<Job>,
    /// Accounts on AWS without a record.
    pub(crate) without_record: Vec<String>,
    /// How many accounts AWS has.
    pub(crate) listed: usize,
    /// Why AWS's list of accounts could not be read.
    unlisted: Option<String>,
    pub(crate) tally: Tally,
}

/// One account to process.
pub(crate) struct Job {
    pub(crate) name: UserName,
    pub(crate) user: UserRecord,
    /// The wanted account, or why it can't be determined.
    pub(crate) wanted: Result<Wanted, Error>,
    pub(crate) urgency: Urgency,
}

/// The sites that are not being deleted, by name, or why the table could not be read.
pub(crate) type Sites = Result<BTreeMap<String, SiteRecord>, StoreError>;

impl Visit<'_> {
    /// Loads the users of the server `server_id`, the most urgent first. Without an id there is nothing to do.
    pub(crate) async fn users(&self, server_id: Option<&str>) -> Users<'_> {
        let mut users = Users {
            visit: self,
            server_id: server_id.map(str::to_owned),
            jobs: VecDeque::new(),
            without_record: Vec::new(),
            listed: 0,
            unlisted: None,
            tally: Tally::default(),
        };
        let Some(server_id) = server_id else { return users };
        let partition = users::partition(self.server);
        let (records, sites, listed) = tokio::join!(
            self.app.table.all::<UserRecord>(&partition),
            self.sites(),
            self.app.transfer.users(server_id),
        );
        let listed = listed.map_err(|error| users.unlisted = Some(sentence(&error))).ok();
        users.listed = listed.as_ref().map_or(0, BTreeMap::len);
        let records = match records {
            Ok(records) => records,
            Err(error) => {
                users.tally.unread(&error);
                return users;
            }
        };
        // A record that can't be read is somebody's: its account is no stranger's.
        let unknown = listed.iter().flatten().filter(|(name, _)| !records.iter().any(|(known, _)| known == *name));
        users.without_record = unknown.map(|(name, _)| name.clone()).collect();
        let records = readable(records, |item| metrics::unreadable_record(item, self.moment.present()));
        users.plan(records, &sites, server_id, listed.as_ref());
        users
    }

    async fn sites(&self) -> Sites {
        let sites = self.app.table.all::<SiteRecord>(sites::PARTITION).await?;
        let sites = readable(sites, |item| metrics::unreadable_record(item, self.moment.present()));
        Ok(sites.into_iter().filter(|(_, site)| !site.deleting).collect())
    }
}

impl Users<'_> {
    /// Plans a job for each account that needs work. Users whose site can't be read now are left to the next visit.
    fn plan(
        &mut self,
        records: Vec<(String, UserRecord)>,
        sites: &Sites,
        server_id: &str,
        listed: Option<&BTreeMap<String, Listed>>,
    ) {
        let now = self.visit.moment.present();
        let mut jobs = Vec::new();
        for (name, user) in records {
            let wanted = self.visit.account(&user, sites);
            if !user.deleting && wanted.as_ref().is_err_and(Error::is_temporary) {
                self.tally.count(Progress::Waiting);
                continue;
            }
            let Some(urgency) = urgency(&name, &user, wanted.as_ref().ok(), server_id, listed, now) else { continue };
            // A server on its way out takes nobody in any more.
            if !self.visit.record.deleting || urgency == Urgency::Remove {
                jobs.push(Job { name: UserName::from_stored(name), user, wanted, urgency });
            }
        }
        jobs.sort_by_key(|job| (job.urgency, job.user.status.observed_at));
        self.jobs = jobs.into();
    }

    /// Deletes the users that are to be deleted and drops all other jobs. No job is started after `until`.
    pub(crate) async fn remove(&mut self, until: Duration) {
        self.jobs.retain(|job| job.urgency == Urgency::Remove);
        self.work_off(Urgency::Remove, until).await;
        self.tally.left_over = self.jobs.len();
    }

    /// Processes the accounts that may grant more access than wanted. No job is started after `until`.
    pub(crate) async fn close(&mut self, until: Duration) {
        self.work_off(Urgency::Revoke, until).await;
    }

    /// Processes all other accounts. No job is started after `until`. Accounts without a record come after those that
    /// are not as wanted, with a time limit of their own.
    pub(crate) async fn settle(&mut self, until: Duration) {
        self.tally.unknown.extend(self.unlisted.take());
        self.work_off(Urgency::Settle, until).await;
        self.look_at_strangers(self.visit.moment.elapsed() + TIME_FOR_STRANGERS).await;
        self.work_off(Urgency::Retry, until).await;
        self.tally.left_over = self.jobs.len();
    }

    async fn work_off(&mut self, least: Urgency, until: Duration) {
        let Some(server_id) = self.server_id.as_deref() else { return };
        let visit = self.visit;
        let mut concurrency = Concurrency::default();
        let mut running = FuturesUnordered::new();
        loop {
            while concurrency.allows(running.len()) && visit.moment.elapsed() < until {
                let Some(job) = self.jobs.pop_front_if(|job| job.urgency <= least) else { break };
                running.push(Box::pin(visit.work(server_id, job)));
            }
            let Some(progress) = running.next().await else { break };
            concurrency = concurrency.after(progress == Progress::Waiting);
            self.tally.count(progress);
        }
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
