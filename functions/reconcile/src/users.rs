//! A server's users: processed by urgency, several at once. If AWS refuses one user, the others go on.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use wharfinger_aws::error::{AwsError, Kind};
use wharfinger_decisions::{
    account::{Listed, Urgency, User, Wanted},
    names::UserName,
    rebuild::{Accounts, Unanswered},
    server::Power,
};
use wharfinger_runtime::metrics;
use wharfinger_store::{unreadable::readable, users::UserRecord};

use crate::{
    error::Error,
    records::{self, Records, Sites},
    tally::{Progress, Tally},
    visit::Visit,
};

/// How long accounts without a record may be described in one visit.
const TIME_FOR_STRANGERS: Duration = Duration::from_secs(3);

/// How many calls of Transfer Family a visit makes that finds everything as wanted, the look at the server and the
/// search for more of its name included. What the list leaves of them is spent on the accounts that were not described
/// for longest: AWS's list shows their roles and numbers of keys, and nothing else of them.
const QUIET_CALLS: usize = 12;

/// Calls of a visit that are not about users.
const OTHER_CALLS: usize = 2;

/// How many users a page of AWS's list has.
const PAGE: usize = 1000;

/// How long the list of a server with more than a page of users is trusted. A page costs as much as a description, and
/// one after the other they take time in which nobody is let in.
const LIST_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// How long AWS's list is waited for. Without it accounts are taken to be as they were left, and what is to be closed is
/// closed in time.
const LIST_WITHIN: Duration = Duration::from_secs(8);

/// Conditions that stand on what the list shows beside the users of the table.
const FROM_THE_LIST: [&str; 4] = ["mass_deletion", "strangers", "strangers_unknown", "users_unknown"];

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
    /// Which of the listed accounts the table could not bring back; `None` if AWS was not asked for its list.
    pub(crate) accounts: Option<Result<Accounts, Unanswered>>,
    pub(crate) tally: Tally,
}

/// One account to process.
pub(crate) struct Job {
    pub(crate) name: UserName,
    pub(crate) user: UserRecord,
    /// The wanted account, or why it can't be determined.
    pub(crate) wanted: Result<Wanted, Error>,
    pub(crate) urgency: Urgency,
    /// Whether AWS has it, as far as is known.
    pub(crate) is_there: bool,
    /// How often AWS was too busy for it in this visit.
    pub(crate) tries: u32,
}

/// The result of work on an account.
pub(crate) enum Outcome {
    /// It is done, for this visit.
    Done(Progress),
    /// AWS was too busy. Nothing was written down, and it may be tried again.
    Again(Box<Job>),
}

