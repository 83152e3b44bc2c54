//! SQS: standard queues with delays, visibility, long polling and dead-letter queues. Functions send through AWS's
//! operations; event source mappings and rules use the queues in-process through [`Sqs::send`] and [`Sqs::receive`].

mod checksum;
pub mod declaration;
mod operations;
pub mod queue;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use self::{
    declaration::Declaration,
    queue::{Counts, Handled, Message, Queue, Take},
};
use super::{
    error::AwsError,
    service::{Service, Unreadable, restore},
};
use crate::{
    clock::Clock,
    context::Context,
    ids::{ACCOUNT, REGION},
};

/// The longest delay of a message, in seconds.
const MAXIMUM_DELAY_SECONDS: u64 = 900;

/// The service.
#[derive(Debug)]
pub struct Sqs {
    clock: Clock,
    endpoint: String,
    queues: Mutex<BTreeMap<String, Queue>>,
    changed: Notify,
    requests: Mutex<Requests>,
}

/// Requests for messages that did something: receives that found nothing are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Messages sent, one a request.
    pub sends: u64,
    /// Receives that brought messages, at most ten each.
    pub receives: u64,
    /// Messages deleted, one a request.
    pub deletes: u64,
}

/// What one in-process receive asks for.
#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// At most so many messages.
    pub most: usize,
    /// At most so many bytes of bodies, as JSON.
    pub most_bytes: usize,
    /// How long to wait for the first message.
    pub wait: Duration,
    /// How long they stay hidden; None is what the queue says.
    pub visibility_seconds: Option<u64>,
}

impl Sqs {
    /// The service, with the queues and messages of an earlier [`Service::snapshot`]. Queue addresses begin with
    /// `endpoint`, e.g. `http://127.0.0.1:4566`.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: &Context, saved: Option<Value>, endpoint: &str) -> Result<Arc<Self>, Unreadable> {
        let queues = restore("sqs", saved)?;
        Ok(Arc::new(Self {
            clock: context.clock.clone(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            queues: Mutex::new(queues),
            changed: Notify::new(),
            requests: Mutex::default(),
        }))
    }

