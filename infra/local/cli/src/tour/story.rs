//! The story: a server, a site and a user; an upload and its rollout; idleness, and the way back.

use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};
use wharfinger_region::{region::Region, seed};

use super::steps::Steps;
use crate::client::{
    http::Http,
    sftp::{UserKey, Visitor},
    wait,
};

/// The longest that a step may wait. Nothing takes nearly as long unless it is broken.
const LIMIT: Duration = Duration::from_secs(45);

struct Teller<'a> {
    region: &'a Region,
    api: Http,
    site: Http,
    key: UserKey,
}

pub(super) async fn tell(region: &Region) -> anyhow::Result<()> {
    let addresses = region.addresses();
    let teller =
        Teller { region, api: Http::new(addresses.api), site: Http::new(addresses.site), key: UserKey::generate() };
    let mut steps = Steps::default();
    steps.step("The site before: no file system is mounted yet", teller.look_before()).await?;
    steps.step("A server, a site and a user are asked for, with three PUTs", teller.ask()).await?;
    steps.step("A wrong PUT is refused with a sentence that helps", teller.ask_wrongly()).await?;
    let host_key = steps.step("The server comes online, with its Elastic IP", teller.wait_online()).await?;
    let visitor = steps.step("Alice logs in with her key", teller.log_in(&host_key)).await?;
    let uploaded = steps.step("She uploads 50 files in one burst", teller.upload(&visitor)).await?;
    steps.step("One new task-definition revision goes to the service", teller.wait_update(uploaded)).await?;
    steps.step("The rollout succeeds, and the site serves the upload", teller.wait_rollout()).await?;
    steps.step("While she stays logged in, the server stays online", teller.stay()).await?;
    visitor.log_out().await?;
    steps.step("She leaves; the idle server is stopped", teller.wait_stopped()).await?;
    steps.step("It is started again: same address, same host key, same user", teller.start_again(&host_key)).await?;
    Ok(())
}

