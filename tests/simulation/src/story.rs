//! What happens in a world, drawn from a seed before it begins: a list of acts, each at its time. An act that makes no
//! sense when its time comes is left out, so that a story stays one when acts are dropped from it.

mod author;
mod words;

use std::time::Duration;

use fastrand::Rng;
use wharfinger_decisions::server::Power;

use self::author::Author;

/// The servers of every story.
pub const SERVERS: [&str; 2] = ["main", "spare"];
/// The sites of every story.
pub const SITES: [&str; 2] = ["blog", "shop"];
/// The users of every story.
pub const USERS: [&str; 3] = ["alice", "bob", "zoe"];

/// What can be in a story beside the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Feature {
    /// Someone's uploads break off again and again.
    EndlessPartial,
    /// Two sites are on one service.
    SharedService,
    /// An Elastic IP goes away.
    MissingAddress,
    /// A later version wrote the record of a server, a user or a site: this one may not know a field of it, or may not be
    /// able to read it at all.
    StrangeRecord,
    /// Starts of servers fail.
    FailedStart,
    /// AWS refuses for an hour to stop servers, and people come meanwhile.
    LateStop,
    /// Functions die, or lose the answer, at the calls where it hurts.
    Deaths,
    /// Every message of a queue is delivered twice: at once, or again much later.
    Doubles,
    /// Someone pastes their private key where the public one belongs.
    PastedKey,
    /// A marker file ends bursts, and events come late and twice.
    Marker,
    /// A site is pointed at another service while it is rolled out.
    SiteMoves,
    /// CI deploys while a rollout is under way.
    Collision,
    /// The first server sleeps and wakes again and again, on people's orders and by itself.
    Sleep,
}

impl Feature {
    /// Those that any story with moods may have, one in twelve each.
    pub const USUAL: [Self; 10] = [
        Self::EndlessPartial,
        Self::MissingAddress,
        Self::StrangeRecord,
        Self::FailedStart,
        Self::LateStop,
        Self::Deaths,
        Self::Doubles,
        Self::PastedKey,
        Self::SiteMoves,
        Self::Sleep,
    ];
}

/// One story of so many has a usual feature.
const RARELY: u8 = 12;

/// How a story is drawn.
#[derive(Clone, Debug)]
pub struct Mix {
    /// For how long things happen.
    pub length: Duration,
    /// Whether AWS has moods, and the story by chance a feature.
    pub storms: bool,
    /// What happens in every story beside the usual.
    pub features: Vec<Feature>,
}

impl Default for Mix {
    fn default() -> Self {
        Self { length: Duration::from_secs(3 * 3600), storms: true, features: Vec::new() }
    }
}

impl Mix {
    /// The usual, and `feature`.
    #[must_use]
    pub fn with(feature: Feature) -> Self {
        Self { features: vec![feature], ..Self::default() }
    }

    /// What a story of `seed` is about.
    fn features_of(&self, seed: u64) -> Vec<Feature> {
        let mut rng = Rng::with_seed(seed ^ 0xfea7);
        let drawn = Feature::USUAL.into_iter().filter(|_| rng.u8(0..RARELY) == 0);
        let drawn: Vec<_> = drawn.filter(|feature| self.storms && !self.features.contains(feature)).collect();
        self.features.iter().copied().chain(drawn).collect()
    }
}

/// What becomes of the next call of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// Its caller dies before it is made.
    DiesBefore,
    /// Its caller dies once it is made.
    DiesAfter,
    /// It is made, and its answer is lost.
    LosesAnswer,
    /// It is made, and its answer never comes.
    NeverAnswers,
}

/// What becomes of a server that nobody uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It stays online.
    Stays,
    /// It is stopped after half an hour.
    Stops,
    /// It is put to sleep after a quarter of an hour. Only a server with Elastic IPs can be.
    Sleeps,
}

/// What somebody does to a server in AWS's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// They give it a banner.
    Banner,
    /// They give it another security policy, and a tag.
    PolicyAndTag,
    /// They make an account of their own on it.
    Account,
    /// They give it another host key.
    HostKey,
}

/// A record of the table.
#[expect(missing_docs, reason = "the fields are what their names say")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A server's.
    Server { server: usize },
    /// A user's.
    User { server: usize, user: usize },
    /// A site's.
    Site { site: usize },
}

/// What somebody does, or what AWS is like. Things are named by their place in the lists above.
#[expect(missing_docs, reason = "the fields are what their names say")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An operator wants a server.
    PutServer { server: usize, idle: Idle, cidr: u8 },
    /// An operator wants a server open, shut or asleep; `now`: without waiting for whoever is logged in.
    Power { server: usize, power: Power, now: bool },
    /// Two operators want different things of a server at the same time.
    Contest { server: usize, powers: [Power; 2] },
    /// Somebody changes a server in AWS's console.
    Touch { server: usize, touch: Touch },
    /// An operator deletes a server.
    DeleteServer { server: usize },
    /// An operator wants a user with one of two keys.
    PutUser { server: usize, user: usize, key: usize, site: usize },
    /// An operator deletes a user.
    DeleteUser { server: usize, user: usize },
    /// An operator wants a site.
    PutSite { site: usize, quiet_seconds: u64, service: usize },
    /// An operator deletes a site.
    DeleteSite { site: usize },
    /// A user begins an upload, and logs in for it.
    Begin { server: usize, user: usize, file: String },
    /// A user sends more of it.
    Send { server: usize, user: usize, file: String },
    /// A user's upload is whole.
    Finish { server: usize, user: usize, file: String },
    /// A user's connection breaks off, with all uploads in it.
    BreakOff { server: usize, user: usize },
    /// A user renames a file.
    Rename { server: usize, user: usize, from: String, to: String },
    /// A user removes a file.
    Remove { server: usize, user: usize, file: String },
    /// A user logs out.
    LogOut { server: usize, user: usize },
    /// CI deploys a new image to a service.
    Deploy { service: usize, image: u64 },
    /// AWS has a mood for a while.
    Storm { seconds: u64, percent: u8 },
    /// A permission is missing for a while.
    Deny { service: &'static str, operation: &'static str, seconds: u64 },
    /// A queue delivers what is in it once more.
    Twice { queue: usize },
    /// An Elastic IP goes away.
    LoseAddress,
    /// A later version wrote a record, with a field that this one does not know, or in a form that it can't read.
    Strange { record: Record, readable: bool },
    /// The next starts of servers fail.
    FailStarts { times: u32 },
    /// The next call of an operation goes wrong.
    Strike { service: &'static str, operation: &'static str, strike: Strike },
    /// Every message is delivered twice for a while.
    Doubles { seconds: u64 },
    /// An operator pastes a user's private key where the public one belongs.
    PasteKey { server: usize, user: usize },
}

/// An act at its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// How long after the beginning.
    pub at: Duration,
    /// What.
    pub act: Act,
}

/// Everything that happens.
#[derive(Clone, Debug)]
pub struct Story {
    /// The seed of ids, moods, latencies and skews.
    pub seed: u64,
    /// The acts, by time.
    pub scenes: Vec<Scene>,
    /// For how long things happen.
    pub length: Duration,
    /// What happens beside the usual.
    pub features: Vec<Feature>,
}

impl Story {
    /// The story of `seed`.
    #[must_use]
    pub fn of(seed: u64, mix: &Mix) -> Self {
        let features = mix.features_of(seed);
        let scenes = Author::new(seed, mix, &features).write();
        Self { seed, scenes, length: mix.length, features }
    }
}
