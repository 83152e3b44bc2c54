//! Plays a story: a world of its own, on a paused clock, with everything in it drawn from the story's seed.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use russh::keys::{PublicKey, ssh_key::private::Ed25519Keypair};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wharfinger_emulator::context::Pace;
use wharfinger_region::{
    region::world::{Beginning, Postman, World},
    seed,
    template::plan::Plan,
};

use crate::{
    functions::Functions,
    model::{Expected, Model, Site, Visitor},
    network::Network,
    people::{self, SERVICES, Told},
    story::{Act, Feature, SERVERS, SITES, Story, USERS},
    watch,
    weather::{Ground, Weather},
};

/// From where users come.
const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// What AWS takes minutes for takes about as long here.
fn pace() -> Pace {
    Pace {
        server_transition: Duration::from_secs(75),
        endpoint_lag: Duration::from_secs(20),
        task_transition: Duration::from_secs(20),
        ..Pace::default()
    }
}

/// The stage of one story.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) weather: Weather,
    pub(crate) model: Model,
    pub(crate) features: Vec<Feature>,
}

impl Stage {
    /// Whether a site on `service` waits for a rollout, or is in one.
    async fn rolls_out(&self, service: usize) -> bool {
        self.weather.mute(true);
        let mut found = false;
        for (place, _) in self.model.sites.iter().filter(|(_, site)| site.service == service) {
            let (_, site) = people::ask(&self.world, Method::GET, &format!("/v1/sites/{}", SITES[*place]), None).await;
            let quiet = site["status"]["window"]["state"] == "empty";
            let over = site["status"]["rollout"].is_null() || is_over(&site["status"]["rollout"]);
            found |= !(quiet && over);
        }
        self.weather.mute(false);
        found
    }

    pub(crate) async fn open(story: &Story, plan: &Plan, weather: Weather) -> anyhow::Result<Self> {
        let origin: Timestamp = "2026-03-02T08:00:00Z".parse().context("read the first day")?;
        let beginning = Beginning {
            plan: plan.clone(),
            origin,
            pace: pace(),
            between: Some(Arc::new(weather.clone())),
            postman: Some(postman(weather.clone(), story.features.contains(&Feature::Marker))),
        };
        let mut failed = None;
        let world = World::start(beginning, |client, clock| {
            let client = SharedHttpClient::new(Network(client));
            let (functions, error) = Functions::new(&plan.functions, &client, clock, weather.clone());
            failed = error;
            Arc::new(functions)
        });
        let world = world.await?;
        if let Some(error) = failed {
            return Err(error);
        }
        let callers = plan.functions.iter().map(|function| {
            let name = function.binary.trim_start_matches("wharfinger-").to_owned();
            (function.access_key(), name)
        });
        weather.settle_on(Ground {
            services: world.services().clone(),
            clock: world.clock().clone(),
            callers: callers.collect(),
            table: plan.tables.first().map(|table| table.name.clone()).unwrap_or_default(),
        });
        world.make_directory("/sites/shop").context("make the shop's directory")?;
        let stage = Self { world, weather, model: Model::default(), features: story.features.clone() };
        stage.make_services().await?;
        Ok(stage)
    }

