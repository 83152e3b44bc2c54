//! The program as a person starts and ends it.

use std::{
    net::TcpListener,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::support::program;

const FREE: [&str; 8] =
    ["--api", "127.0.0.1:0", "--aws", "127.0.0.1:0", "--sftp", "127.0.0.1:0", "--site", "127.0.0.1:0"];

async fn run(arguments: &[&str]) -> Output {
    let run = Command::new(program()).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    timeout(Duration::from_secs(60), run).await.expect("it ends by itself").expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    for option in ["--api", "--aws", "--sftp", "--site"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let mut arguments = FREE;
        let place = arguments.iter().position(|word| *word == option).unwrap();
        arguments[place + 1] = &address;
        let ended = run(&arguments).await;
        let says = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{option}");
        assert!(says.contains(&address) && says.contains(option), "{option}: {says}");
        assert!(!says.contains("panicked"), "{says}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_beyond_loopback_are_refused() {
    let ended = run(&["--api", "0.0.0.0:9000"]).await;
    assert!(!ended.status.success());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("loopback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn latencies_and_rates_that_mean_nothing_are_refused() {
    for (option, value, says) in [
        ("--latency", "s3=5ms", "no service s3"),
        ("--throttle", "transfer=5", "such as ecs.RegisterTaskDefinition=1/s:20"),
    ] {
        let ended = run(&[option, value]).await;
        assert!(!ended.status.success(), "{option}");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains(says), "{said}");
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_region_and_its_children() {
    let mut region = Command::new(program())
        .args(FREE)
        .args(["--set", "SweepSchedule=rate(1 second)"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(region.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("Ctrl-C ends it") {
        let line = timeout(Duration::from_secs(60), lines.next_line()).await.expect("it says something").unwrap();
        said.push_str(&line.expect("it says all before it ends"));
    }
    let id = region.id().expect("it runs").to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
    let status = timeout(Duration::from_secs(30), region.wait()).await.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
    let children = std::process::Command::new("pgrep").args(["-P", &id]).output();
    assert!(children.map_or(true, |found| found.stdout.is_empty()), "children are left");
}
