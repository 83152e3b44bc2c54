//! What operators ask for, and what they may expect from then on.

use http::Method;
use serde_json::Value;

use super::{Stage, key_of, line};
use crate::{
    model::{Expected, Ordered, Site},
    people::{self, Told},
    story::{Feature, Idle, Record, SERVERS, SITES, USERS},
};

impl Stage {
    async fn put(&self, path: &str, body: &Value) -> Told {
        let told = people::insist(&self.world, Method::PUT, path, Some(body)).await;
        if !matches!(told, Told::Taken(_)) {
            self.weather.diary.note(format_args!("  PUT {path}: {told:?}"));
        }
        told
    }

    async fn delete(&self, path: &str) -> Told {
        people::insist(&self.world, Method::DELETE, path, None).await
    }

    pub(super) async fn put_server(&mut self, server: usize, idle: Idle, block: u8) {
        let told = self.put(&format!("/v1/servers/{}", SERVERS[server]), &people::server(server, idle, block)).await;
        let now = self.now();
        match told {
            Told::Taken(_) => {
                self.model.restored(Record::Server { server }, now);
                self.model.admit(server, block, now);
                self.model.idle.insert(server, idle);
            }
            Told::Nothing => {
                self.model.may_admit(server, block);
                self.model.idle.remove(&server);
            }
            Told::Refused(_) => {}
        }
        self.model.servers.insert(server, expected(&told, ()));
    }

    pub(super) async fn delete_server(&mut self, server: usize) {
        let told = self.delete(&format!("/v1/servers/{}?with_users=true", SERVERS[server])).await;
        let gone = matches!(told, Told::Taken(_));
        self.model.servers.insert(server, if gone { Expected::Gone } else { Expected::Unknown });
        self.model.orders.insert(server, if gone { Ordered::Nothing } else { Ordered::Unknown });
        if gone {
            self.model.foreign.remove(&server);
            self.model.restored(Record::Server { server }, self.now());
        }
        for ((of, user), expected) in &mut self.model.users {
            // They go with the server, and are never told to be gone alone.
            if *of == server && *expected != Expected::Gone {
                *expected = if gone { Expected::Gone } else { Expected::Unknown };
                self.model.withdrawn.retain(|one| (one.server, one.user) != (*of, *user));
            }
        }
    }

    pub(super) async fn put_user(&mut self, server: usize, user: usize, key: usize, site: usize) {
        self.model.given(server, user, key);
        let before = self.model.users.insert((server, user), Expected::Unknown);
        let path = format!("/v1/servers/{}/users/{}", SERVERS[server], USERS[user]);
        let told = self.put(&path, &people::user(&line(&key_of(user, key)), site)).await;
        match (&told, before) {
            (Told::Taken(_), _) => {
                self.model.restored(Record::User { server, user }, self.now());
                self.model.users.insert((server, user), Expected::There(key));
                self.model.withdraw(server, user, 1 - key, self.now());
            }
            (Told::Refused(_), Some(before)) => {
                self.model.users.insert((server, user), before);
            }
            (Told::Refused(_), None) => {
                self.model.users.remove(&(server, user));
            }
            (Told::Nothing, _) => {}
        }
    }

    pub(super) async fn delete_user(&mut self, server: usize, user: usize) {
        let told = self.delete(&format!("/v1/servers/{}/users/{}", SERVERS[server], USERS[user])).await;
        if matches!(told, Told::Taken(_)) {
            self.model.restored(Record::User { server, user }, self.now());
            self.model.users.insert((server, user), Expected::Gone);
            for key in 0..2 {
                self.model.withdraw(server, user, key, self.now());
            }
        } else {
            self.model.users.insert((server, user), Expected::Unknown);
        }
    }

    pub(super) async fn put_site(&mut self, site: usize, quiet_seconds: u64, service: usize) {
        let marker = self.features.contains(&Feature::Marker);
        let body = people::site(site, quiet_seconds, service, marker);
        let told = self.put(&format!("/v1/sites/{}", SITES[site]), &body).await;
        let before = self.model.sites.get(&site);
        let last_change = match before {
            Some(Site { expected: Expected::There(()), last_change, .. }) => *last_change,
            _ => None,
        };
        if matches!(told, Told::Refused(_)) {
            return;
        }
        let last_stir = before.and_then(|before| before.last_stir);
        let (expected, since) = (expected(&told, ()), self.now());
        let moves = before.is_none_or(|before| before.service != service);
        let moved = if moves { Some(since) } else { before.and_then(|before| before.moved) };
        if expected == Expected::There(()) {
            self.model.restored(Record::Site { site }, since);
        }
        self.model.sites.insert(site, Site { expected, since, quiet_seconds, service, last_change, last_stir, moved });
    }

    pub(super) async fn delete_site(&mut self, site: usize) {
        let told = self.delete(&format!("/v1/sites/{}", SITES[site])).await;
        let gone = matches!(told, Told::Taken(_));
        if gone {
            self.model.restored(Record::Site { site }, self.now());
        }
        if let Some(known) = self.model.sites.get_mut(&site) {
            known.expected = if gone { Expected::Gone } else { Expected::Unknown };
            known.last_change = None;
        }
    }
}

fn expected<T>(told: &Told, there: T) -> Expected<T> {
    match told {
        Told::Taken(_) => Expected::There(there),
        Told::Refused(_) | Told::Nothing => Expected::Unknown,
    }
}
