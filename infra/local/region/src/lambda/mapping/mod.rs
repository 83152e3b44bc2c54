//! Event source mappings: a queue's messages gathered into batches, handed to a function, and deleted once it has
//! dealt with them. A batch that failed stays hidden until the queue's visibility time-out is over, as on AWS.

#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharfinger_emulator::{
    error::AwsError,
    ids::REGION,
    sqs::{Receive, Sqs, queue::Message},
};

use super::{FunctionError, Lambda, PAYLOAD_LIMIT};
use crate::wiring;

/// How many batches are in work at a time where the mapping says nothing: what AWS's pollers begin with.
const DEFAULT_CONCURRENCY: usize = 5;

/// How long one poll waits for messages.
const POLL: Duration = Duration::from_secs(20);

/// What a record adds to the event beside its body, generously.
const RECORD_BYTES: usize = 1024;

/// Works on the mappings of `functions` until `stopping`; every poller and batch is a task of `tasks`.
pub fn start(
    functions: &[wiring::Function],
    sqs: &Arc<Sqs>,
    lambda: &Lambda,
    stopping: &CancellationToken,
    tasks: &TaskTracker,
) {
    for function in functions {
        for mapping in &function.mappings {
            let poller = Poller {
                function: function.name.clone(),
                mapping: mapping.clone(),
                sqs: Arc::clone(sqs),
                lambda: lambda.clone(),
            };
            tasks.spawn(Arc::new(poller).run(stopping.clone(), tasks.clone()));
        }
    }
}

#[derive(Debug)]
struct Poller {
    function: String,
    mapping: wiring::Mapping,
    sqs: Arc<Sqs>,
    lambda: Lambda,
}

impl Poller {
    async fn run(self: Arc<Self>, stopping: CancellationToken, tasks: TaskTracker) {
        let limit = self.mapping.maximum_concurrency.unwrap_or(DEFAULT_CONCURRENCY);
        let permits = Arc::new(Semaphore::new(limit));
        while let Some(permit) = stopping.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await {
            match self.gather(&stopping).await {
                Ok(batch) if batch.is_empty() => {}
                Ok(batch) => {
                    let poller = Arc::clone(&self);
                    tasks.spawn(async move {
                        poller.deliver(&batch).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::error!(function = self.function, %error, "a queue can't be read");
                    stopping.run_until_cancelled(tokio::time::sleep(POLL)).await;
                }
            }
        }
    }

    /// Receives a batch: at once what is there, and what comes until the batch is full or its window is over.
    async fn gather(&self, stopping: &CancellationToken) -> Result<Vec<Message>, AwsError> {
        let mut batch = Batch::default();
        let mut window_ends = None;
        while batch.messages.len() < self.mapping.batch_size {
            let wait = window_ends.map_or(POLL, |ends: Instant| ends.saturating_duration_since(Instant::now()));
            let room = batch.room();
            let receive = Receive {
                most: (self.mapping.batch_size - batch.messages.len()).min(10).min(room / RECORD_BYTES),
                most_bytes: room,
                wait,
                visibility_seconds: None,
            };
            if receive.most == 0 {
                break;
            }
            let Some(received) = stopping.run_until_cancelled(self.sqs.receive(&self.mapping.queue_arn, receive)).await
            else {
                self.give_back(&batch.messages);
                return Ok(Vec::new());
            };
            let received = received?;
            if received.is_empty() && (window_ends.is_some() || batch.messages.is_empty()) {
                break;
            }
            window_ends.get_or_insert_with(|| Instant::now() + self.mapping.window);
            if let Some(too_much) = batch.add(received) {
                self.give_back(&too_much);
                break;
            }
        }
        Ok(batch.messages)
    }

    fn give_back(&self, messages: &[Message]) {
        for handle in messages.iter().filter_map(|message| message.receipt_handle.as_ref()) {
            if let Err(error) = self.sqs.change_visibility(&self.mapping.queue_arn, handle, 0) {
                tracing::debug!(%error, "a message can't be given back");
            }
        }
    }

    async fn deliver(&self, batch: &[Message]) {
        let records: Vec<_> = batch.iter().map(|message| record(message, &self.mapping.queue_arn)).collect();
        let event = Bytes::from(json!({ "Records": records }).to_string());
        let failed = match self.lambda.invoke(&self.function, event).await {
            Ok(invocation) => self.failed_of(batch, &invocation.payload),
            Err(FunctionError::Stopped) => return self.give_back(batch),
            Err(error) => {
                tracing::warn!(function = self.function, messages = batch.len(), %error, "a batch failed");
                batch.iter().map(|message| message.id.as_str()).collect()
            }
        };
        for message in batch.iter().filter(|message| !failed.contains(message.id.as_str())) {
            let handle = message.receipt_handle.as_deref().unwrap_or_default();
            if let Err(error) = self.sqs.delete(&self.mapping.queue_arn, handle) {
                tracing::error!(function = self.function, %error, "a message can't be deleted");
            }
        }
    }

    /// The messages that the function didn't deal with. An answer that can't be understood means all of them.
    fn failed_of<'a>(&self, batch: &'a [Message], answer: &[u8]) -> HashSet<&'a str> {
        if !self.mapping.report_batch_item_failures {
            return HashSet::new();
        }
        match read_failures(batch, answer) {
            Ok(failed) => failed,
            Err(problem) => {
                tracing::warn!(
                    function = self.function,
                    problem,
                    "the answer to a batch is not valid: all of it failed"
                );
                batch.iter().map(|message| message.id.as_str()).collect()
            }
        }
    }
}

