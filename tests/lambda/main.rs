//! The local region's Lambda with real processes. This test program is its own function: started as
//! `PROGRAM function NAME`, the test runner takes `function` as a filter and so runs [`function_process`] alone, which
//! then is the function NAME. (No other test may have "function" in its name.)

#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic as tests do")]

use std::{net::Ipv4Addr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use bytes::Bytes;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use wharfinger_emulator::{
    clock::Clock,
    context::{Context, Pace},
    events::bus::EventBus,
};
use wharfinger_region::{
    lambda::{FunctionError, Lambda, Runner, logs::Logs, process::Processes},
    wiring::{Asynchronous, Function},
};

/// Long enough for a busy machine; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn function_process() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    match std::env::args().nth(2).as_deref() {
        Some("b-region") => region_process().await,
        Some("b-broken") => std::process::exit(3),
        _ => lambda_runtime::run(service_fn(answer)).await.unwrap(),
    }
}

/// Does what the event says, and tells about itself.
async fn answer(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    println!("got {}", event.payload);
    match event.payload["do"].as_str() {
        Some("wait") => std::future::pending().await,
        Some("exit") => std::process::exit(7),
        Some("fail") => return Err("no such site".into()),
        Some("nap") => tokio::time::sleep(Duration::from_millis(500)).await,
        Some("swell") => return Ok(json!("x".repeat(7_000_000))),
        _ => {}
    }
    let environment: std::collections::BTreeMap<String, String> = std::env::vars().collect();
    Ok(json!({
        "event": event.payload, "process": std::process::id(), "environment": environment,
        "arn": event.context.invoked_function_arn, "request": event.context.request_id,
    }))
}

/// A region that starts a function, prints its process id, and waits for its end.
async fn region_process() {
    let lambda = start(function("b-answer"), Logs::Region);
    println!("process {}", ask(&lambda, json!({})).await.unwrap()["process"]);
    std::future::pending().await
}

