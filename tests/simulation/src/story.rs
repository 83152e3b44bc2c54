//! What happens in a world, drawn from a seed before it begins: a list of acts, each at its time. An act that makes no
//! sense when its time comes is left out, so that a story stays one when acts are dropped from it.

use std::{fmt, time::Duration};

use fastrand::Rng;

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
    /// A record has a field that this version does not know.
    StrangeRecord,
    /// A marker file ends bursts, and events come late and twice.
    Marker,
    /// A site is pointed at another service while it is rolled out.
    SiteMoves,
    /// CI deploys while a rollout is under way.
    Collision,
}

/// How a story is drawn.
#[derive(Clone, Debug)]
pub struct Mix {
    /// For how long things happen.
    pub length: Duration,
    /// Whether AWS has moods.
    pub storms: bool,
    /// What happens beside the usual.
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

    /// Whether `feature` is in it.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}

/// What somebody does, or what AWS is like. Things are named by their place in the lists above.
#[expect(missing_docs, reason = "the fields are what their names say")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An operator wants a server; `idle`: to be stopped after half an hour of silence.
    PutServer { server: usize, idle: bool, cidr: u8 },
    /// An operator wants the door open or shut.
    Power { server: usize, start: bool },
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
    /// A later version wrote a site's record.
    StrangeSite { site: usize },
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
        let mut author = Author { rng: Rng::with_seed(seed), scenes: Vec::new(), mix };
        author.opening();
        author.operators();
        author.sessions();
        author.neighbours();
        if mix.storms {
            author.moods();
        }
        author.features();
        let mut scenes = author.scenes;
        scenes.sort_by_key(|scene| scene.at);
        Self { seed, scenes, length: mix.length, features: mix.features.clone() }
    }
}

/// Writes one story.
struct Author<'a> {
    rng: Rng,
    scenes: Vec<Scene>,
    mix: &'a Mix,
}

