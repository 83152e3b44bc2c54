//! What is counted: a region whose sweeps happen only when they are asked for, with servers that are online, settled
//! and left alone, each with a site and a user of its own.

use std::{path::PathBuf, sync::Mutex, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wharfinger_emulator::{endpoint::traffic::Latency, events::schedule::scheduled_event};
use wharfinger_region::{options::Options, region::Region, seed};

use super::count::Count;
use crate::client::{
    http::Http,
    sftp::{UserKey, Visitor},
    wait,
};

/// The longest that anything may take here.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a task takes to start or stop: a deployment, which is two of it, can be looked at while it goes on.
const TASK_TRANSITION: Duration = Duration::from_secs(3);

/// Sessions that upload a burst side by side.
const SESSIONS: usize = 4;

/// A region to count in.
pub struct Scene {
    /// The region.
    pub region: Region,
    api: Http,
    key: UserKey,
    /// The security group of each server: two servers can't share one.
    groups: Mutex<Vec<String>>,
}

impl Scene {
    /// Starts one without servers, with `program` as its functions, whose calls of AWS take these times.
    ///
    /// # Errors
    /// When the region can't be started.
    pub async fn open(program: PathBuf, latency: &[Latency]) -> anyhow::Result<Self> {
        let mut options = Options::on_free_ports().with("SweepSchedule", "rate(7 days)");
        options.pace.task_transition = TASK_TRANSITION;
        options.latency = latency.to_vec();
        let region = Region::start(options, program).await?;
        let api = Http::new(region.addresses().api);
        Ok(Self { region, api, key: UserKey::generate(), groups: Mutex::new(vec![seed::SFTP_GROUP.to_owned()]) })
    }

    /// Brings up servers until there are `count`, and waits until all is done that follows from it.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn grow_to(&self, count: usize) -> anyhow::Result<()> {
        for number in 1..=count {
            let (server, site, user) = (server_name(number), site_name(number), json!([self.key.public_line()]));
            let group = self.group(number).await?;
            self.api.put(&format!("/v1/servers/{server}"), &server_spec(number, &group, "24h")).await?;
            self.api.put(&format!("/v1/sites/{site}"), &site_spec(number)).await?;
            let user = json!({ "public_keys": user, "site": site });
            self.api.put(&format!("/v1/servers/{server}/users/alice"), &user).await?;
        }
        for number in 1..=count {
            let server = format!("/v1/servers/{}", server_name(number));
            let user = format!("{server}/users/alice");
            self.wait_for(&server, "/status/power", "online").await?;
            self.wait_for(&user, "/status/state", "ready").await?;
        }
        self.settle().await
    }

    /// Has the idle sweep run, and counts what it used.
    ///
    /// # Errors
    /// When it fails.
    pub async fn sweep(&self) -> anyhow::Result<Count> {
        let before = self.read().await?;
        let rule = "arn:aws:events:us-east-1:000000000000:rule/sweep";
        let event = Bytes::from(scheduled_event(rule, Timestamp::now()).to_string());
        self.region.lambda().invoke(&self.function("wharfinger-autostop")?, event).await?;
        Ok(self.read().await?.since(&before))
    }

    /// Has `reconcile` look at one server and its user, by a change that needs nothing of AWS, and counts what
    /// `reconcile` and its message used.
    ///
    /// # Errors
    /// When the change is refused.
    pub async fn look(&self) -> anyhow::Result<Count> {
        let reconcile = self.function("wharfinger-reconcile")?;
        for after in ["25h", "24h"] {
            let before = self.read_of(&reconcile).await?;
            self.api.put("/v1/servers/main", &server_spec(1, seed::SFTP_GROUP, after)).await?;
            let used = self.read_of(&reconcile).await?.since(&before);
            // A look that was woken twice is none to count by.
            if used.invocations.get(&reconcile) == Some(&1) {
                return Ok(used);
            }
        }
        anyhow::bail!("a change of a settled server does not make one look")
    }

    /// Uploads `files` files in one burst, waits until they are rolled out, and counts what that used.
    ///
    /// # Errors
    /// When the upload or the rollout fails.
    pub async fn upload(&self, files: usize) -> anyhow::Result<Count> {
        let before = self.read().await?;
        let rollouts = self.rollouts().await?.len();
        self.put_files(files).await?;
        self.until_newest(rollouts, "succeeded").await?;
        let rollout = self.function("wharfinger-rollout")?;
        let used = self.read_of(&rollout).await?.since(&before.only(&rollout));
        let made = self.rollouts().await?.len() - rollouts;
        ensure!(made == 1, "{files} files made {made} rollouts: is the machine too busy to upload them in one burst?");
        Ok(used)
    }

    /// Uploads a file, has `rollout` look at the site while ECS deploys, as a sweep has it, and counts what the look and
    /// its message used.
    ///
    /// # Errors
    /// When the rollout fails, or is over too soon.
    pub async fn look_at_a_deployment(&self) -> anyhow::Result<Count> {
        let rollouts = self.rollouts().await?.len();
        self.put_files(1).await?;
        self.until_newest(rollouts, "deploying").await?;
        let rollout = self.function("wharfinger-rollout")?;
        let before = self.read_of(&rollout).await?;
        let ticks = self.region.plan().queues.iter().find(|queue| queue.declaration.name.ends_with("-ticks"));
        let ticks = ticks.context("the template has no queue for ticks")?;
        self.region.queues().send(&ticks.arn, &json!({ "site": "blog" }).to_string(), None)?;
        let used = self.read_of(&rollout).await?.since(&before);
        let state = self.rollouts().await?[0]["state"].clone();
        ensure!(state == "deploying", "a deployment was {state} before it was looked at: is the machine too busy?");
        self.until_newest(rollouts, "succeeded").await?;
        Ok(used)
    }

    async fn put_files(&self, files: usize) -> anyhow::Result<()> {
        let mut uploads = JoinSet::new();
        for first in 0..SESSIONS.min(files) {
            let session = self.log_in().await?;
            uploads.spawn(async move {
                for file in (first..files).step_by(SESSIONS) {
                    session.put(&format!("{file}.txt"), b"counted").await?;
                }
                session.log_out().await
            });
        }
        while let Some(uploaded) = uploads.join_next().await {
            uploaded.context("upload")??;
        }
        Ok(())
    }

    /// Waits until there are more than `before` rollouts, and the newest is `state`.
    async fn until_newest(&self, before: usize, state: &str) -> anyhow::Result<()> {
        wait::until(&format!("the upload is {state}"), LIMIT, || async {
            let all = self.rollouts().await?;
            Ok((all.len() > before && all[0]["state"] == state).then_some(()))
        })
        .await
    }

    /// Ends the region.
    pub async fn close(self) {
        self.region.stop().await;
    }

    async fn rollouts(&self) -> anyhow::Result<Vec<Value>> {
        let list = self.api.get("/v1/sites/blog/rollouts").await?.taken("rollouts")?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn log_in(&self) -> anyhow::Result<Visitor> {
        Visitor::log_in(self.region.addresses().sftp, "alice", &self.key).await
    }

    /// The counters once nothing is under way.
    async fn read(&self) -> anyhow::Result<Count> {
        self.settle().await?;
        Ok(Count::read(&self.region))
    }

    /// The same for one function and the queues.
    async fn read_of(&self, function: &str) -> anyhow::Result<Count> {
        Ok(self.read().await?.only(function))
    }

    /// Waits until all queues are empty, delayed messages included, and nothing is counted any more.
    async fn settle(&self) -> anyhow::Result<()> {
        let last = Mutex::new(Count::default());
        wait::until("nothing is under way", LIMIT, || async {
            let queues = &self.region.plan().queues;
            let empty = queues.iter().all(|queue| self.region.queues().bodies(&queue.declaration.name).is_empty());
            let now = Count::read(&self.region);
            let mut last = last.lock().expect("nobody panics holding it");
            let same = std::mem::replace(&mut *last, now) == *last;
            Ok((empty && same).then_some(()))
        })
        .await
    }

    async fn wait_for(&self, path: &str, pointer: &str, value: &str) -> anyhow::Result<()> {
        wait::until(&format!("{path} is {value}"), LIMIT, || async {
            let shown = self.api.get(path).await?.taken(path)?;
            Ok((shown.pointer(pointer).and_then(Value::as_str) == Some(value)).then_some(()))
        })
        .await
    }

    /// The security group of a server, made if it is not there yet.
    async fn group(&self, number: usize) -> anyhow::Result<String> {
        let there = self.groups.lock().expect("nobody panics holding it").get(number - 1).cloned();
        if let Some(group) = there {
            return Ok(group);
        }
        let name = server_name(number);
        let input = json!({ "GroupName": name, "GroupDescription": "SFTP", "Description": "SFTP", "VpcId": seed::VPC });
        let made = self.region.call("ec2", "CreateSecurityGroup", input).await?;
        let group =
            made["GroupId"].as_str().or(made["groupId"].as_str()).context("a security group has an id")?.to_owned();
        self.groups.lock().expect("nobody panics holding it").push(group.clone());
        Ok(group)
    }

    /// The logical name of the function with this binary.
    fn function(&self, binary: &str) -> anyhow::Result<String> {
        let found = self.region.plan().functions.iter().find(|function| function.binary == binary);
        Ok(found.with_context(|| format!("the template has no {binary}"))?.logical.clone())
    }
}

fn server_name(number: usize) -> String {
    if number == 1 { "main".into() } else { format!("server-{number:04}") }
}

fn site_name(number: usize) -> String {
    if number == 1 { "blog".into() } else { format!("site-{number:04}") }
}

/// The first server is on the Internet; the others, for want of Elastic IPs, inside the VPC.
fn server_spec(number: usize, group: &str, idle_after: &str) -> Value {
    let addresses: &[&str] = if number == 1 { &seed::ADDRESSES[..1] } else { &[] };
    json!({
        "file_system_id": seed::FILE_SYSTEM,
        "network": {
            "vpc_id": seed::VPC,
            "subnet_ids": [seed::SUBNETS[0]],
            "security_group_ids": [group],
            "address_allocation_ids": addresses,
            "allowed_cidrs": ["127.0.0.0/8"],
        },
        "idle": { "after": idle_after, "action": "stop" },
    })
}

/// The first site is the region's own; the others only have to be there.
fn site_spec(number: usize) -> Value {
    let (directory, service) = match number {
        1 => (seed::DIRECTORY.to_owned(), seed::SERVICE.to_owned()),
        _ => (format!("/sites/{}", site_name(number)), format!("web-{number}")),
    };
    json!({
        "file_system_id": seed::FILE_SYSTEM,
        "directory": directory,
        "cluster": seed::CLUSTER,
        "service": service,
        "container": "web",
        "mount_path": "/usr/local/apache2/htdocs",
        "keep_revisions": 2,
        "finish": { "quiet_period": "10s", "max_wait": "5m" },
    })
}
