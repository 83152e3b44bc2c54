//! `users`: many users on one server. All are made on a new server, as after a rebuild; one is removed meanwhile; and once
//! all is quiet, the server is looked at again and again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use wharfinger_region::seed;

use super::{Aws, Calls, Scene, count, print, since};

pub(super) const RECONCILE: &str = "wharfinger-reconcile";
pub(super) const FUNCTIONS: [&str; 3] = ["wharfinger-api", "wharfinger-autostop", RECONCILE];

/// Calls of AWS made for a call that was needed.
const MOST_CALLS: f64 = 1.1;

/// A user who is removed can't log in any more after this.
const REMOVAL: Duration = Duration::from_secs(60);

/// Calls of Transfer Family in a look that finds everything as wanted.
const QUIET_CALLS: u64 = 12;

/// For so long the server is left alone.
const QUIET: Duration = Duration::from_secs(2 * 3600);

/// How to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// How many users the server has: AWS's quota.
    #[arg(long, default_value_t = 10_000)]
    users: u64,
    #[command(flatten)]
    aws: Aws,
}

/// Restores the users, removes one, waits, and prints what that took.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    super::on_paused_clock(async {
        let scene = Scene::open(&options.aws, &FUNCTIONS).await?;
        let id = open_server(&scene, &[]).await?;
        record(&scene, options.users).await?;
        let removal = restore(&scene, &id, options.users).await?;
        let quiet = leave_alone(&scene).await?;
        scene.world.stop().await;
        ensure!(removal <= REMOVAL, "a removal takes {removal:?}");
        ensure!(quiet <= QUIET_CALLS, "a quiet look makes {quiet} calls");
        Ok(())
    })
}

/// A server that is online at these Elastic IPs, with no user yet. Returns AWS's id.
pub(super) async fn open_server(scene: &Scene, addresses: &[&str]) -> anyhow::Result<String> {
    let server = json!({
        "file_system_id": seed::FILE_SYSTEM,
        "network": {
            "vpc_id": seed::VPC, "subnet_ids": [seed::SUBNETS[0]], "security_group_ids": [seed::SFTP_GROUP],
            "address_allocation_ids": addresses,
        },
    });
    ask(scene, Method::PUT, "/v1/servers/main", Some(&server)).await?;
    until(Duration::from_secs(1800), async || {
        let shown = ask(scene, Method::GET, "/v1/servers/main", None).await?;
        let is_settled = shown["status"]["settled"] == true;
        Ok(shown["status"]["server_id"].as_str().filter(|_| is_settled).map(str::to_owned))
    })
    .await
    .context("the server comes online")
}

/// Writes `count` users as a server that was deleted left them.
async fn record(scene: &Scene, count: u64) -> anyhow::Result<()> {
    let now = scene.world.clock().now();
    for number in 0..count {
        let body = json!({
            "intent": {
                "public_keys": [key(number)], "directory": "/sites/blog",
                "posix": { "uid": 1000, "gid": 1000, "secondary_gids": [] },
            },
            "status": {
                "state": "ready", "reason": "can log in", "settled_version": 1, "tried_version": 1, "observed_at": now,
                "conditions": [],
                "applied": {
                    "server_id": "s-00000000000000000", "root": format!("/{}/sites/blog", seed::FILE_SYSTEM),
                    "role": "arn:aws:iam::000000000000:role/wharfinger-TransferUserRole",
                },
            },
            "version": 1, "deleting": false, "created_at": now, "updated_at": now, "format": 1,
        });
        scene.put("USERS#main", &name(number), body).await?;
    }
    Ok(())
}