impl Author<'_> {
    fn add(&mut self, at: u64, act: Act) {
        self.scenes.push(Scene { at: Duration::from_secs(at), act });
    }

    /// A time after the opening, in seconds.
    fn time(&mut self) -> u64 {
        self.rng.u64(600..self.mix.length.as_secs())
    }

    fn server(&mut self) -> usize {
        // Most of life is on the first server.
        usize::from(self.rng.u8(0..4) == 0)
    }

    /// Where a site's container lives: two sites share a service only where the story is about that.
    fn service_of(&self, site: usize) -> usize {
        if self.mix.has(Feature::SharedService) { 0 } else { site }
    }

    fn opening(&mut self) {
        let spare = self.rng.bool();
        self.add(1, Act::PutServer { server: 0, idle: true, cidr: 0 });
        if spare {
            self.add(2, Act::PutServer { server: 1, idle: self.mix.storms, cidr: 0 });
        }
        for site in 0..SITES.len() {
            self.add(3, Act::PutSite { site, quiet_seconds: 60, service: self.service_of(site) });
        }
        for user in 0..USERS.len() {
            self.add(5, Act::PutUser { server: 0, user, key: 0, site: user % 2 });
        }
    }

    fn operators(&mut self) {
        let acts = self.rng.usize(4..14);
        for _ in 0..acts {
            let (at, server, user, site) =
                (self.time(), self.server(), self.rng.usize(..USERS.len()), self.rng.usize(..SITES.len()));
            let act = match self.rng.u8(0..16) {
                0 | 1 => Act::PutServer { server, idle: self.rng.bool(), cidr: self.rng.u8(0..3) },
                2 | 3 => Act::Power { server, start: true },
                4 => Act::Power { server, start: false },
                5 => {
                    let again = at + self.rng.u64(30..1200);
                    self.add(again, Act::PutServer { server, idle: true, cidr: 0 });
                    Act::DeleteServer { server }
                }
                6..=9 => Act::PutUser { server, user, key: self.rng.usize(..2), site },
                10 | 11 => Act::DeleteUser { server, user },
                12 => {
                    let again = at + self.rng.u64(60..1200);
                    self.add(again, Act::PutSite { site, quiet_seconds: 30, service: self.service_of(site) });
                    Act::DeleteSite { site }
                }
                _ => Act::PutSite { site, quiet_seconds: self.rng.u64(10..120), service: self.service_of(site) },
            };
            self.add(at, act);
        }
    }

    fn sessions(&mut self) {
        let sessions = self.rng.usize(3..9);
        for _ in 0..sessions {
            let (mut at, server, user) = (self.time(), self.server(), self.rng.usize(..USERS.len()));
            let files = self.rng.usize(1..5);
            for _ in 0..files {
                at = self.upload(at, server, user);
            }
            let stays = self.rng.u64(1..900);
            self.add(at + stays, Act::LogOut { server, user });
        }
    }

    fn upload(&mut self, at: u64, server: usize, user: usize) -> u64 {
        let file = format!("page-{}.html", self.rng.u8(0..6));
        let takes = if self.rng.u8(0..8) == 0 { self.rng.u64(1200..3000) } else { self.rng.u64(1..60) };
        self.add(at, Act::Begin { server, user, file: file.clone() });
        // A long upload sends a little every minute.
        for minute in 1..=takes / 60 {
            self.add(at + minute * 60, Act::Send { server, user, file: file.clone() });
        }
        let end = at + takes;
        match self.rng.u8(0..10) {
            0 => {
                // Broken off, and taken up again.
                self.add(end, Act::BreakOff { server, user });
                let again = end + self.rng.u64(5..90);
                self.add(again, Act::Begin { server, user, file: file.clone() });
                self.add(again + 5, Act::Finish { server, user, file });
                return again + 6;
            }
            1 => {
                let to = format!("page-{}.html", self.rng.u8(0..6));
                self.add(end, Act::Finish { server, user, file: file.clone() });
                self.add(end + 2, Act::Rename { server, user, from: file, to });
            }
            2 => {
                self.add(end, Act::Finish { server, user, file: file.clone() });
                self.add(end + 3, Act::Remove { server, user, file });
            }
            _ => self.add(end, Act::Finish { server, user, file }),
        }
        end + self.rng.u64(1..60)
    }

    fn neighbours(&mut self) {
        let deploys = self.rng.u64(0..3);
        for image in 0..deploys {
            let (at, service) = (self.time(), self.rng.usize(..2));
            self.add(at, Act::Deploy { service, image });
        }
        let repeats = self.rng.usize(0..6);
        for _ in 0..repeats {
            let (at, queue) = (self.time(), self.rng.usize(..3));
            self.add(at, Act::Twice { queue });
        }
    }

    fn moods(&mut self) {
        let storms = self.rng.usize(0..4);
        for _ in 0..storms {
            let act = Act::Storm { seconds: self.rng.u64(60..1200), percent: self.rng.u8(2..35) };
            // The opening is no time of peace either.
            let at = if self.rng.u8(0..3) == 0 { 0 } else { self.time() };
            self.add(at, act);
        }
        const REFUSALS: [(&str, &str); 8] = [
            ("transfer", "CreateUser"),
            ("transfer", "ImportSshPublicKey"),
            ("transfer", "StopServer"),
            ("transfer", "StartServer"),
            ("ec2", "DescribeVpcEndpoints"),
            ("ec2", "AuthorizeSecurityGroupIngress"),
            ("ecs", "DeregisterTaskDefinition"),
            ("monitoring", "GetMetricData"),
        ];
        if self.rng.u8(0..4) == 0 {
            let (service, operation) = REFUSALS[self.rng.usize(..REFUSALS.len())];
            let (at, seconds) = (self.time(), self.rng.u64(600..7200));
            self.add(at, Act::Deny { service, operation, seconds });
        }
    }

    fn features(&mut self) {
        for feature in self.mix.features.clone() {
            let at = self.time();
            match feature {
                Feature::EndlessPartial => {
                    for again in 0..30 {
                        let at = 1200 + again * 60;
                        self.add(at, Act::Begin { server: 0, user: 0, file: format!("broken-{again}") });
                        self.add(at + 5, Act::BreakOff { server: 0, user: 0 });
                    }
                    self.add(1200, Act::Begin { server: 0, user: 2, file: "whole.html".into() });
                    self.add(1203, Act::Finish { server: 0, user: 2, file: "whole.html".into() });
                }
                Feature::MissingAddress => {
                    self.add(900, Act::LoseAddress);
                    self.add(1000, Act::DeleteUser { server: 0, user: 1 });
                }
                Feature::StrangeRecord => {
                    self.add(900, Act::StrangeSite { site: 1 });
                    self.add(1000, Act::DeleteUser { server: 0, user: 0 });
                }
                Feature::Marker => {
                    for again in 0..6 {
                        let at = 900 + again * 900;
                        self.add(at, Act::Begin { server: 0, user: 0, file: "page-0.html".into() });
                        self.add(at + 2, Act::Finish { server: 0, user: 0, file: "page-0.html".into() });
                        self.add(at + 3, Act::Begin { server: 0, user: 0, file: ".deploy".into() });
                        self.add(at + 4, Act::Finish { server: 0, user: 0, file: ".deploy".into() });
                    }
                }
                Feature::SiteMoves => {
                    self.add(at, Act::Begin { server: 0, user: 0, file: "page-0.html".into() });
                    self.add(at + 2, Act::Finish { server: 0, user: 0, file: "page-0.html".into() });
                    let after = self.rng.u64(30..110);
                    self.add(at + after, Act::PutSite { site: 0, quiet_seconds: 60, service: 2 });
                }
                Feature::Collision => {
                    for image in 10..16 {
                        let at = self.time();
                        self.add(at, Act::Begin { server: 0, user: 0, file: "page-0.html".into() });
                        self.add(at + 2, Act::Finish { server: 0, user: 0, file: "page-0.html".into() });
                        let after = self.rng.u64(30..110);
                        self.add(at + after, Act::Deploy { service: 0, image });
                    }
                }
                Feature::SharedService => {
                    for again in 0..4 {
                        let at = 900 + again * 1500;
                        for (user, site) in [(0, "page-0.html"), (1, "page-1.html")] {
                            self.add(at, Act::Begin { server: 0, user, file: site.into() });
                            self.add(at + 2, Act::Finish { server: 0, user, file: site.into() });
                        }
                    }
                }
            }
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |server: &usize, user: &usize| format!("{} of {}", USERS[*user], SERVERS[*server]);
        match self {
            Self::PutServer { server, idle, cidr } => {
                let after = if *idle { "stopped when idle" } else { "never stopped" };
                write!(f, "an operator puts the server {} ({after}, addresses {cidr})", SERVERS[*server])
            }
            Self::Power { server, start } => {
                write!(f, "an operator {} the server {}", if *start { "starts" } else { "stops" }, SERVERS[*server])
            }
            Self::DeleteServer { server } => write!(f, "an operator deletes the server {}", SERVERS[*server]),
            Self::PutUser { server, user, key, site } => {
                write!(f, "an operator puts the user {} with key {key} at site {}", of(server, user), SITES[*site])
            }
            Self::DeleteUser { server, user } => write!(f, "an operator deletes the user {}", of(server, user)),
            Self::PutSite { site, quiet_seconds, service } => {
                write!(f, "an operator puts the site {} ({quiet_seconds} s, service {service})", SITES[*site])
            }
            Self::DeleteSite { site } => write!(f, "an operator deletes the site {}", SITES[*site]),
            Self::Begin { server, user, file } => write!(f, "{} begins to upload {file}", of(server, user)),
            Self::Send { server, user, file } => write!(f, "{} sends more of {file}", of(server, user)),
            Self::Finish { server, user, file } => write!(f, "{} finishes {file}", of(server, user)),
            Self::BreakOff { server, user } => write!(f, "the connection of {} breaks off", of(server, user)),
            Self::Rename { server, user, from, to } => write!(f, "{} renames {from} to {to}", of(server, user)),
            Self::Remove { server, user, file } => write!(f, "{} removes {file}", of(server, user)),
            Self::LogOut { server, user } => write!(f, "{} logs out", of(server, user)),
            Self::Deploy { service, image } => write!(f, "CI deploys image {image} to service {service}"),
            Self::Storm { seconds, percent } => write!(f, "AWS fails {percent}% of calls for {seconds} s"),
            Self::Deny { service, operation, seconds } => {
                write!(f, "{service}:{operation} is denied for {seconds} s")
            }
            Self::Twice { queue } => write!(f, "queue {queue} delivers its messages twice"),
            Self::LoseAddress => f.write_str("the Elastic IP of main goes away"),
            Self::StrangeSite { site } => write!(f, "a later version wrote the record of site {}", SITES[*site]),
        }
    }
}
