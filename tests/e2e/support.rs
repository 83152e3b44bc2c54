//! A region with a person in front of it.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};
use wharfinger_cli::client::{
    http::Http,
    sftp::{UserKey, Visitor},
    wait,
};
use wharfinger_region::{options::Options, region::Region, seed};

/// The longest that a condition may take on a busy machine. A story that holds never waits nearly as long.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A region, and what a person needs to work with it.
pub(crate) struct LocalRegion {
    /// The region.
    pub(crate) region: Region,
    /// Its HTTP API.
    pub(crate) api: Http,
    /// Its site.
    pub(crate) site: Http,
    /// Alice's key.
    pub(crate) key: UserKey,
}

/// A region on free ports whose sweep and metrics run every second.
pub(crate) fn brisk() -> Options {
    Options::on_free_ports()
        .with("SweepSchedule", "rate(1 second)")
        .with("MetricPeriodSeconds", "1")
        .with("QueueVisibilitySeconds", "5")
        .with("LogLevel", "info")
}

/// A loopback address whose port is free, and stays so while its region is down for a moment: it lies below the range
/// from which systems hand out ports by themselves (32768 on Linux, 49152 elsewhere).
pub(crate) fn steady_port() -> SocketAddr {
    let start = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    (start..32_000)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| std::net::TcpListener::bind(address).is_ok())
        .expect("a port is free")
}

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wharfinger"))
}

impl LocalRegion {
    /// Starts a region.
    pub(crate) async fn open(options: Options) -> Self {
        let region = Region::start(options, program().to_owned()).await.expect("the region starts");
        let addresses = region.addresses();
        let (api, site) = (Http::new(addresses.api), Http::new(addresses.site));
        Self { region, api, site, key: UserKey::generate() }
    }

    /// A region with the server `main`, the site `blog` and the user `alice`, all ready.
    pub(crate) async fn ready(options: Options, server: &Value, site: &Value) -> Self {
        let local = Self::open(options).await;
        local.api.put("/v1/servers/main", server).await.expect("the server is taken");
        local.api.put("/v1/sites/blog", site).await.expect("the site is taken");
        local.put_alice().await;
        local.until_power("online").await;
        local.until_alice_is_ready().await;
        local
    }

    /// Asks for alice.
    pub(crate) async fn put_alice(&self) {
        let user = json!({ "public_keys": [self.key.public_line()], "site": "blog" });
        self.api.put("/v1/servers/main/users/alice", &user).await.expect("alice is taken");
    }

    /// Waits until alice can log in.
    pub(crate) async fn until_alice_is_ready(&self) {
        self.until("alice is ready", || async {
            let user = self.api.get("/v1/servers/main/users/alice").await?.taken("alice")?;
            Ok((user["status"]["state"] == "ready").then_some(()))
        })
        .await;
    }

    /// Waits until the server's power is `power`, and returns the server.
    pub(crate) async fn until_power(&self, power: &str) -> Value {
        self.until(&format!("the server is {power}"), || async {
            let server = self.server().await?;
            Ok((server["status"]["power"] == power).then_some(server))
        })
        .await
    }

    /// The server as the API shows it.
    pub(crate) async fn server(&self) -> anyhow::Result<Value> {
        self.api.get("/v1/servers/main").await?.taken("server")
    }

    /// The rollouts of the site, the newest first.
    pub(crate) async fn rollouts(&self) -> anyhow::Result<Vec<Value>> {
        let list = self.api.get("/v1/sites/blog/rollouts").await?.taken("rollouts")?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until the site has no open window and its newest rollout is `state`; returns all rollouts.
    pub(crate) async fn until_rolled_out(&self, state: &str) -> Vec<Value> {
        self.until(&format!("the rollout has {state}"), || async {
            let site = self.api.get("/v1/sites/blog").await?.taken("site")?;
            let rollouts = self.rollouts().await?;
            let newest = rollouts.first().map(|rollout| rollout["state"].clone());
            ensure!(newest != Some(json!("failed")) || state == "failed", "the rollout failed: {}", rollouts[0]);
            let quiet = site["status"]["window"]["state"] == "empty";
            Ok((quiet && newest == Some(json!(state))).then_some(rollouts))
        })
        .await
    }

    /// What the site serves at `path`.
    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.site.get(path).await.expect("the site answers");
        answer.body.as_str().map_or_else(|| answer.body.to_string(), str::to_owned)
    }

    /// Logs alice in.
    pub(crate) async fn log_in(&self) -> Visitor {
        let address = self.region.addresses().sftp;
        Visitor::log_in(address, "alice", &self.key).await.expect("alice logs in")
    }

    /// Waits for a condition.
    pub(crate) async fn until<T, F>(&self, what: &str, probe: impl FnMut() -> F) -> T
    where
        F: Future<Output = anyhow::Result<Option<T>>>,
    {
        match wait::until(what, LIMIT, probe).await {
            Ok(found) => found,
            Err(error) => {
                let server = self.server().await;
                let site = self.api.get("/v1/sites/blog").await.map(|answer| answer.body);
                panic!("{error:#}\nserver: {server:?}\nsite: {site:?}")
            }
        }
    }

    /// How often the functions have called an AWS operation.
    pub(crate) fn calls(&self, service: &str, operation: &str) -> u64 {
        self.region.calls().count(service, operation)
    }

    /// Ends the region; nothing may lie in a dead-letter queue.
    pub(crate) async fn close(self) {
        let dead = self.region.dead_letters();
        self.region.stop().await;
        assert!(dead.is_empty(), "dead letters: {dead:?}");
    }
}

/// The server `main`, stopped after `idle`, or never.
pub(crate) fn server(idle: Option<&str>) -> Value {
    let mut server = json!({
        "file_system_id": seed::FILE_SYSTEM,
        "network": {
            "vpc_id": seed::VPC,
            "subnet_ids": [seed::SUBNETS[0]],
            "security_group_ids": [seed::SFTP_GROUP],
            "address_allocation_ids": [seed::ADDRESSES[0]],
            "allowed_cidrs": ["127.0.0.0/8"],
        },
    });
    if let Some(after) = idle {
        server["idle"] = json!({ "after": after, "action": "stop" });
    }
    server
}

/// The site `blog`, rolled out after `quiet_period`.
pub(crate) fn blog(quiet_period: &str) -> Value {
    json!({
        "file_system_id": seed::FILE_SYSTEM,
        "directory": "/sites/blog",
        "cluster": "local",
        "service": "web",
        "container": "web",
        "mount_path": "/usr/local/apache2/htdocs",
        "finish": { "quiet_period": quiet_period },
    })
}