impl Visit<'_> {
    /// Loads the users of the server `server_id`, the most urgent first, and meanwhile deletes those that are to be
    /// deleted, none of which is started after `until`: for that AWS need not list anybody. Without an id there is
    /// nothing to do.
    pub(crate) async fn users(&self, server_id: Option<&str>, until: Duration) -> Users<'_> {
        let mut users = Users {
            visit: self,
            server_id: server_id.map(str::to_owned),
            jobs: VecDeque::new(),
            without_record: Vec::new(),
            listed: 0,
            unlisted: None,
            accounts: None,
            tally: Tally::default(),
        };
        let Some(server_id) = server_id else { return users };
        let records = match self.records().await {
            Ok(records) => records,
            Err(error) => {
                users.tally.unread(&error);
                users.accounts = Some(Err(records::unanswered(&Error::from(error))));
                return users;
            }
        };
        let listing = self.list(server_id, records.users.len());
        let (listed, ()) = tokio::join!(listing, users.remove_recorded(&records, until));
        users.accounts = match &listed {
            Ok(listed) => listed.as_ref().map(|listed| self.lost_accounts(&records, listed)),
            Err(error) => Some(Err(records::unanswered(&Error::unknown(error)))),
        };
        let listed = listed.unwrap_or_else(|error| {
            users.unlisted = Some(error.sentence());
            None
        });
        users.listed = listed.as_ref().map_or(0, BTreeMap::len);
        // A record that can't be read is somebody's: its account is no stranger's.
        let Records { users: records, sites } = records;
        let unknown = listed.iter().flatten().filter(|(name, _)| !records.iter().any(|(known, _)| known == *name));
        users.without_record = unknown.map(|(name, _)| name.clone()).collect();
        let records = readable(records, |item| metrics::unreadable_record(item, self.moment.present()));
        users.plan(records, &sites, server_id, listed.as_ref());
        users
    }

    /// The accounts as AWS lists them; `None` if it need not be asked, where the table has `known` users.
    async fn list(&self, server_id: &str, known: usize) -> Result<Option<BTreeMap<String, Listed>>, AwsError> {
        if !self.lists(known) {
            return Ok(None);
        }
        let listed = tokio::time::timeout(LIST_WITHIN, self.app.transfer.users(server_id)).await;
        listed.map_or_else(|_| Err(unlisted(server_id)), |listed| listed.map(Some))
    }

    /// Whether to ask AWS for the list of the accounts, where the table has `known` users.
    fn lists(&self, known: usize) -> bool {
        let before = &self.record.status;
        let shows_more = before.conditions.iter().any(|condition| FROM_THE_LIST.contains(&&*condition.code));
        let slot = |at: Timestamp| at.as_second().div_euclid(LIST_EVERY.as_secs());
        let is_old = before.observed_at.is_none_or(|at| slot(at) != slot(self.moment.now));
        // One that is to sleep is deleted only if each account could be made again.
        let sleeps = self.wanted.power == Power::Asleep;
        known <= PAGE || is_old || shows_more || sleeps
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
        for (name, user) in records.into_iter().filter(|(_, user)| !user.deleting) {
            let wanted = self.visit.account(&user, sites);
            if wanted.as_ref().is_err_and(Error::is_temporary) {
                self.tally.count(Progress::Waiting);
                continue;
            }
            let there = there(&name, &user, wanted.as_ref().ok(), server_id, listed);
            let Some(urgency) = urgency(&user, wanted.as_ref().ok(), server_id, there.as_ref(), now) else { continue };
            // A server on its way out takes nobody in any more.
            if !self.visit.record.deleting {
                let name = UserName::from_stored(name);
                jobs.push(Job { name, user, wanted, urgency, is_there: there.is_some(), tries: 0 });
            }
        }
        jobs.sort_by_key(|job| (job.urgency, job.user.status.observed_at));
        let pages = listed.map_or(0, |listed| listed.len().div_ceil(PAGE).max(1));
        let mut rechecks = QUIET_CALLS.saturating_sub(OTHER_CALLS + pages);
        jobs.retain(|job| {
            let is_recheck = job.urgency == Urgency::Recheck;
            let is_kept = !is_recheck || rechecks > 0;
            rechecks -= usize::from(is_recheck && is_kept);
            is_kept
        });
        self.jobs.extend(jobs);
    }

    /// Deletes the users that are to be deleted according to `records`. What there is no time for stays the first job.
    async fn remove_recorded(&mut self, records: &Records, until: Duration) {
        let deleted = records.users.iter().filter_map(|(name, user)| Some((name, user.as_ref().ok()?)));
        let deleted = deleted.filter(|(_, user)| user.deleting).map(|(name, user)| Job {
            name: UserName::from_stored(name.clone()),
            user: user.clone(),
            wanted: self.visit.account(user, &records.sites),
            urgency: Urgency::Remove,
            is_there: true,
            tries: 0,
        });
        self.jobs = deleted.collect();
        self.work_off(Urgency::Remove, until).await;
    }

    /// Deletes the users that are to be deleted and drops all other jobs.
    pub(crate) fn only_removed(mut self) -> Tally {
        self.jobs.retain(|job| job.urgency == Urgency::Remove);
        self.tally.left_over = self.jobs.len();
        self.tally
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
        let (visit, rate) = (self.visit, &self.visit.app.rate);
        let mut running = FuturesUnordered::new();
        loop {
            while rate.allows(running.len()) && visit.moment.elapsed() < until {
                let Some(job) = self.jobs.pop_front_if(|job| job.urgency <= least) else { break };
                running.push(Box::pin(visit.work(server_id, job)));
            }
            match running.next().await {
                Some(Outcome::Done(progress)) => self.tally.count(progress),
                Some(Outcome::Again(job)) => self.jobs.push_front(*job),
                None => break,
            }
        }
    }
}

fn unlisted(server_id: &str) -> AwsError {
    let kind = Kind::Unanswered(format!("nothing came within {} seconds", LIST_WITHIN.as_secs()));
    AwsError { action: format!("list the users of server {server_id}"), kind }
}

/// The account of a user as AWS lists it. Where there is no list, accounts are taken to be as they were left.
fn there(
    name: &str,
    user: &UserRecord,
    wanted: Option<&Wanted>,
    server_id: &str,
    listed: Option<&BTreeMap<String, Listed>>,
) -> Option<Listed> {
    if let Some(listed) = listed {
        return listed.get(name).cloned();
    }
    let status = &user.status;
    // Earlier versions did not tell where they made it, and one that was tried may have been made.
    let was_tried = status.settled_version > 0 || status.tried_version > 0;
    let is_there = status.applied.as_ref().map_or(was_tried, |applied| applied.server_id == server_id);
    is_there.then(|| Listed {
        keys: user.intent.public_keys.len(),
        role: wanted.map(|wanted| wanted.role.to_string()).unwrap_or_default(),
    })
}

fn urgency(
    user: &UserRecord,
    wanted: Option<&Wanted>,
    server_id: &str,
    there: Option<&Listed>,
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
    facts.urgency(there, now)
}
