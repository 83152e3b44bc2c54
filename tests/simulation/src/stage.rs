//! Plays a story: a world of its own, on a paused clock, with everything in it drawn from the story's seed.

mod accidents;
mod console;
mod operators;
mod orders;
mod sessions;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use russh::keys::{PublicKey, ssh_key::private::Ed25519Keypair};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wharfinger_emulator::{context::Pace, endpoint::traffic::Traffic};
use wharfinger_region::{
    region::world::{Beginning, Postman, World},
    seed,
    template::plan::Plan,
};

use crate::{
    functions::Functions,
    model::{Model, Site},
    network::Network,
    people::SERVICES,
    story::{Act, Feature, Story},
    weather::{Ground, Weather},
};

/// From where users come.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

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
    ground: Arc<Ground>,
    pub(crate) weather: Weather,
    pub(crate) model: Model,
    pub(crate) features: Vec<Feature>,
}

impl Stage {
    pub(crate) async fn open(story: &Story, plan: &Plan, weather: Weather) -> anyhow::Result<Self> {
        let origin: Timestamp = "2026-03-02T08:00:00Z".parse().context("read the first day")?;
        let beginning = Beginning {
            plan: plan.clone(),
            origin,
            pace: pace(),
            traffic: Traffic::default(),
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
        let ground = Arc::new(Ground {
            services: world.services().clone(),
            clock: world.clock().clone(),
            callers: callers.collect(),
            table: plan.tables.first().map(|table| table.name.clone()).unwrap_or_default(),
            secrets: plan
                .functions
                .iter()
                .find_map(|one| one.environment.get("SECRET_PREFIX").cloned())
                .unwrap_or_default(),
        });
        weather.settle_on(&ground);
        world.make_directory("/sites/shop").context("make the shop's directory")?;
        let stage = Self { world, ground, weather, model: Model::default(), features: story.features.clone() };
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
                "tags": [{ "key": "wharfinger:allow", "value": "true" }],
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
        &self.ground
    }

    pub(crate) async fn perform(&mut self, act: &Act) {
        self.weather.diary.note(act);
        match act.clone() {
            Act::PutServer { server, idle, cidr } => self.put_server(server, idle, cidr).await,
            Act::Power { server, power, now } => self.order(server, power, now).await,
            Act::Contest { server, powers } => self.contest(server, powers).await,
            Act::Touch { server, touch } => self.touch(server, touch).await,
            Act::DeleteServer { server } => self.delete_server(server).await,
            Act::PutUser { server, user, key, site } => self.put_user(server, user, key, site).await,
            Act::DeleteUser { server, user } => self.delete_user(server, user).await,
            Act::PutSite { site, quiet_seconds, service } => self.put_site(site, quiet_seconds, service).await,
            Act::DeleteSite { site } => self.delete_site(site).await,
            Act::Deploy { service, image } => self.deploy(service, image).await,
            Act::Storm { seconds, percent } => self.weather.storm(self.after(seconds), percent),
            Act::Deny { service, operation, seconds } => self.weather.deny(service, operation, self.after(seconds)),
            Act::Twice { queue } => self.deliver_twice(queue),
            Act::LoseAddress => self.lose_address().await,
            Act::Strange { record, readable } => self.write_strangely(record, readable).await,
            Act::FailStarts { times } => self.weather.fail_starts(times),
            Act::Strike { service, operation, strike } => self.weather.strike(service, operation, strike),
            Act::Doubles { seconds } => self.weather.double(self.after(seconds)),
            Act::PasteKey { server, user } => self.paste_key(server, user).await,
            user_act => self.perform_session(user_act).await,
        }
    }

    fn after(&self, seconds: u64) -> Timestamp {
        self.now() + Duration::from_secs(seconds)
    }
}

/// A user's key: the same in every run.
pub(crate) fn key_of(user: usize, key: usize) -> PublicKey {
    let seed = u8::try_from(user * 2 + key).unwrap_or_default();
    PublicKey::from(Ed25519Keypair::from_seed(&[seed; 32]).public)
}

/// A user's private key as PKCS #8 has it, on one line.
fn private_line(user: usize) -> String {
    const HEADER: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let seed = u8::try_from(user).unwrap_or_default() + 100;
    let secret: Vec<u8> = (0..32).map(|place: u8| seed.wrapping_mul(37).wrapping_add(place.wrapping_mul(59))).collect();
    STANDARD.encode([&HEADER[..], &secret].concat())
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
/// wait and the longest hold, a sweep that repairs, and the rollouts before it: the site's own, and one of another site of
/// the service.
pub(crate) fn longest(site: &Site) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(site.quiet_seconds).unwrap_or_default())
        + SignedDuration::from_mins(5 + 2 + 5 + 10 + 10)
}

pub(crate) fn is_over(rollout: &Value) -> bool {
    ["succeeded", "failed", "rolled_back", "superseded"].iter().any(|state| rollout["state"] == *state)
}