impl Teller<'_> {
    async fn look_before(&self) -> anyhow::Result<((), String)> {
        let page = wait::until("the service's first task runs", LIMIT, || async {
            let page = self.site.get("/").await?;
            Ok(page.status.is_success().then_some(page))
        })
        .await?;
        let revision = header(&page.headers, "x-task-definition");
        ensure!(revision == "web:1", "the service runs {revision}, not web:1");
        Ok(((), format!("{} answers {}: {}", revision, page.status, first_line(&page.body))))
    }

    async fn ask(&self) -> anyhow::Result<((), String)> {
        self.api.put("/v1/servers/main", &server()).await?;
        self.api.put("/v1/sites/blog", &site()).await?;
        let user = json!({ "public_keys": [self.key.public_line()], "site": "blog" });
        self.api.put("/v1/servers/main/users/alice", &user).await?;
        Ok(((), "PUT /v1/servers/main, /v1/sites/blog, /v1/servers/main/users/alice".into()))
    }

    async fn ask_wrongly(&self) -> anyhow::Result<((), String)> {
        let mut wrong = server();
        wrong["network"]["allowed_cidrs"] = json!(["0.0.0.0/0"]);
        let answer = self.api.ask(Method::PUT, "/v1/servers/second", Some(&wrong)).await?;
        ensure!(answer.status.is_client_error(), "it was answered {}", answer.status);
        Ok(((), format!("{}: {}", answer.status, text(&answer.body, "/detail"))))
    }

    async fn wait_online(&self) -> anyhow::Result<(String, String)> {
        let server = wait::until("the server is online", LIMIT, || self.server_if("online")).await?;
        wait::until("alice is ready", LIMIT, || async {
            let user = self.api.get("/v1/servers/main/users/alice").await?.taken("alice")?;
            Ok((text(&user, "/status/state") == "ready").then_some(()))
        })
        .await?;
        let fingerprint = text(&server, "/status/host_key_fingerprints/0");
        let endpoint = &server["status"]["endpoint"];
        Ok((
            fingerprint.clone(),
            format!("sftp -P {} alice@{}\nhost key {fingerprint}", endpoint["port"], text(endpoint, "/host")),
        ))
    }

    async fn log_in(&self, host_key: &str) -> anyhow::Result<(Visitor, String)> {
        let visitor = Visitor::log_in(self.region.addresses().sftp, "alice", &self.key).await?;
        let shown = &visitor.host_key_fingerprint;
        ensure!(shown == host_key, "the server shows the host key {shown}, the API said {host_key}");
        Ok((visitor, "the host key is the one that the API shows".into()))
    }

    async fn upload(&self, visitor: &Visitor) -> anyhow::Result<(Instant, String)> {
        for number in 1..50 {
            visitor.put(&format!("file-{number}.txt"), format!("cargo {number}").as_bytes()).await?;
        }
        visitor.put("index.html", b"<h1>Ahoy</h1>").await?;
        Ok((Instant::now(), "49 text files, and index.html last".into()))
    }

    async fn wait_update(&self, uploaded: Instant) -> anyhow::Result<((), String)> {
        let revision = wait::until("the service has a new task definition", LIMIT, || async {
            let service = self.region.service("local", "web").await?;
            let now = text(&service, "/taskDefinition");
            Ok((!now.ends_with("/web:1")).then_some(now))
        })
        .await?;
        let took = uploaded.elapsed().as_secs_f64();
        Ok((
            (),
            format!("{revision}\n{took:.2} s from the end of the upload to the service update (quiet_period is 1s)"),
        ))
    }

    async fn wait_rollout(&self) -> anyhow::Result<((), String)> {
        let rollouts = wait::until("the rollout has its verdict", LIMIT, || async {
            let list = self.api.get("/v1/sites/blog/rollouts").await?.taken("rollouts")?;
            let state = text(&list, "/items/0/state");
            ensure!(!matches!(state.as_str(), "failed" | "rolled_back"), "the rollout {state}: {list}");
            Ok((state == "succeeded").then_some(list))
        })
        .await?;
        let count = rollouts["items"].as_array().map_or(0, Vec::len);
        ensure!(count == 1, "one upload made {count} rollouts");
        let page = self.site.get("/").await?;
        ensure!(first_line(&page.body).contains("Ahoy"), "the site serves {}", page.body);
        let revision = header(&page.headers, "x-task-definition");
        Ok(((), format!("{revision} answers {}: {}", page.status, first_line(&page.body))))
    }

    async fn stay(&self) -> anyhow::Result<((), String)> {
        let reason = wait::until("the sweep has seen that somebody is there", LIMIT, || async {
            let server = self.api.get("/v1/servers/main").await?.taken("server")?;
            ensure!(text(&server, "/status/power") == "online", "the server was not kept online: {server}");
            let (action, reason) = (text(&server, "/status/idle/action"), text(&server, "/status/idle/reason"));
            Ok((action == "keep" && reason.contains("session")).then_some(reason))
        })
        .await?;
        Ok(((), reason))
    }

    async fn wait_stopped(&self) -> anyhow::Result<((), String)> {
        let server = wait::until("the server is stopped", LIMIT, || self.server_if("stopped")).await?;
        ensure!(
            Visitor::log_in(self.region.addresses().sftp, "alice", &self.key).await.is_err(),
            "a stopped server let somebody in"
        );
        Ok((
            (),
            format!(
                "{}\nthe door is shut; AWS bills a stopped server as before",
                text(&server, "/status/wanted/reason")
            ),
        ))
    }

    async fn start_again(&self, host_key: &str) -> anyhow::Result<((), String)> {
        self.api.post("/v1/servers/main/start").await?;
        wait::until("the server is online again", LIMIT, || self.server_if("online")).await?;
        let visitor = Visitor::log_in(self.region.addresses().sftp, "alice", &self.key).await?;
        ensure!(visitor.host_key_fingerprint == host_key, "the host key has changed");
        ensure!(visitor.get("index.html").await? == b"<h1>Ahoy</h1>", "the file is not as it was");
        visitor.log_out().await?;
        Ok(((), format!("host key {host_key}")))
    }

    async fn server_if(&self, power: &str) -> anyhow::Result<Option<Value>> {
        let server = self.api.get("/v1/servers/main").await?.taken("server")?;
        Ok((text(&server, "/status/power") == power).then_some(server))
    }
}

fn server() -> Value {
    json!({
        "file_system_id": seed::FILE_SYSTEM,
        "network": {
            "vpc_id": seed::VPC,
            "subnet_ids": [seed::SUBNETS[0]],
            "security_group_ids": [seed::SFTP_GROUP],
            "address_allocation_ids": [seed::ADDRESSES[0]],
            "allowed_cidrs": ["127.0.0.0/8"],
        },
        "idle": { "after": "4s", "action": "stop" },
    })
}

fn site() -> Value {
    json!({
        "file_system_id": seed::FILE_SYSTEM,
        "directory": "/sites/blog",
        "cluster": "local",
        "service": "web",
        "container": "web",
        "mount_path": "/usr/local/apache2/htdocs",
        "finish": { "quiet_period": "1s", "max_wait": "1m" },
    })
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn header(headers: &reqwest::header::HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn first_line(body: &Value) -> String {
    body.as_str().unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}
