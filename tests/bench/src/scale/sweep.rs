//! `sweep`: one sweep over many servers, each of them idle and due for a look: the most that a sweep can have to do.

use std::time::Duration;

use anyhow::ensure;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Aws, Scene, count, print};

const AUTOSTOP: &str = "wharfinger-autostop";

/// A sweep of 500 servers, ten times AWS's quota, takes at most this.
const GOAL: Duration = Duration::from_secs(20);

/// How to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// How many servers there are.
    #[arg(long, default_value_t = 500)]
    servers: usize,
    #[command(flatten)]
    aws: Aws,
}

/// Sweeps once, and prints how long it took and what it called.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    super::on_paused_clock(async {
        let scene = Scene::open(&options.aws, &[AUTOSTOP]).await?;
        let now = scene.world.clock().now();
        for number in 0..options.servers {
            scene
                .put("SERVERS", &format!("server-{number:04}"), server(number, now - SignedDuration::from_hours(2)))
                .await?;
        }
        let began = Instant::now();
        scene.run(AUTOSTOP, json!({})).await?;
        let took = began.elapsed();
        let calls = scene.calls(AUTOSTOP);
        println!(
            "A sweep of {} servers, each idle and due for a look: {:.1} s (goal: {} s for 500), {} AWS calls:",
            options.servers,
            took.as_secs_f64(),
            GOAL.as_secs(),
            count(&calls, None)
        );
        print(&calls);
        let stopped = calls.get(&("sqs".to_owned(), "SendMessage".to_owned())).copied().unwrap_or_default();
        ensure!(stopped == 2 * options.servers as u64, "each server is woken and stopped, {stopped} messages");
        ensure!(options.servers > 500 || took <= GOAL, "the goal is missed");
        scene.world.stop().await;
        Ok(())
    })
}

/// The record of a server that is online since `at`, with nobody on it.
fn server(number: usize, at: jiff::Timestamp) -> Value {
    json!({
        "intent": {
            "spec": {
                "file_system_id": "fs-0a1b2c3d",
                "network": {
                    "vpc_id": "vpc-0a1b2c3d", "subnet_ids": ["subnet-0a1b2c3d"],
                    "security_group_ids": [format!("sg-{number:08x}")],
                },
                "idle": { "after": "30m", "action": "stop" },
            },
            "power": { "power": "online", "by": { "person": "alice" }, "reason": "asked", "at": at },
        },
        "status": {
            "power": "online", "reason": "asked", "server_id": format!("s-{number:017x}"), "settled_version": 1,
            "online_since": at, "observed_at": at,
        },
        "version": 1, "deleting": false, "created_at": at, "updated_at": at, "format": 1,
    })
}
