//! `sleep`: one server is put to sleep and woken, at AWS's pace: what that takes in calls, visits and time.

use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use serde_json::json;
use tokio::time::Instant;
use wharfinger_region::seed;

use super::{
    Aws, Scene, count, print, since,
    users::{FUNCTIONS, RECONCILE, ask, key, name, open_server, until},
};

/// Longer than a server takes to sleep or to wake.
const LONGEST: Duration = Duration::from_secs(3600);

/// How to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// How many users the server has.
    #[arg(long, default_value_t = 10)]
    users: u64,
    #[command(flatten)]
    aws: Aws,
}

/// Puts the server to sleep, wakes it, and prints what each took.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    super::on_paused_clock(async {
        let scene = Scene::open(&options.aws, &FUNCTIONS).await?;
        open_server(&scene, &[seed::ADDRESSES[0]]).await?;
        for number in 0..options.users {
            let user = json!({ "public_keys": [key(number)], "directory": "/sites/blog" });
            ask(&scene, Method::PUT, &path(number), Some(&user)).await?;
        }
        settled(&scene, "online", options.users).await.context("the users are made")?;
        for (order, power) in [("sleep?now=true", "asleep"), ("wake", "online")] {
            let (before, visits, began) = (scene.calls(RECONCILE), scene.invocations(RECONCILE), Instant::now());
            ask(&scene, Method::POST, &format!("/v1/servers/main/{order}"), None).await?;
            settled(&scene, power, options.users).await.with_context(|| format!("the server is {power}"))?;
            let (calls, took) = (since(&scene.calls(RECONCILE), &before), began.elapsed());
            let aws = count(&calls, None) - count(&calls, Some("dynamodb"));
            println!(
                "until it is {power}: {:.0} s, {aws} calls of AWS beside the table's, in {} visits; all calls:",
                took.as_secs_f64(),
                scene.invocations(RECONCILE) - visits
            );
            print(&calls);
        }
        scene.world.stop().await;
        Ok(())
    })
}

/// Waits until the server is as wanted, and its users where it is online.
async fn settled(scene: &Scene, power: &str, users: u64) -> anyhow::Result<()> {
    until(LONGEST, async || {
        let shown = ask(scene, Method::GET, "/v1/servers/main", None).await?;
        if shown["status"]["settled"] != true || shown["status"]["power"] != power {
            return Ok(None);
        }
        for number in (0..users).filter(|_| power == "online") {
            let user = ask(scene, Method::GET, &path(number), None).await?;
            if user["status"]["state"] != "ready" || user["status"]["settled"] != true {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

fn path(number: u64) -> String {
    format!("/v1/servers/main/users/{}", name(number))
}