    /// Services beside `web`, each with a sidecar and a volume of its own.
    async fn make_services(&self) -> anyhow::Result<()> {
        for name in &SERVICES[1..] {
            let container = |name: &str| {
                json!({ "name": name, "image": "httpd:2.4", "essential": true, "cpu": 0,
                    "environment": [{ "name": "MODE", "value": "live" }],
                    "mountPoints": [{ "sourceVolume": "cache", "containerPath": "/cache", "readOnly": true }] })
            };
            let definition = json!({
                "family": name, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
                "memory": "512", "taskRoleArn": seed::TASK_ROLE,
                "containerDefinitions": [container("web"), container("side")], "volumes": [{ "name": "cache" }],
            });
            self.call("ecs", "RegisterTaskDefinition", definition).await.context("register a service's tasks")?;
            let network = json!({ "awsvpcConfiguration": {
                "subnets": seed::SUBNETS, "securityGroups": [seed::EFS_GROUP], "assignPublicIp": "ENABLED",
            }});
            let service = json!({
                "cluster": seed::CLUSTER, "serviceName": name, "taskDefinition": name, "desiredCount": 1,
                "launchType": "FARGATE", "networkConfiguration": network,
                "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
            });
            self.call("ecs", "CreateService", service).await.context("make a service")?;
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.clock().now()
    }

    pub(crate) async fn call(&self, service: &str, operation: &str, input: Value) -> anyhow::Result<Value> {
        Ok(self.world.call(service, operation, input).await?)
    }

    pub(crate) fn ground(&self) -> &Ground {
        self.weather.ground().expect("the stage is open")
    }

    pub(crate) async fn perform(&mut self, act: &Act) {
        self.weather.diary.note(act);
        match act.clone() {
            Act::PutServer { server, idle, cidr } => {
                let body = people::server(server, idle, cidr);
                let told = self.put(&format!("/v1/servers/{}", SERVERS[server]), &body).await;
                let expected = expected(&told, ());
                self.model.servers.insert(server, expected);
            }
            Act::Power { server, start } => {
                let path = format!("/v1/servers/{}/{}", SERVERS[server], if start { "start" } else { "stop" });
                people::insist(&self.world, Method::POST, &path, None).await;
            }
            Act::DeleteServer { server } => self.delete_server(server).await,
            Act::PutUser { server, user, key, site } => self.put_user(server, user, key, site).await,
            Act::DeleteUser { server, user } => self.delete_user(server, user).await,
            Act::PutSite { site, quiet_seconds, service } => self.put_site(site, quiet_seconds, service).await,
            Act::DeleteSite { site } => {
                let told = self.delete(&format!("/v1/sites/{}", SITES[site])).await;
                if let Some(known) = self.model.sites.get_mut(&site) {
                    known.expected = if matches!(told, Told::Taken(_)) { Expected::Gone } else { Expected::Unknown };
                    known.last_change = None;
                }
            }
            Act::Deploy { service, image } => self.deploy(service, image).await,
            Act::Storm { seconds, percent } => self.weather.storm(self.after(seconds), percent),
            Act::Deny { service, operation, seconds } => self.weather.deny(service, operation, self.after(seconds)),
            Act::Twice { queue } => self.deliver_twice(queue),
            Act::LoseAddress => self.lose_address().await,
            Act::StrangeSite { site } => self.write_strangely(site).await,
            user_act => self.perform_session(user_act).await,
        }
    }

    fn after(&self, seconds: u64) -> Timestamp {
        self.now() + Duration::from_secs(seconds)
    }

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

    async fn delete_server(&mut self, server: usize) {
        let told = self.delete(&format!("/v1/servers/{}", SERVERS[server])).await;
        let gone = matches!(told, Told::Taken(_));
        self.model.servers.insert(server, if gone { Expected::Gone } else { Expected::Unknown });
        for ((of, user), expected) in &mut self.model.users {
            // Whether its users go with it is the server's matter; nobody was told anything about them.
            if *of == server && *expected != Expected::Gone {
                *expected = Expected::Unknown;
                self.model.withdrawn.retain(|one| (one.server, one.user) != (*of, *user));
            }
        }
    }

    async fn put_user(&mut self, server: usize, user: usize, key: usize, site: usize) {
        self.model.given(server, user, key);
        let before = self.model.users.insert((server, user), Expected::Unknown);
        let path = format!("/v1/servers/{}/users/{}", SERVERS[server], USERS[user]);
        let told = self.put(&path, &people::user(&line(&key_of(user, key)), site)).await;
        match (&told, before) {
            (Told::Taken(_), _) => {
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

    async fn delete_user(&mut self, server: usize, user: usize) {
        let told = self.delete(&format!("/v1/servers/{}/users/{}", SERVERS[server], USERS[user])).await;
        if matches!(told, Told::Taken(_)) {
            self.model.users.insert((server, user), Expected::Gone);
            for key in 0..2 {
                self.model.withdraw(server, user, key, self.now());
            }
        } else {
            self.model.users.insert((server, user), Expected::Unknown);
        }
    }

    async fn put_site(&mut self, site: usize, quiet_seconds: u64, service: usize) {
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
        let expected = expected(&told, ());
        let since = self.now();
        self.model.sites.insert(site, Site { expected, since, quiet_seconds, service, last_change });
    }

    /// CI deploys what runs, with another image. Unless the story is about that, it waits for our rollouts.
    async fn deploy(&self, service: usize, image: u64) {
        if !self.features.contains(&Feature::Collision) && self.rolls_out(service).await {
            return;
        }
        let ground = self.ground();
        let asked = json!({ "cluster": seed::CLUSTER, "services": [SERVICES[service]] });
        let present = watch::ask(ground, "ecs", "DescribeServices", asked).await["services"][0].clone();
        let asked = json!({ "taskDefinition": present["taskDefinition"] });
        let mut definition = watch::ask(ground, "ecs", "DescribeTaskDefinition", asked).await["taskDefinition"].clone();
        if let Some(members) = definition.as_object_mut() {
            members.retain(|name, _| !wharfinger_decisions::revision::READ_ONLY.contains(&name.as_str()));
        }
        definition["containerDefinitions"][0]["image"] = format!("httpd:{image}").into();
        let made = watch::ask(ground, "ecs", "RegisterTaskDefinition", definition).await;
        let update = json!({ "cluster": seed::CLUSTER, "service": SERVICES[service],
            "taskDefinition": made["taskDefinition"]["taskDefinitionArn"] });
        watch::ask(ground, "ecs", "UpdateService", update).await;
    }

    fn deliver_twice(&self, queue: usize) {
        let plan = self.world.plan();
        let queues: Vec<_> = plan.queues.iter().filter(|queue| !plan.takes_dead_letters(&queue.arn)).collect();
        let Some(queue) = queues.get(queue) else { return };
        for body in self.world.queues().bodies(&queue.declaration.name) {
            let _ = self.world.queues().send(&queue.arn, &body, None);
        }
    }

    async fn lose_address(&self) {
        let ground = self.ground();
        let found = watch::transfer_servers(ground).await;
        for server in found.values() {
            let endpoint = server["EndpointDetails"]["VpcEndpointId"].as_str().unwrap_or_default();
            if server["EndpointDetails"]["AddressAllocationIds"] != json!([]) {
                // AWS lets go of an address that is released out of band.
                let _ = self.world.network().attach_addresses(endpoint, &[]);
            }
        }
        watch::ask(ground, "ec2", "ReleaseAddress", json!({ "AllocationId": seed::ADDRESSES[0] })).await;
    }

    async fn write_strangely(&self, site: usize) {
        let (ground, key) = (self.ground(), json!({ "pk": { "S": "SITES" }, "sk": { "S": SITES[site] } }));
        let asked = json!({ "TableName": ground.table, "Key": key });
        let mut item = watch::ask(ground, "dynamodb", "GetItem", asked).await["Item"].clone();
        if item.is_object() {
            item["intent"]["M"]["of_a_later_version"] = json!({ "S": "yes" });
            watch::ask(ground, "dynamodb", "PutItem", json!({ "TableName": ground.table, "Item": item })).await;
        }
    }

    async fn perform_session(&mut self, act: Act) {
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
            Act::Begin { file, .. } => {
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
            _ => self.leave(server, user),
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
            if watch::name_of(&found) != Some(SERVERS[server]) {
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

fn expected<T>(told: &Told, there: T) -> Expected<T> {
    match told {
        Told::Taken(_) => Expected::There(there),
        Told::Refused(_) | Told::Nothing => Expected::Unknown,
    }
}

/// A user's key: the same in every run.
pub(crate) fn key_of(user: usize, key: usize) -> PublicKey {
    let seed = u8::try_from(user * 2 + key).unwrap_or_default();
    PublicKey::from(Ed25519Keypair::from_seed(&[seed; 32]).public)
}

/// A key in OpenSSH's one-line form.
pub(crate) fn line(key: &PublicKey) -> String {
    key.to_openssh().unwrap_or_default()
}

/// Events come late, in another order and twice, and in a storm ECS's don't come at all.
fn postman(weather: Weather, careless: bool) -> Postman {
    Box::new(move |mut events| {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let now = weather.ground().map(|ground| ground.clock.now());
                let stormy = now.is_some_and(|now| weather.unrest(now) == Some(now));
                if stormy && event["source"] == "aws.ecs" && weather.chance(20) {
                    weather.diary.note("an event of ECS is lost");
                    continue;
                }
                let latest = if stormy || careless { 30_000 } else { 1_500 };
                let copies = if weather.chance(if stormy || careless { 25 } else { 2 }) { 2 } else { 1 };
                for _ in 0..copies {
                    let (late, sender, event) = (weather.draw(50..latest), sender.clone(), event.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(late).await;
                        let _ = sender.send(event);
                    });
                }
            }
        });
        receiver
    })
}

/// How long after a change its rollout begins at the latest, where nothing goes wrong: the quiet period, the longest
/// wait and the longest hold, a sweep that repairs, and the rollout before it.
pub(crate) fn longest(site: &Site) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(site.quiet_seconds).unwrap_or_default())
        + SignedDuration::from_mins(5 + 2 + 5 + 10)
}

pub(crate) fn is_over(rollout: &Value) -> bool {
    ["succeeded", "failed", "superseded"].iter().any(|state| rollout["state"] == *state)
}
