//! What a template makes a region run, and what wakes it: tables, queues, functions, routes and rules.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use wharfinger_emulator::{
    events::{pattern::Pattern, schedule::Expression},
    iam::policy::Policy,
    sqs::declaration::Declaration,
};

/// A DynamoDB table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The name in the template.
    pub logical: String,
    /// The name in the region.
    pub name: String,
    /// The input of `CreateTable`.
    pub create: Value,
    /// The attribute of `UpdateTimeToLive`, if items expire.
    pub time_to_live: Option<String>,
}

/// An SQS queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The name in the template.
    pub logical: String,
    /// Its address.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    /// What SQS is told of it, with its name in the region.
    pub declaration: Declaration,
    /// Whose dead letters it takes.
    pub redrive_sources: RedriveSources,
}

/// A log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGroup {
    /// The name in the template.
    pub logical: String,
    /// The group's name.
    pub name: String,
    /// How long events are kept; None: for ever.
    pub retention_days: Option<u32>,
}

/// The queues that may name a queue as their dead-letter queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RedriveSources {
    /// Every queue.
    #[default]
    All,
    /// Those of these ARNs.
    These(Vec<String>),
}

/// A Lambda function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The name in the template.
    pub logical: String,
    /// The name in the region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its program: the last part of `CodeUri`, e.g. `wharfinger-api`.
    pub binary: String,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Its memory, in MB.
    pub memory_mb: u32,
    /// At most so many invocations at a time; None is the account's share.
    pub reserved_concurrency: Option<usize>,
    /// What its role may do.
    pub policy: Policy,
    /// What the HTTP API sends to it.
    pub routes: Vec<Route>,
    /// The queues that it works on.
    pub mappings: Vec<Mapping>,
    /// What becomes of events that nobody waits for, if it fails.
    pub asynchronous: Asynchronous,
}

/// How Lambda invokes a function where nobody waits for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asynchronous {
    /// How often a failed event is tried again, at most 2.
    pub retries: u32,
    /// How old an event may be to be tried again.
    pub maximum_age: Duration,
    /// The ARN of the queue that is told of events that failed each time.
    pub on_failure_arn: Option<String>,
}

/// AWS's own: two more tries within six hours, then the event is dropped.
impl Default for Asynchronous {
    fn default() -> Self {
        Self { retries: 2, maximum_age: Duration::from_hours(6), on_failure_arn: None }
    }
}

impl Function {
    /// The access key id that its processes use, by which their calls are known.
    #[must_use]
    pub fn access_key(&self) -> String {
        format!("LOCAL{}", self.logical)
    }
}

/// A route of the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// An HTTP method in upper case, or `ANY`.
    pub method: String,
    /// The path with its variables, e.g. `/v1/{proxy+}`, or `$default`.
    pub path: String,
    /// How long the front waits for the function, at most 30 seconds.
    pub timeout: Duration,
    /// Whether callers are known by their IAM identity.
    pub iam: bool,
}

/// An event source mapping: a queue that a function works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The queue's ARN.
    pub queue_arn: String,
    /// At most so many messages an invocation.
    pub batch_size: usize,
    /// How long to gather a batch.
    pub window: Duration,
    /// Whether the function's answer names the messages that failed.
    pub report_batch_item_failures: bool,
    /// At most so many invocations at a time.
    pub maximum_concurrency: Option<usize>,
}

/// An EventBridge rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The name in the region.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The events it takes, if any.
    pub pattern: Option<Pattern>,
    /// When it fires by itself, if at all.
    pub schedule: Option<Expression>,
    /// Where its events go.
    pub targets: Vec<Target>,
}

/// A rule's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name within the rule.
    pub id: String,
    /// Where the event goes.
    pub destination: Destination,
    /// What is sent.
    pub input: Input,
    /// The ARN of the queue for events that can't be delivered.
    pub dead_letter_arn: Option<String>,
}

/// Where a rule's events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The queue of that ARN.
    Queue(String),
    /// The function of that ARN.
    Function(String),
}

impl Destination {
    /// The destination's ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        match self {
            Self::Queue(arn) | Self::Function(arn) => arn,
        }
    }
}

/// What a rule sends to its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The event itself.
    Event,
    /// Always this JSON text.
    Constant(String),
    /// The part of the event at this path, e.g. `$.detail`.
    Path(String),
}
