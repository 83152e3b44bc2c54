//! What people were told, and so what they may expect.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharfinger_emulator::transfer::sftp::Visit;

/// What is expected of all that was asked for.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) servers: BTreeMap<usize, Expected<()>>,
    pub(crate) sites: BTreeMap<usize, Site>,
    /// Users by server and user: the key that they have.
    pub(crate) users: BTreeMap<(usize, usize), Expected<usize>>,
    /// Keys that must not open a door any more.
    pub(crate) withdrawn: Vec<Withdrawn>,
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

/// A site, and the last change to it that was finished.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) expected: Expected<()>,
    pub(crate) since: Timestamp,
    pub(crate) quiet_seconds: u64,
    pub(crate) service: usize,
    pub(crate) last_change: Option<Timestamp>,
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
            site.last_change = Some(at);
        }
    }

    /// Since when somebody is on a server.
    pub(crate) fn since(&self, server_id: &str) -> Option<Timestamp> {
        self.visits.values().filter(|one| one.server_id == server_id).map(|one| one.since).min()
    }
}