fn function(binary: &str) -> Function {
    Function {
        logical: "Tested".to_owned(),
        name: "wharfinger-Tested".to_owned(),
        arn: "arn:aws:lambda:us-east-1:000000000000:function:wharfinger-Tested".to_owned(),
        binary: binary.to_owned(),
        environment: [("OWN", "yes"), ("RUST_TEST_NOCAPTURE", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        timeout: PATIENCE,
        memory_mb: 128,
        reserved_concurrency: None,
        policy: Default::default(),
        routes: vec![],
        mappings: vec![],
        asynchronous: Asynchronous::default(),
    }
}

fn start(function: Function, logs: Logs) -> Lambda {
    let clock = Clock::system();
    let (bus, _) = EventBus::new(clock.clone());
    let context = Context {
        clock,
        bus,
        file_systems: Arc::new(PathBuf::new()),
        pace: Arc::new(Pace::default()),
        sftp_port: 0,
        sftp_host: Ipv4Addr::LOCALHOST,
        site: (Ipv4Addr::LOCALHOST, 0).into(),
    };
    let endpoint = "http://127.0.0.1:4566".to_owned();
    let processes = Processes { program: std::env::current_exe().unwrap(), endpoint, logs };
    Lambda::start(&context, vec![function], Runner::Processes(processes))
}

async fn ask(lambda: &Lambda, event: Value) -> Result<Value, FunctionError> {
    let invocation = lambda.invoke("Tested", Bytes::from(event.to_string())).await?;
    Ok(serde_json::from_slice(&invocation.payload).unwrap())
}

async fn wait_until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the condition should come true");
}

fn is_alive(process_id: u64) -> bool {
    let status =
        std::process::Command::new("kill").args(["-0", &process_id.to_string()]).stderr(Stdio::null()).status();
    status.unwrap().success()
}

fn kill(process_id: u64) {
    assert!(std::process::Command::new("kill").args(["-9", &process_id.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn an_event_is_answered_in_lambdas_environment() {
    let lambda = start(function("b-answer"), Logs::Region);
    let invocation = lambda.invoke("Tested", Bytes::from_static(b"{\"n\":1}")).await.unwrap();
    assert!(invocation.cold_start.is_some());
    let answer: Value = serde_json::from_slice(&invocation.payload).unwrap();
    assert_eq!(answer["event"], json!({ "n": 1 }));
    assert_eq!(answer["request"], invocation.request_id.as_str());
    assert_eq!(answer["arn"], "arn:aws:lambda:us-east-1:000000000000:function:wharfinger-Tested");
    for (name, value) in [
        ("OWN", "yes"),
        ("AWS_LAMBDA_FUNCTION_NAME", "wharfinger-Tested"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        ("AWS_ACCESS_KEY_ID", "LOCALTested"),
        ("AWS_REGION", "us-east-1"),
    ] {
        assert_eq!(answer["environment"][name], value, "{name}");
    }
    assert_eq!(answer["environment"].get("HOME"), None);
}

#[tokio::test]
async fn an_idle_instance_is_used_again_and_a_busy_one_is_not() {
    let lambda = start(function("b-answer"), Logs::Region);
    let first = ask(&lambda, json!({})).await.unwrap();
    let second = ask(&lambda, json!({})).await.unwrap();
    assert_eq!(first["process"], second["process"]);
    let (one, other) = tokio::join!(ask(&lambda, json!({ "do": "nap" })), ask(&lambda, json!({ "do": "nap" })));
    assert_ne!(one.unwrap()["process"], other.unwrap()["process"]);
    let statistics = lambda.statistics().remove(0);
    assert_eq!((statistics.invocations, statistics.cold_starts.len(), statistics.process_ids.len()), (4, 2, 2));
    assert!(statistics.peak_memory_bytes > Some(1_000_000), "{statistics:?}");
}

#[tokio::test]
async fn reserved_concurrency_makes_further_events_wait() {
    let lambda = start(Function { reserved_concurrency: Some(1), ..function("b-answer") }, Logs::Region);
    let (one, other) = tokio::join!(ask(&lambda, json!({ "do": "nap" })), ask(&lambda, json!({ "do": "nap" })));
    assert_eq!(one.unwrap()["process"], other.unwrap()["process"]);
}

#[tokio::test]
async fn an_error_is_told_and_the_instance_goes_on() {
    let lambda = start(function("b-answer"), Logs::Region);
    let before = ask(&lambda, json!({})).await.unwrap();
    let error = ask(&lambda, json!({ "do": "fail" })).await.unwrap_err();
    assert!(matches!(&error, FunctionError::Failed { message, .. } if message == "no such site"), "{error}");
    assert_eq!(ask(&lambda, json!({})).await.unwrap()["process"], before["process"]);
}

#[tokio::test]
async fn a_time_out_kills_the_process_and_the_next_event_gets_a_new_one() {
    let lambda = start(Function { timeout: Duration::from_secs(2), ..function("b-answer") }, Logs::Region);
    let before = ask(&lambda, json!({})).await.unwrap();
    let error = ask(&lambda, json!({ "do": "wait" })).await.unwrap_err();
    assert_eq!(error.to_string(), "Task timed out after 2.00 seconds");
    let gone = before["process"].as_u64().unwrap();
    wait_until(|| !is_alive(gone)).await;
    assert_ne!(ask(&lambda, json!({})).await.unwrap()["process"], before["process"]);
}

#[tokio::test]
async fn a_process_that_is_killed_fails_its_event_and_is_replaced() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let lambda = start(function("b-answer"), Logs::to_file(log.path()).unwrap());
    let process = ask(&lambda, json!({})).await.unwrap()["process"].as_u64().unwrap();
    let asked = tokio::spawn({
        let lambda = lambda.clone();
        async move { ask(&lambda, json!({ "do": "wait" })).await }
    });
    wait_until(|| std::fs::read_to_string(log.path()).unwrap().contains("wait")).await;
    assert_eq!(lambda.statistics()[0].process_ids, [u32::try_from(process).unwrap()]);
    kill(process);
    let outcome = asked.await.unwrap();
    assert!(matches!(&outcome, Err(FunctionError::Exited(how)) if how.contains('9')), "{outcome:?}");
    assert_ne!(ask(&lambda, json!({})).await.unwrap()["process"], process);
    let exited = ask(&lambda, json!({ "do": "exit" })).await.unwrap_err().to_string();
    assert!(exited.starts_with("Runtime exited") && exited.contains('7'), "{exited}");
}

#[tokio::test]
async fn an_idle_process_that_was_killed_is_replaced_without_an_error() {
    let lambda = start(function("b-answer"), Logs::Region);
    let process = ask(&lambda, json!({})).await.unwrap()["process"].as_u64().unwrap();
    kill(process);
    wait_until(|| lambda.statistics()[0].process_ids.is_empty()).await;
    assert_ne!(ask(&lambda, json!({})).await.unwrap()["process"], process);
}

#[tokio::test]
async fn a_process_that_ends_before_its_first_event_is_told() {
    let lambda = start(function("b-broken"), Logs::Region);
    let error = ask(&lambda, json!({})).await.unwrap_err().to_string();
    assert!(error.starts_with("Runtime exited") && error.contains('3'), "{error}");
}

#[tokio::test]
async fn an_answer_over_six_megabytes_is_an_error() {
    let lambda = start(function("b-answer"), Logs::Region);
    let error = ask(&lambda, json!({ "do": "swell" })).await.unwrap_err();
    assert_eq!(error, FunctionError::TooLarge("answer", 7_000_002));
}

#[tokio::test]
async fn what_it_prints_is_kept_behind_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let lambda = start(function("b-answer"), Logs::to_file(&path).unwrap());
    ask(&lambda, json!({ "n": 1 })).await.unwrap();
    let line = "wharfinger-Tested: got {\"n\":1}";
    wait_until(|| std::fs::read_to_string(&path).unwrap().contains(line)).await;
}

#[tokio::test]
async fn a_stop_lets_work_end_and_leaves_no_process() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let lambda = start(function("b-answer"), Logs::to_file(log.path()).unwrap());
    let process = ask(&lambda, json!({})).await.unwrap()["process"].as_u64().unwrap();
    let asked = tokio::spawn({
        let lambda = lambda.clone();
        async move { ask(&lambda, json!({ "do": "nap" })).await }
    });
    wait_until(|| std::fs::read_to_string(log.path()).unwrap().contains("nap")).await;
    lambda.stop(PATIENCE).await;
    assert_eq!(asked.await.unwrap().unwrap()["process"], process);
    assert_eq!(ask(&lambda, json!({})).await, Err(FunctionError::Stopped));
    wait_until(|| !is_alive(process)).await;
}

#[tokio::test]
async fn a_region_that_is_killed_leaves_no_process() {
    let mut region = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["function", "b-region"])
        .envs([("AWS_LAMBDA_RUNTIME_API", "none"), ("RUST_TEST_NOCAPTURE", "1")])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(region.stdout.take().unwrap()).lines();
    let process = loop {
        let line = lines.next_line().await.unwrap().expect("the region prints its function's process id");
        if let Some(Ok(process)) = line.split_once("process ").map(|(_, process)| process.trim().parse()) {
            break process;
        }
    };
    assert!(is_alive(process));
    region.kill().await.unwrap();
    wait_until(|| !is_alive(process)).await;
}