/// The messages gathered so far and the size of the event that they make.
#[derive(Debug, Default)]
struct Batch {
    messages: Vec<Message>,
    bytes: usize,
}

impl Batch {
    /// How many bytes of bodies still fit.
    fn room(&self) -> usize {
        PAYLOAD_LIMIT.saturating_sub(self.bytes + RECORD_BYTES)
    }

    /// Adds what fits into one event; what doesn't comes back.
    fn add(&mut self, received: Vec<Message>) -> Option<Vec<Message>> {
        let mut too_much = Vec::new();
        for message in received {
            let bytes = message.bytes_in_json() + json!(message.attributes).to_string().len() + RECORD_BYTES;
            if self.messages.is_empty() || self.bytes + bytes <= PAYLOAD_LIMIT {
                self.bytes += bytes;
                self.messages.push(message);
            } else {
                too_much.push(message);
            }
        }
        (!too_much.is_empty()).then_some(too_much)
    }
}

/// Reads `{"batchItemFailures": [{"itemIdentifier": "…"}]}`: null and an absent or empty list mean success.
fn read_failures<'a>(batch: &'a [Message], answer: &[u8]) -> Result<HashSet<&'a str>, &'static str> {
    if answer.is_empty() {
        return Ok(HashSet::new());
    }
    let answer: Value = serde_json::from_slice(answer).map_err(|_| "it is not JSON")?;
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Ok(HashSet::new()),
        Some(failures) => failures.as_array().ok_or("batchItemFailures is not a list")?,
    };
    let find = |failure: &Value| {
        let id = failure["itemIdentifier"].as_str().ok_or("an itemIdentifier is missing")?;
        let message = batch.iter().find(|message| message.id == id).ok_or("an itemIdentifier is not of this batch")?;
        Ok(message.id.as_str())
    };
    failures.iter().map(find).collect()
}

/// One message as Lambda writes it into an SQS event.
fn record(message: &Message, queue_arn: &str) -> Value {
    let attribute = |(name, value): (&String, &Value)| {
        let mut shown = json!({ "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"] });
        for (from, to) in [("StringValue", "stringValue"), ("BinaryValue", "binaryValue")] {
            if let Some(value) = value.get(from) {
                shown[to] = value.clone();
            }
        }
        (name.clone(), shown)
    };
    json!({
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.system_attributes(),
        "messageAttributes": message.attributes.iter().map(attribute).collect::<serde_json::Map<_, _>>(),
        "md5OfBody": message.body_sum(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": REGION,
    })
}
