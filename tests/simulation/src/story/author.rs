//! Writes a story: what is usual in one, what AWS is like, and what some stories are about.

mod calls;
mod sleep;

use std::time::Duration;

use fastrand::Rng;
use wharfinger_decisions::server::Power;

use self::calls::{CRITICAL, REFUSALS, STRIKES};
use super::{Act, Feature, Idle, Mix, Record, SITES, Scene, USERS};

/// Writes one story.
pub(super) struct Author<'a> {
    rng: Rng,
    scenes: Vec<Scene>,
    length: u64,
    storms: bool,
    features: &'a [Feature],
}

impl<'a> Author<'a> {
    pub(super) fn new(seed: u64, mix: &Mix, features: &'a [Feature]) -> Self {
        let (rng, length) = (Rng::with_seed(seed), mix.length.as_secs());
        Self { rng, scenes: Vec::new(), length, storms: mix.storms, features }
    }

    /// The scenes, by time.
    pub(super) fn write(mut self) -> Vec<Scene> {
        self.opening();
        self.operators();
        self.sessions();
        self.neighbours();
        if self.storms {
            self.moods();
        }
        for feature in self.features {
            self.feature(*feature);
        }
        self.scenes.sort_by_key(|scene| scene.at);
        self.scenes
    }

    fn add(&mut self, at: u64, act: Act) {
        self.scenes.push(Scene { at: Duration::from_secs(at), act });
    }

    /// A time after the opening, in seconds.
    fn time(&mut self) -> u64 {
        self.rng.u64(600..self.length)
    }

    fn server(&mut self) -> usize {
        // Most of life is on the first server.
        usize::from(self.rng.u8(0..4) == 0)
    }

    /// The second server has no Elastic IP, and so can't sleep.
    fn idle(&mut self, server: usize) -> Idle {
        match self.rng.u8(0..3) {
            0 => Idle::Stays,
            1 if server == 0 => Idle::Sleeps,
            _ => Idle::Stops,
        }
    }

    /// Where a site's container lives: two sites share a service only where the story is about that.
    fn service_of(&self, site: usize) -> usize {
        if self.features.contains(&Feature::SharedService) { 0 } else { site }
    }