    /// Makes these queues, or gives those that are there already its attributes; messages stay.
    pub fn declare<'a>(&self, declared: impl IntoIterator<Item = &'a Declaration>) {
        let now_ms = self.now_ms();
        let mut queues = self.lock();
        for one in declared {
            let queue = queues.entry(one.name.clone()).or_insert_with(|| Queue::new(now_ms));
            queue.visibility_seconds = one.visibility.as_secs();
            queue.delay_seconds = one.delay.as_secs();
            queue.retention_seconds = one.retention.as_secs();
            queue.redrive.clone_from(&one.redrive);
        }
    }

    /// Sends a message; its id. `queue` is an ARN, address or name.
    ///
    /// # Errors
    /// AWS's error if there is no such queue, or the message is not allowed.
    pub fn send(&self, queue: &str, body: &str, delay: Option<Duration>) -> Result<String, AwsError> {
        self.send_with(queue, body, Map::new(), delay.map(|delay| delay.as_secs()))
    }

    /// Sends a message with attributes in AWS's form, e.g. `{"RULE_ARN": {"DataType": "String", "StringValue": …}}`.
    ///
    /// # Errors
    /// AWS's error if there is no such queue, or the message is not allowed.
    pub fn send_with(
        &self,
        queue: &str,
        body: &str,
        attributes: Map<String, Value>,
        delay_seconds: Option<u64>,
    ) -> Result<String, AwsError> {
        let now_ms = self.now_ms();
        let id = self.with(queue, |queue| {
            check_message(body, &attributes, queue.maximum_bytes)?;
            let delay_seconds = delay_seconds.unwrap_or(queue.delay_seconds);
            if delay_seconds > MAXIMUM_DELAY_SECONDS {
                return Err(out_of_range("DelaySeconds", delay_seconds, "DelaySeconds must be >= 0 and <= 900"));
            }
            Ok(queue.push(body.to_owned(), attributes, delay_seconds, now_ms))
        })?;
        self.lock_requests().sends += 1;
        self.changed.notify_waiters();
        Ok(id)
    }

    /// Receives messages, waiting for the first of them. Messages that were received too often go to the dead-letter
    /// queue instead.
    ///
    /// # Errors
    /// AWS's error if there is no such queue.
    pub async fn receive(&self, queue: &str, receive: Receive) -> Result<Vec<Message>, AwsError> {
        let deadline = tokio::time::Instant::now() + receive.wait;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (messages, next_visible_ms) = self.take(queue, receive)?;
            self.lock_requests().receives += u64::from(!messages.is_empty());
            if !messages.is_empty() || tokio::time::Instant::now() >= deadline {
                return Ok(messages);
            }
            let until_visible = next_visible_ms.map(|at| u64::try_from(at - self.now_ms()).unwrap_or(0).max(1));
            let wake = until_visible.map(|wait| tokio::time::Instant::now() + Duration::from_millis(wait));
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wake.map_or(deadline, |wake| wake.min(deadline))) => {}
            }
        }
    }

    fn take(&self, name: &str, receive: Receive) -> Result<(Vec<Message>, Option<i64>), AwsError> {
        let now_ms = self.now_ms();
        let mut queues = self.lock();
        let name = queue_name(name);
        let redrive = queues.get(name).ok_or_else(no_queue)?.redrive.clone();
        // A message stays where it is for as long as its dead-letter queue is missing.
        let redrive = redrive.filter(|redrive| queues.contains_key(queue_name(&redrive.target_arn)));
        let receive_limit = redrive.as_ref().map_or(u32::MAX, |redrive| redrive.max_receive_count);
        let queue = queues.get_mut(name).ok_or_else(no_queue)?;
        let visibility_seconds = receive.visibility_seconds.unwrap_or(queue.visibility_seconds);
        let take = Take { most: receive.most, most_bytes: receive.most_bytes, visibility_seconds, receive_limit };
        let (messages, dead) = queue.take(take, now_ms);
        let next_visible_ms = queue.next_visible_ms();
        let buried = !dead.is_empty();
        if let Some(letters) = redrive.and_then(|redrive| queues.get_mut(queue_name(&redrive.target_arn))) {
            let source_arn = queue_arn(name);
            for message in dead {
                tracing::warn!(
                    queue = name,
                    message = message.id,
                    "a message was received too often and is a dead letter now"
                );
                letters.push_dead_letter(message, &source_arn, now_ms);
            }
        }
        drop(queues);
        if buried {
            self.changed.notify_waiters();
        }
        Ok((messages, next_visible_ms))
    }

    /// Deletes a received message. A handle that is out of date deletes nothing, which AWS calls a success.
    ///
    /// # Errors
    /// AWS's error if there is no such queue, or the handle is none.
    pub fn delete(&self, queue: &str, receipt_handle: &str) -> Result<(), AwsError> {
        match self.with(queue, |queue| Ok(queue.delete(receipt_handle)))? {
            Handled::Done | Handled::Stale => {
                self.lock_requests().deletes += 1;
                Ok(())
            }
            Handled::Invalid => Err(invalid_handle(receipt_handle)),
        }
    }

    /// Hides a received message for `seconds` from now, or shows it again with 0.
    ///
    /// # Errors
    /// AWS's error if there is no such queue or receive, or `seconds` is over 12 hours.
    pub fn change_visibility(&self, queue: &str, receipt_handle: &str, seconds: u64) -> Result<(), AwsError> {
        if seconds > 43_200 {
            let reason = "VisibilityTimeout must be an integer between 0 and 43200";
            return Err(out_of_range("VisibilityTimeout", seconds, reason));
        }
        let now_ms = self.now_ms();
        let handled = self.with(queue, |queue| Ok(queue.change_visibility(receipt_handle, seconds, now_ms)))?;
        self.changed.notify_waiters();
        match handled {
            Handled::Done => Ok(()),
            Handled::Stale => Err(AwsError::client("MessageNotInflight", "The message is not in flight.")),
            Handled::Invalid => Err(invalid_handle(receipt_handle)),
        }
    }

    /// How many messages the queue holds.
    ///
    /// # Errors
    /// AWS's error if there is no such queue.
    pub fn counts(&self, queue: &str) -> Result<Counts, AwsError> {
        let now_ms = self.now_ms();
        self.with(queue, |queue| Ok(queue.counts(now_ms)))
    }

    /// The bodies of all messages in a queue, visible or not; none if there is no such queue.
    #[must_use]
    pub fn bodies(&self, queue: &str) -> Vec<String> {
        self.lock().get(queue_name(queue)).map(Queue::bodies).unwrap_or_default()
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        *self.lock_requests()
    }

    fn lock_requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.endpoint)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, queue: &str, act: impl FnOnce(&mut Queue) -> Result<T, AwsError>) -> Result<T, AwsError> {
        act(self.lock().get_mut(queue_name(queue)).ok_or_else(no_queue)?)
    }
}

#[async_trait]
impl Service for Sqs {
    fn name(&self) -> &'static str {
        "sqs"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        self.operate(operation, &input).await
    }

    fn snapshot(&self) -> Value {
        json!(&*self.lock())
    }
}

/// The name at the end of an ARN or address.
fn queue_name(queue: &str) -> &str {
    queue.rsplit(['/', ':']).next().unwrap_or(queue)
}

fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

fn no_queue() -> AwsError {
    AwsError::client("QueueDoesNotExist", "The specified queue does not exist.")
}

fn invalid_handle(handle: &str) -> AwsError {
    AwsError::client(
        "ReceiptHandleIsInvalid",
        format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
    )
}

fn invalid_value(message: impl Into<String>) -> AwsError {
    AwsError::client("InvalidParameterValueException", message)
}

fn out_of_range(parameter: &str, value: impl std::fmt::Display, reason: &str) -> AwsError {
    invalid_value(format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}."))
}

fn check_message(body: &str, attributes: &Map<String, Value>, maximum_bytes: usize) -> Result<(), AwsError> {
    let allowed =
        |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    if body.is_empty() {
        return Err(AwsError::client(
            "MissingRequiredParameterException",
            "The request must contain the parameter MessageBody.",
        ));
    }
    if !body.chars().all(allowed) {
        return Err(AwsError::client("InvalidMessageContents", "Invalid characters found in the message body."));
    }
    let attribute_bytes: usize = attributes.iter().map(|(name, value)| name.len() + checksum::size(value)).sum();
    if body.len() + attribute_bytes > maximum_bytes {
        let message =
            format!("One or more parameters are invalid. Reason: Message must be shorter than {maximum_bytes} bytes.");
        return Err(invalid_value(message));
    }
    Ok(())
}
