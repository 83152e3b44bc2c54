//! What users do in their sessions.

use serde_json::{Value, json};

use super::{CLIENT, Stage, key_of};
use crate::{
    model::{Expected, Visitor},
    people,
    story::{Act, SERVERS, SITES, USERS},
    watch,
};

impl Stage {
    pub(super) async fn perform_session(&mut self, act: Act) {
        let (Act::Begin { server, user, .. }
        | Act::Send { server, user, .. }
        | Act::Finish { server, user, .. }
        | Act::BreakOff { server, user }
        | Act::Rename { server, user, .. }
        | Act::Remove { server, user, .. }
        | Act::LogOut { server, user }) = act
        else {
            return;
        };
        if matches!(act, Act::Begin { .. }) && !self.model.visits.contains_key(&(server, user)) {
            self.log_in(server, user).await;
        }
        let now = self.now();
        let Some(visitor) = self.model.visits.get_mut(&(server, user)) else { return };
        let (site, mut changed) = (visitor.site, false);
        match act {
            Act::Begin { file, .. } if !visitor.uploads.contains_key(&file) => {
                if let Ok(handle) = visitor.visit.begin_upload(&format!("/{file}")) {
                    visitor.uploads.insert(file, (handle, 0));
                }
            }
            Act::Send { file, .. } => {
                if let Some((handle, sent)) = visitor.uploads.get_mut(&file) {
                    let _ = visitor.visit.write(handle, *sent, b"some of it\n");
                    *sent += 11;
                }
            }
            Act::Finish { file, .. } => {
                if let Some((handle, sent)) = visitor.uploads.remove(&file) {
                    let _ = visitor.visit.write(&handle, sent, b"the end\n");
                    changed = visitor.visit.close(&handle).is_ok();
                }
            }
            Act::Rename { from, to, .. } => {
                changed = visitor.visit.rename(&format!("/{from}"), &format!("/{to}")).is_ok();
            }
            Act::Remove { file, .. } => changed = visitor.visit.remove(&format!("/{file}")).is_ok(),
            Act::BreakOff { .. } | Act::LogOut { .. } => self.leave(server, user),
            _ => {}
        }
        if changed {
            self.model.changed(site, now);
        }
    }

    async fn log_in(&mut self, server: usize, user: usize) {
        let Some(Expected::There(key)) = self.model.users.get(&(server, user)) else { return };
        let key = key_of(user, *key);
        let ground = self.ground();
        for (id, found) in watch::transfer_servers(ground).await {
            if watch::name_of(&found) != Some(SERVERS[server]) || !is_in_reach(server, &found) {
                continue;
            }
            let Ok(visit) = self.world.log_in(&id, USERS[user], &key, CLIENT.into()) else { continue };
            let asked = json!({ "ServerId": id, "UserName": USERS[user] });
            let home = &watch::ask(ground, "transfer", "DescribeUser", asked).await["User"]["HomeDirectoryMappings"];
            let target = home[0]["Target"].as_str().unwrap_or_default();
            let site = SITES.iter().position(|site| target.ends_with(&format!("/sites/{site}")));
            let since = self.now();
            let visitor = Visitor { visit, server_id: id.clone(), since, site, uploads: Default::default() };
            self.model.visits.insert((server, user), visitor);
            self.weather.note_sessions(&id, self.model.since(&id));
            self.weather.diary.note(format_args!("{} of {} is logged in", USERS[user], SERVERS[server]));
            return;
        }
    }

    fn leave(&mut self, server: usize, user: usize) {
        if let Some(visitor) = self.model.visits.remove(&(server, user)) {
            let id = visitor.server_id.clone();
            if !visitor.uploads.is_empty() {
                self.model.stirred(visitor.site, self.now());
            }
            drop(visitor);
            self.weather.note_sessions(&id, self.model.since(&id));
        }
    }

    pub(crate) fn drop_cut_visits(&mut self) {
        let cut: Vec<_> = self.model.visits.iter().filter(|(_, one)| one.visit.is_cut()).map(|(key, _)| *key).collect();
        for (server, user) in cut {
            self.weather.diary.note(format_args!("{} of {} was cut off", USERS[user], SERVERS[server]));
            self.leave(server, user);
        }
    }

    pub(crate) fn everybody_leaves(&mut self) {
        for (server, user) in self.model.visits.keys().copied().collect::<Vec<_>>() {
            self.leave(server, user);
        }
    }
}

/// Whether clients on the internet find a server: one that has Elastic IPs is nowhere else.
fn is_in_reach(server: usize, found: &Value) -> bool {
    !people::has_address(server) || found["EndpointDetails"]["AddressAllocationIds"] != json!([])
}
