//! Stories of a server that sleeps and wakes again and again.

use wharfinger_decisions::server::Power;

use super::{
    Author,
    calls::{SLEEP, STRIKES},
};
use crate::story::{Act, Idle, Touch, USERS};

/// When the server is online for the first time, in seconds.
const ONLINE: u64 = 480;

impl Author<'_> {
    pub(super) fn touch(&mut self) -> Touch {
        match self.rng.u8(0..8) {
            0 => Touch::Account,
            1 => Touch::HostKey,
            2..=4 => Touch::Banner,
            _ => Touch::PolicyAndTag,
        }
    }

    /// The first server is put to sleep and woken until the story is over.
    pub(super) fn sleep(&mut self) {
        self.add(4, Act::PutServer { server: 0, idle: Idle::Sleeps, cidr: 0 });
        let mut at = ONLINE + self.rng.u64(0..120);
        self.add(at, Act::Touch { server: 0, touch: Touch::Banner });
        while at + 900 < self.length {
            at = self.one_sleep(at);
        }
        if self.rng.bool() {
            // From here on nothing but the order closes it.
            let end = self.length.saturating_sub(60);
            self.add(end, Act::PutServer { server: 0, idle: Idle::Stays, cidr: 0 });
            self.add(end + 1, Act::Power { server: 0, power: Power::Asleep, now: false });
        }
    }

    /// One sleep, from `at` on: when the next one may begin.
    fn one_sleep(&mut self, at: u64) -> u64 {
        if self.rng.bool() {
            let touch = self.touch();
            self.add(at + 5, Act::Touch { server: 0, touch });
        }
        if self.rng.bool() {
            self.stay_on(at + 10);
        }
        let ordered = at + self.rng.u64(30..120);
        self.strike_soon(ordered);
        let slept = match self.rng.u8(0..4) {
            0 => ordered + 1500,
            1 => {
                self.add(ordered, Act::Contest { server: 0, powers: [Power::Asleep, Power::Online] });
                self.add(ordered + 20, Act::Power { server: 0, power: Power::Asleep, now: false });
                ordered + 20
            }
            _ => {
                let now = self.rng.bool();
                self.add(ordered, Act::Power { server: 0, power: Power::Asleep, now });
                ordered
            }
        };
        self.change_users(slept);
        let woken = slept + self.rng.u64(60..1500);
        if self.rng.u8(0..8) == 0 {
            self.add(woken, Act::DeleteServer { server: 0 });
            self.add(woken + 300, Act::PutServer { server: 0, idle: Idle::Sleeps, cidr: 0 });
            for user in 0..USERS.len() {
                self.add(woken + 310, Act::PutUser { server: 0, user, key: 0, site: user % 2 });
            }
        }
        self.strike_soon(woken);
        let powers = if self.rng.u8(0..5) == 0 { [Power::Online, Power::Stopped] } else { [Power::Online; 2] };
        self.add(woken, Act::Contest { server: 0, powers });
        self.add(woken + 30, Act::Power { server: 0, power: Power::Online, now: false });
        woken + self.rng.u64(500..900)
    }

    /// A session that is open while the server is put to sleep, with an upload or without.
    fn stay_on(&mut self, at: u64) {
        let (user, file) = (self.rng.usize(..USERS.len()), "night.html".to_owned());
        let until = at + self.rng.u64(60..1800);
        self.add(at, Act::Begin { server: 0, user, file: file.clone() });
        let finished = if self.rng.bool() { at + 2 } else { until };
        self.add(finished, Act::Finish { server: 0, user, file });
        self.add(until + 1, Act::LogOut { server: 0, user });
    }

    fn change_users(&mut self, slept: u64) {
        let changes = self.rng.usize(1..4);
        for _ in 0..changes {
            let (at, user) = (slept + self.rng.u64(0..900), self.rng.usize(..USERS.len()));
            let act = match self.rng.u8(0..3) {
                0 => Act::DeleteUser { server: 0, user },
                _ => Act::PutUser { server: 0, user, key: self.rng.usize(..2), site: user % 2 },
            };
            self.add(at, act);
        }
    }

    /// One of the calls goes wrong soon after `at`.
    fn strike_soon(&mut self, at: u64) {
        if self.storms {
            let (service, operation) = SLEEP[self.rng.usize(..SLEEP.len())];
            let strike = STRIKES[self.rng.usize(..STRIKES.len())];
            let at = at + self.rng.u64(0..90);
            self.add(at, Act::Strike { service, operation, strike });
        }
    }
}
