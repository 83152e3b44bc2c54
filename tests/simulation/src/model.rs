//! What people were told, and so what they may expect.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wharfinger_decisions::server::Power;
use wharfinger_emulator::transfer::sftp::Visit;

use crate::story::{Idle, Record};

/// What is expected of all that was asked for.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) servers: BTreeMap<usize, Expected<()>>,
    pub(crate) sites: BTreeMap<usize, Site>,
    /// Users by server and user: the key that they have.
    pub(crate) users: BTreeMap<(usize, usize), Expected<usize>>,
    /// Keys that must not open a door any more.
    pub(crate) withdrawn: Vec<Withdrawn>,
    /// Address blocks by server that must be closed, and since when they must.
    pub(crate) withdrawn_blocks: BTreeMap<(usize, u8), Timestamp>,
    /// Records that a later version wrote in a form that this one can't read.
    pub(crate) unreadable: Vec<Record>,
    /// The first server's Elastic IP is gone.
    pub(crate) address_lost: bool,
    /// The last order about each server's power.
    pub(crate) orders: BTreeMap<usize, Ordered>,
    /// What is to become of servers that nobody uses, where that is known.
    pub(crate) idle: BTreeMap<usize, Idle>,
    /// Servers with something in them of which nothing is recorded, so that they can't be rebuilt.
    pub(crate) foreign: BTreeSet<usize>,
    /// Address blocks by server that a person asked for.
    asked_blocks: BTreeSet<(usize, u8)>,
    /// Open sessions by server and user.
    pub(crate) visits: BTreeMap<(usize, usize), Visitor>,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected<T> {
    /// It is wanted so.
    There(T),
    /// It is not wanted.
    Gone,
    /// Its caller was told nothing for sure.
    Unknown,
}

/// A person's last order about a server's power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ordered {
    /// None was given.
    #[default]
    Nothing,
    /// This one.
    For(Power, Timestamp),
    /// Nobody knows which.
    Unknown,
}

/// A site, and the last change to it that was finished.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) expected: Expected<()>,
    pub(crate) since: Timestamp,
    pub(crate) quiet_seconds: u64,
    pub(crate) service: usize,
    pub(crate) last_change: Option<Timestamp>,
    /// When a file of it was touched last, finished or not.
    pub(crate) last_stir: Option<Timestamp>,
    /// When its container came to be another's. What was mounted before is not mounted there.
    pub(crate) moved: Option<Timestamp>,
}

/// A key that was taken from a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Withdrawn {
    pub(crate) server: usize,
    pub(crate) user: usize,
    pub(crate) key: usize,
    pub(crate) at: Timestamp,
}

/// An open session.
pub(crate) struct Visitor {
    pub(crate) visit: Visit,
    pub(crate) server_id: String,
    pub(crate) since: Timestamp,
    /// The site that its files belong to.
    pub(crate) site: Option<usize>,
    /// Open uploads: their handles and how much was sent.
    pub(crate) uploads: BTreeMap<String, (String, u64)>,
}

impl Model {
    /// `key` of a user opens the door from now on, as far as anyone knows.
    pub(crate) fn given(&mut self, server: usize, user: usize, key: usize) {
        self.withdrawn.retain(|one| (one.server, one.user, one.key) != (server, user, key));
    }

    /// `key` of a user opens the door no longer.
    pub(crate) fn withdraw(&mut self, server: usize, user: usize, key: usize, at: Timestamp) {
        self.given(server, user, key);
        self.withdrawn.push(Withdrawn { server, user, key, at });
    }

    /// Notes a finished change to a site.
    pub(crate) fn changed(&mut self, site: Option<usize>, at: Timestamp) {
        if let Some(site) = site.and_then(|site| self.sites.get_mut(&site)) {
            (site.last_change, site.last_stir) = (Some(at), Some(at));
        }
    }

    /// Notes that an upload to a site broke off.
    pub(crate) fn stirred(&mut self, site: Option<usize>, at: Timestamp) {
        if let Some(site) = site.and_then(|site| self.sites.get_mut(&site)) {
            site.last_stir = Some(at);
        }
    }

    /// `block` may be open from now on.
    pub(crate) fn may_admit(&mut self, server: usize, block: u8) {
        self.asked_blocks.insert((server, block));
        self.withdrawn_blocks.remove(&(server, block));
    }

    /// `block` alone is to be open from now on.
    pub(crate) fn admit(&mut self, server: usize, block: u8, at: Timestamp) {
        self.may_admit(server, block);
        for other in self.asked_blocks.iter().filter(|one| one.0 == server && one.1 != block) {
            self.withdrawn_blocks.entry(*other).or_insert(at);
        }
    }

    /// `record` can't be read from now on: nothing is brought about by it but its end.
    pub(crate) fn strange(&mut self, record: Record) {
        self.unreadable.push(record);
        match record {
            Record::Server { server } => {
                self.servers.insert(server, Expected::Unknown);
                self.orders.insert(server, Ordered::Unknown);
                self.withdrawn_blocks.retain(|(of, _), _| *of != server);
            }
            Record::User { server, user } => {
                self.users.insert((server, user), Expected::Unknown);
                self.withdrawn.retain(|one| (one.server, one.user) != (server, user));
            }
            Record::Site { site } => {
                if let Some(site) = self.sites.get_mut(&site) {
                    (site.expected, site.last_change) = (Expected::Unknown, None);
                }
            }
        }
    }

    /// `record` was replaced or removed. What waited for that counts from then.
    pub(crate) fn restored(&mut self, record: Record, at: Timestamp) {
        if !self.is_readable(record) {
            self.unreadable.retain(|one| *one != record);
            if let Record::Server { server } = record {
                self.withdrawn.iter_mut().filter(|one| one.server == server).for_each(|one| one.at = at);
            }
        }
    }

    pub(crate) fn is_readable(&self, record: Record) -> bool {
        !self.unreadable.contains(&record)
    }

    /// Since when somebody is on a server.
    pub(crate) fn since(&self, server_id: &str) -> Option<Timestamp> {
        self.visits.values().filter(|one| one.server_id == server_id).map(|one| one.since).min()
    }
}