/// Has all users made, and one removed when half of them are there. Returns how long the removal took.
async fn restore(scene: &Scene, id: &str, users: u64) -> anyhow::Result<Duration> {
    let (before, visits, began) = (scene.calls(RECONCILE), scene.invocations(RECONCILE), Instant::now());
    wake(scene).await?;
    let there = async |least: u64| {
        until(Duration::from_secs(86_400), async || {
            let server = scene.world.call("transfer", "DescribeServer", json!({ "ServerId": id })).await?;
            let count = server["Server"]["UserCount"].as_u64().unwrap_or_default();
            Ok((count >= least).then_some(()))
        })
        .await
    };
    there(users / 2).await.context("half of the users are made")?;
    let removal = remove(scene, id).await?;
    there(users - 1).await.context("all users are made")?;
    let took = began.elapsed();
    let calls = since(&scene.calls(RECONCILE), &before);
    // One CreateUser each, and one DeleteUser.
    let (made, needed) = (count(&calls, Some("transfer")), users + 1);
    let ratio = made as f64 / needed as f64;
    println!(
        "{users} users on a new server: {:.0} s, {:.1} calls needed a second",
        took.as_secs_f64(),
        needed as f64 / took.as_secs_f64()
    );
    println!("  in {} invocations; calls:", scene.invocations(RECONCILE) - visits);
    print(&calls);
    println!("  Transfer Family: {made} calls for {needed} needed, {ratio:.3} (goal: {MOST_CALLS})");
    println!("  a removal among them takes effect in {:.0} s (goal: {} s)", removal.as_secs_f64(), REMOVAL.as_secs());
    ensure!(ratio <= MOST_CALLS, "too many calls are made");
    Ok(removal)
}

/// Removes the first user, and waits until the account is gone.
async fn remove(scene: &Scene, id: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    ask(scene, Method::DELETE, &format!("/v1/servers/main/users/{}", name(0)), None).await?;
    until(Duration::from_secs(3600), async || {
        let asked = json!({ "ServerId": id, "UserName": name(0) });
        Ok(scene.world.call("transfer", "DescribeUser", asked).await.is_err().then_some(()))
    })
    .await
    .context("the user is removed")?;
    Ok(began.elapsed())
}

/// Waits while nothing happens but the sweep. Returns the most calls of Transfer Family that a visit made.
async fn leave_alone(scene: &Scene) -> anyhow::Result<u64> {
    // What the restore left to be settled is over.
    tokio::time::sleep(Duration::from_secs(1800)).await;
    let mut looks: Vec<Calls> = Vec::new();
    let (mut before, mut visits, begin) = (scene.calls(RECONCILE), scene.invocations(RECONCILE), Instant::now());
    while begin.elapsed() < QUIET {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let (calls, now) = (scene.calls(RECONCILE), scene.invocations(RECONCILE));
        if now > visits {
            ensure!(now == visits + 1, "the server is looked at {} times within a minute", now - visits);
            looks.push(since(&calls, &before));
        }
        (before, visits) = (calls, now);
    }
    let most = looks.iter().max_by_key(|calls| count(calls, Some("transfer"))).context("the server is looked at")?;
    println!(
        "A look at the quiet server, of {} in {} minutes the one with the most calls:",
        looks.len(),
        QUIET.as_secs() / 60
    );
    print(most);
    let quiet = count(most, Some("transfer"));
    println!("  Transfer Family: {quiet} (goal: {QUIET_CALLS})");
    Ok(quiet)
}

async fn wake(scene: &Scene) -> anyhow::Result<()> {
    let queue = scene.world.plan().queue("ServersQueue").context("the template has the queue")?.url.clone();
    let message = json!({ "QueueUrl": queue, "MessageBody": json!({ "server": "main" }).to_string() });
    scene.world.call("sqs", "SendMessage", message).await?;
    Ok(())
}

pub(super) async fn ask(scene: &Scene, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let (status, answer) = simulation::ask(&scene.world, method, path, body).await;
    ensure!((200..300).contains(&status), "{path} answers {status}: {answer}");
    Ok(answer)
}

/// Looks every second until there is something.
pub(super) async fn until<T>(limit: Duration, look: impl AsyncFn() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("it takes longer than {} s", limit.as_secs())
}

pub(super) fn name(number: u64) -> String {
    format!("user-{number:05}")
}

/// A public key of its own, of which nobody has the private one.
pub(super) fn key(number: u64) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut blob = vec![0, 0, 0, 11];
    blob.extend(b"ssh-ed25519");
    blob.extend([0, 0, 0, 32]);
    blob.extend([0; 24]);
    blob.extend(number.to_be_bytes());
    format!("ssh-ed25519 {}", STANDARD.encode(blob))
}
