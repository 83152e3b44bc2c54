//! Queues: messages that wake a function, now or later.

use std::time::Duration;

use aws_sdk_sqs::Client;
use serde::Serialize;
use wharfinger_decisions::wakeup;

use crate::{OnFirstUse, error::AwsError};

/// One queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: OnFirstUse<Client>,
    url: String,
}

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: OnFirstUse<Client>, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends `message` as JSON, to be delivered after `delay`, rounded up to whole seconds. A delay beyond
    /// [`LONGEST_DELAY`](wakeup::LONGEST_DELAY) is shortened to it: the receiver checks whether it is time.
    ///
    /// # Errors
    /// When SQS did not take it.
    pub async fn send<T: Serialize + Sync>(&self, message: &T, delay: Duration) -> Result<(), AwsError> {
        let body = serde_json::to_string(message).expect("messages are plain structs, which JSON can hold");
        let longest = wakeup::LONGEST_DELAY.unsigned_abs();
        let delay = delay.min(longest);
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(i32::try_from(seconds.min(longest.as_secs())).expect("at most 900"))
            .send()
            .await
            .map_err(|error| AwsError::sort(format!("send a message to {}", self.url), error))?;
        Ok(())
    }
}
