//! The story: a server, a site and a user; an upload and its rollout; idleness, and the way back.

use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};
use wharfinger_emulator::endpoint::calls::Kind;
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
    carol: UserKey,
}

pub(super) async fn tell(region: &Region) -> anyhow::Result<()> {
    let addresses = region.addresses();
    let (key, carol) = (UserKey::generate(), UserKey::generate());
    let teller = Teller { region, api: Http::new(addresses.api), site: Http::new(addresses.site), key, carol };
    let mut steps = Steps::default();
    steps.step("The site before: no file system is mounted yet", teller.look_before()).await?;
    steps.step("A server, a site and two users are asked for, with four PUTs", teller.ask()).await?;
    steps.step("A wrong PUT is refused with a sentence that helps", teller.ask_wrongly()).await?;
    let host_key = steps.step("The server comes online, with its Elastic IP", teller.wait_online()).await?;
    let visitor = steps.step("Alice logs in with her key", teller.log_in(&host_key)).await?;
    let uploaded = steps.step("She uploads 50 files in one burst", teller.upload(&visitor)).await?;
    steps.step("One new task-definition revision goes to the service", teller.wait_update(uploaded)).await?;
    steps.step("The rollout succeeds, and the site serves the upload", teller.wait_rollout()).await?;
    steps.step("While she stays logged in, the server stays online", teller.stay()).await?;
    visitor.log_out().await?;
    let address = text(&teller.server().await?, "/status/endpoint/host");
    steps.step("She leaves; the idle server is put to sleep", teller.wait_asleep()).await?;
    let bob = UserKey::generate();
    steps.step("Bob is added and carol is removed while it sleeps", teller.change_users(&bob)).await?;
    steps
        .step("It wakes: same address, same host key; who is in and who is out", teller.wake(&host_key, &address, &bob))
        .await?;
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
        for (name, key) in [("alice", &self.key), ("carol", &self.carol)] {
            let user = json!({ "public_keys": [key.public_line()], "site": "blog" });
            self.api.put(&format!("/v1/servers/main/users/{name}"), &user).await?;
        }
        Ok(((), "PUT /v1/servers/main, /v1/sites/blog, and two below /v1/servers/main/users".into()))
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
        for user in ["alice", "carol"] {
            self.wait_ready(user).await?;
        }
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
            let server = self.server().await?;
            ensure!(text(&server, "/status/power") == "online", "the server was not kept online: {server}");
            let (action, reason) = (text(&server, "/status/idle/action"), text(&server, "/status/idle/reason"));
            Ok((action == "keep" && reason.contains("session")).then_some(reason))
        })
        .await?;
        Ok(((), reason))
    }

    async fn wait_asleep(&self) -> anyhow::Result<((), String)> {
        let server = wait::until("the server is asleep", LIMIT, || self.server_if("asleep")).await?;
        let listed = self.region.call("transfer", "ListServers", json!({})).await?;
        ensure!(listed["Servers"] == json!([]), "AWS still bills a server: {listed}");
        let kept = self.region.call("ec2", "DescribeAddresses", json!({ "AllocationIds": [seed::ADDRESSES[0]] })).await;
        ensure!(kept.is_ok(), "the Elastic IP is gone");
        Ok((
            (),
            format!(
                "{}\naws transfer list-servers: none. The Elastic IP stays ours, and is all that AWS bills",
                text(&server, "/status/wanted/reason")
            ),
        ))
    }

    async fn change_users(&self, bob: &UserKey) -> anyhow::Result<((), String)> {
        let user = json!({ "public_keys": [bob.public_line()], "site": "blog" });
        self.api.put("/v1/servers/main/users/bob", &user).await?;
        self.api.delete("/v1/servers/main/users/carol").await?;
        Ok(((), "PUT /v1/servers/main/users/bob, DELETE /v1/servers/main/users/carol".into()))
    }

    async fn wake(&self, host_key: &str, address: &str, bob: &UserKey) -> anyhow::Result<((), String)> {
        // People who look at the status make calls of the table.
        let counts = |kind: &Kind| kind.service != "dynamodb";
        let before = self.region.calls().sum(counts);
        self.api.post("/v1/servers/main/wake").await?;
        let server = wait::until("the server is online again", LIMIT, || self.server_if("online")).await?;
        ensure!(text(&server, "/status/endpoint/host") == address, "the address has changed");
        for user in ["alice", "bob"] {
            self.wait_ready(user).await?;
        }
        let calls = self.region.calls().sum(counts) - before;
        let sftp = self.region.addresses().sftp;
        let alice = Visitor::log_in(sftp, "alice", &self.key).await?;
        ensure!(alice.host_key_fingerprint == host_key, "the host key has changed");
        ensure!(alice.get("index.html").await? == b"<h1>Ahoy</h1>", "the file is not as it was");
        alice.log_out().await?;
        Visitor::log_in(sftp, "bob", bob).await?.log_out().await?;
        let carol = Visitor::log_in(sftp, "carol", &self.carol).await;
        ensure!(carol.is_err(), "carol was removed, and is in");
        Ok((
            (),
            format!(
                "host key {host_key}\n{calls} calls of AWS beside the table's, from the order until everybody can log in"
            ),
        ))
    }

    async fn wait_ready(&self, user: &str) -> anyhow::Result<()> {
        wait::until(&format!("{user} is ready"), LIMIT, || async {
            let found = self.api.get(&format!("/v1/servers/main/users/{user}")).await?.taken("user")?;
            let is_ready = text(&found, "/status/state") == "ready" && found["status"]["settled"] == true;
            Ok(is_ready.then_some(()))
        })
        .await
    }

    async fn server(&self) -> anyhow::Result<Value> {
        self.api.get("/v1/servers/main").await?.taken("server")
    }

    async fn server_if(&self, power: &str) -> anyhow::Result<Option<Value>> {
        let server = self.server().await?;
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
        "idle": { "after": "4s", "action": "sleep" },
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
