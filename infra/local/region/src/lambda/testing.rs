//! A region's ground for unit tests: a context on a fixed time, and functions in this process that note their events.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;
use wharfinger_emulator::{
    clock::Clock,
    context::{Context, Pace},
    events::bus::EventBus,
};

use super::{FunctionError, Handler, Lambda, Runner};
use crate::wiring;

pub(crate) fn context() -> Context {
    let clock = Clock::starting_at("2026-03-06T10:00:00Z".parse().unwrap());
    let (bus, _) = EventBus::new(clock.clone());
    Context {
        clock,
        bus,
        file_systems: Arc::new(PathBuf::new()),
        pace: Arc::new(Pace::default()),
        sftp_port: 0,
        sftp_host: Ipv4Addr::LOCALHOST,
        site: SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

pub(crate) fn function(name: &str) -> wiring::Function {
    wiring::Function {
        logical: name.to_owned(),
        name: name.to_owned(),
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
        binary: name.to_owned(),
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(30),
        memory_mb: 128,
        reserved_concurrency: None,
        policy: Default::default(),
        routes: vec![],
        mappings: vec![],
        asynchronous: wiring::Asynchronous::default(),
    }
}

/// A function that notes its events and gives the prepared answers, then `null`; each takes `duration`.
pub(crate) struct Recorder {
    events: watch::Sender<Vec<Value>>,
    answers: Mutex<VecDeque<Result<Value, FunctionError>>>,
    duration: Duration,
    at_work: watch::Sender<(usize, usize)>,
    failing_body: Option<String>,
}

impl Recorder {
    pub(crate) fn new(answers: Vec<Result<Value, FunctionError>>, duration: Duration) -> Arc<Self> {
        let answers = Mutex::new(answers.into());
        let (events, at_work) = (watch::Sender::default(), watch::Sender::default());
        Arc::new(Self { events, answers, duration, at_work, failing_body: None })
    }

    /// One that reports the SQS message with this body as failed.
    pub(crate) fn failing_body(body: &str) -> Arc<Self> {
        let mut recorder = Arc::into_inner(Self::new(vec![], Duration::ZERO)).unwrap();
        recorder.failing_body = Some(body.to_owned());
        Arc::new(recorder)
    }

    pub(crate) fn lambda(self: &Arc<Self>, functions: Vec<wiring::Function>) -> Lambda {
        Lambda::start(&context(), functions, Runner::InProcess(Arc::clone(self) as Arc<dyn Handler>))
    }

    /// Waits until `count` events have come.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Value> {
        let mut events = self.events.subscribe();
        events.wait_for(|events| events.len() >= count).await.unwrap().clone()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.borrow().clone()
    }

    /// The most events that were in work at a time.
    pub(crate) fn most_at_work(&self) -> usize {
        self.at_work.borrow().1
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, _: &wiring::Function, event: Bytes) -> Result<Bytes, FunctionError> {
        let event: Value = serde_json::from_slice(&event).unwrap();
        self.events.send_modify(|events| events.push(event.clone()));
        self.at_work.send_modify(|(now, most)| (*now, *most) = (*now + 1, (*now + 1).max(*most)));
        tokio::time::sleep(self.duration).await;
        self.at_work.send_modify(|(now, _)| *now -= 1);
        if let Some(body) = &self.failing_body {
            let failed = event["Records"].as_array().unwrap().iter().filter(|record| record["body"] == **body);
            let failed: Vec<_> = failed.map(|record| json!({ "itemIdentifier": record["messageId"] })).collect();
            return Ok(Bytes::from(json!({ "batchItemFailures": failed }).to_string()));
        }
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Value::Null));
        answer.map(|answer| Bytes::from(answer.to_string()))
    }
}