    fn opening(&mut self) {
        let spare = self.rng.bool();
        let idle = if self.rng.bool() { Idle::Sleeps } else { Idle::Stops };
        self.add(1, Act::PutServer { server: 0, idle, cidr: 0 });
        if spare {
            let idle = if self.storms { Idle::Stops } else { Idle::Stays };
            self.add(2, Act::PutServer { server: 1, idle, cidr: 0 });
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
            let act = match self.rng.u8(0..20) {
                0 | 1 => Act::PutServer { server, idle: self.idle(server), cidr: self.rng.u8(0..3) },
                2 | 3 | 16 => Act::Power { server, power: Power::Online, now: false },
                4 => Act::Power { server, power: Power::Stopped, now: self.rng.bool() },
                17 => Act::Power { server, power: Power::Asleep, now: self.rng.bool() },
                18 => Act::Touch { server, touch: self.touch() },
                5 => {
                    let (again, idle) = (at + self.rng.u64(30..1200), self.idle(server));
                    self.add(again, Act::PutServer { server, idle, cidr: 0 });
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
        if self.rng.bool() {
            let (at, user) = (self.time(), self.rng.usize(..USERS.len()));
            self.linger(at, 0, user);
        }
    }

    /// A session in which nothing moves for longer than a server may be idle.
    fn linger(&mut self, at: u64, server: usize, user: usize) {
        let file = "page-9.html".to_owned();
        let end = at + self.rng.u64(1800..4500);
        self.add(at, Act::Begin { server, user, file: file.clone() });
        self.add(end, Act::Finish { server, user, file });
        self.add(end + 1, Act::LogOut { server, user });
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
        if self.rng.u8(0..4) == 0 {
            let (service, operation) = REFUSALS[self.rng.usize(..REFUSALS.len())];
            let (at, seconds) = (self.time(), self.rng.u64(600..7200));
            self.add(at, Act::Deny { service, operation, seconds });
        }
        let strikes = if self.rng.u8(0..3) == 0 { self.rng.usize(1..4) } else { 0 };
        for _ in 0..strikes {
            let at = self.time();
            self.strike(at);
        }
        if self.rng.u8(0..4) == 0 {
            let act = Act::Doubles { seconds: self.rng.u64(300..2400) };
            let at = self.time();
            self.add(at, act);
        }
    }

    fn strike(&mut self, at: u64) {
        let (service, operation) = CRITICAL[self.rng.usize(..CRITICAL.len())];
        let strike = STRIKES[self.rng.usize(..STRIKES.len())];
        self.add(at, Act::Strike { service, operation, strike });
    }

    fn feature(&mut self, feature: Feature) {
        match feature {
            Feature::EndlessPartial => self.endless_partial(),
            Feature::SharedService => self.shared_service(),
            Feature::MissingAddress => {
                self.add(900, Act::LoseAddress);
                self.add(1000, Act::DeleteUser { server: 0, user: 1 });
            }
            Feature::StrangeRecord => self.strange_records(),
            Feature::FailedStart => self.failed_start(),
            Feature::LateStop => self.late_stop(),
            Feature::Deaths => self.deaths(),
            Feature::Doubles => self.add(0, Act::Doubles { seconds: self.length }),
            Feature::PastedKey => {
                let (at, user) = (self.time(), self.rng.usize(..USERS.len()));
                self.add(at, Act::PasteKey { server: 0, user });
            }
            Feature::Marker => self.marker(),
            Feature::SiteMoves => {
                let at = self.time();
                self.change(at, 0, "page-0.html");
                let after = self.rng.u64(30..110);
                self.add(at + after, Act::PutSite { site: 0, quiet_seconds: 60, service: 2 });
            }
            Feature::Sleep => self.sleep(),
            Feature::Collision => {
                for image in 10..16 {
                    let at = self.time();
                    self.change(at, 0, "page-0.html");
                    let after = self.rng.u64(30..110);
                    self.add(at + after, Act::Deploy { service: 0, image });
                }
            }
        }
    }

    /// A short upload to the first server.
    fn change(&mut self, at: u64, user: usize, file: &str) {
        self.add(at, Act::Begin { server: 0, user, file: file.to_owned() });
        self.add(at + 2, Act::Finish { server: 0, user, file: file.to_owned() });
    }

    fn endless_partial(&mut self) {
        for again in 0..30 {
            let at = 1200 + again * 60;
            self.add(at, Act::Begin { server: 0, user: 0, file: format!("broken-{again}") });
            self.add(at + 5, Act::BreakOff { server: 0, user: 0 });
        }
        self.change(1200, 2, "whole.html");
    }

    fn shared_service(&mut self) {
        for again in 0..4 {
            let at = 900 + again * 1500;
            self.change(at, 0, "page-0.html");
            self.change(at, 1, "page-1.html");
        }
    }

    /// While a record is strange, others are removed, and the strange one is replaced or removed in the end.
    fn strange_records(&mut self) {
        let (at, server, site, user) = (self.time(), self.server(), self.rng.usize(..SITES.len()), self.rng.usize(..2));
        let record = match self.rng.u8(0..3) {
            0 => Record::Server { server },
            1 => Record::User { server: 0, user },
            _ => Record::Site { site },
        };
        let readable = self.rng.u8(0..3) == 0;
        self.add(at, Act::Strange { record, readable });
        let soon = at + self.rng.u64(10..300);
        self.add(soon, Act::DeleteUser { server: 0, user: 1 - user });
        let end = at + self.rng.u64(900..2400);
        let removed = self.rng.bool();
        let act = match record {
            Record::Server { server } if removed => Act::DeleteServer { server },
            Record::Server { server } => Act::PutServer { server, idle: Idle::Stops, cidr: 1 },
            Record::User { server, user } if removed => Act::DeleteUser { server, user },
            Record::User { server, user } => Act::PutUser { server, user, key: 1, site: user },
            Record::Site { site } if removed => {
                // While it has users it stays, and can't be read.
                self.add(end + 60, Act::PutSite { site, quiet_seconds: 60, service: self.service_of(site) });
                Act::DeleteSite { site }
            }
            Record::Site { site } => Act::PutSite { site, quiet_seconds: 60, service: self.service_of(site) },
        };
        self.add(end, act);
    }

    fn failed_start(&mut self) {
        // The server's first start, or a later one.
        let at = if self.rng.bool() { 0 } else { self.time() };
        let times = self.rng.u32(1..4);
        self.add(at, Act::FailStarts { times });
        if at > 0 {
            self.add(at + 1, Act::Power { server: 0, power: Power::Stopped, now: true });
            self.add(at + 400, Act::Power { server: 0, power: Power::Online, now: false });
        }
    }

    /// On the second server, where it is quiet: it is to be stopped when its first user comes.
    fn late_stop(&mut self) {
        self.add(10, Act::PutServer { server: 1, idle: Idle::Stops, cidr: 0 });
        self.add(20, Act::PutUser { server: 1, user: 0, key: 0, site: 0 });
        self.add(1500, Act::Deny { service: "transfer", operation: "StopServer", seconds: 4800 });
        let (comes, file) = (self.rng.u64(2700..3600), "page-9.html".to_owned());
        self.add(comes, Act::Begin { server: 1, user: 0, file: file.clone() });
        self.add(7400, Act::Finish { server: 1, user: 0, file });
        self.add(7401, Act::LogOut { server: 1, user: 0 });
    }

    /// While a server is made, while changes are taken in, and at other times.
    fn deaths(&mut self) {
        let strike = STRIKES[self.rng.usize(1..STRIKES.len())];
        self.add(0, Act::Strike { service: "transfer", operation: "CreateServer", strike });
        let finished = self.scenes.iter().filter(|scene| matches!(scene.act, Act::Finish { .. }));
        let finished: Vec<u64> = finished.map(|scene| scene.at.as_secs()).collect();
        for at in finished {
            if self.rng.bool() {
                let operation = if self.rng.bool() { "PutItem" } else { "UpdateItem" };
                let strike = STRIKES[self.rng.usize(..STRIKES.len())];
                self.add(at, Act::Strike { service: "dynamodb", operation, strike });
            }
        }
        for _ in 0..self.length / 600 {
            let at = self.time();
            self.strike(at);
        }
    }

    fn marker(&mut self) {
        for again in 0..6 {
            let at = 900 + again * 900;
            self.change(at, 0, "page-0.html");
            self.add(at + 3, Act::Begin { server: 0, user: 0, file: ".deploy".into() });
            self.add(at + 4, Act::Finish { server: 0, user: 0, file: ".deploy".into() });
        }
    }
}
