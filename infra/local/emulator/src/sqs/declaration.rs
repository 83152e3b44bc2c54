//! Queues as they are declared, by whoever sets a region up.

use std::time::Duration;

use serde_json::Value;

use crate::input::plain_text;

/// A queue that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its name.
    pub name: String,
    /// How long a received message stays hidden.
    pub visibility: Duration,
    /// How long a new message stays hidden, where its sender says nothing else.
    pub delay: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
}

/// The rule that moves a message to a dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Redrive {
    /// The dead-letter queue's ARN.
    #[serde(rename = "deadLetterTargetArn")]
    pub target_arn: String,
    /// After how many receives a message is moved.
    #[serde(rename = "maxReceiveCount", deserialize_with = "number_or_text")]
    pub max_receive_count: u32,
}

/// SQS takes the count as a number and as a text.
fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let value: Value = serde::Deserialize::deserialize(deserializer)?;
    plain_text(&value).parse().map_err(serde::de::Error::custom)
}
