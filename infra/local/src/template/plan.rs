//! What a local region has to make and run, read from the template: tables, queues, functions and what wakes them.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use super::{
    TemplateError, document,
    http_api::HttpApi,
    intrinsic::{Scope, plain_text},
    parameter,
    resource::{self, Fields},
    rule,
};
use crate::{
    events::{pattern::Pattern, schedule::Expression},
    iam::policy::Policy,
};

/// A whole template, resolved.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The value of every parameter.
    pub parameters: BTreeMap<String, String>,
    /// The DynamoDB tables.
    pub tables: Vec<Table>,
    /// The SQS queues.
    pub queues: Vec<Queue>,
    /// The functions, with their routes and queues.
    pub functions: Vec<Function>,
    /// The EventBridge rules: the template's own, and those that SAM makes of functions' `Schedule` and
    /// `EventBridgeRule` events.
    pub rules: Vec<Rule>,
}

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
    /// The name in the region.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Its ARN.
    pub arn: String,
    /// How long a received message stays hidden.
    pub visibility: Duration,
    /// How long a new message stays hidden, where its sender says nothing else.
    pub delay: Duration,
    /// How long a message is kept.
    pub retention: Duration,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// Whose dead letters it takes.
    pub redrive_sources: RedriveSources,
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

impl Plan {
    /// Reads a template's text, with `settings` for its parameters. `endpoint` is the address of the AWS endpoint,
    /// e.g. `http://127.0.0.1:4566`; queue addresses begin with it.
    ///
    /// # Errors
    /// If the text is not a template, a setting is not allowed, or something in it would have to run but can't here.
    pub fn read(text: &str, settings: &BTreeMap<String, String>, endpoint: &str) -> Result<Self, TemplateError> {
        let document = document::read(text)?;
        let section = |name: &str| document.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        let parameters = parameter::resolve(&section("Parameters"), settings)?;
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let scope = Scope { parameters, conditions: section("Conditions"), resources: section("Resources"), endpoint };
        rule::check(&section("Rules"), &scope)?;
        let globals = section("Globals").get("Function").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut plan = Self {
            parameters: scope.parameters.clone(),
            tables: vec![],
            queues: vec![],
            functions: vec![],
            rules: vec![],
        };
        let refuse = |(resource, problem): (String, String)| TemplateError::Resource { resource, problem };
        let mut api = HttpApi::default();
        for (logical, body) in &scope.resources {
            plan.add(&mut api, &scope, &globals, logical, body)
                .map_err(|problem| refuse((logical.clone(), problem)))?;
        }
        api.join(&mut plan.functions).map_err(refuse)?;
        plan.check_references()?;
        Ok(plan)
    }

    fn add(
        &mut self,
        api: &mut HttpApi,
        scope: &Scope,
        globals: &Map<String, Value>,
        logical: &str,
        body: &Value,
    ) -> Result<(), String> {
        if let Some(condition) = body.get("Condition").and_then(Value::as_str)
            && !scope.holds(condition)?
        {
            return Ok(());
        }
        let fields = Fields { scope, logical, members: body["Properties"].as_object().cloned().unwrap_or_default() };
        match body["Type"].as_str().ok_or("it has no Type")? {
            "AWS::DynamoDB::Table" => self.tables.push(resource::read_table(&fields)?),
            "AWS::SQS::Queue" => self.queues.push(resource::read_queue(&fields)?),
            "AWS::Events::Rule" => self.rules.extend(resource::read_rule(&fields)?),
            "AWS::Serverless::Function" => {
                let (function, rules) = resource::read_function(&fields.with_globals(globals))?;
                self.functions.push(function);
                self.rules.extend(rules);
            }
            other if api.add(other, &fields)? => {}
            other if resource::would_run(other) => return Err(format!("the local region can't run {other}")),
            _ => {}
        }
        Ok(())
    }

    /// Every ARN that something is sent to or taken from belongs to this plan.
    fn check_references(&self) -> Result<(), TemplateError> {
        let has_queue = |arn: &str| self.queues.iter().any(|queue| queue.arn == arn);
        let has_function = |arn: &str| self.functions.iter().any(|function| function.arn == arn);
        let missing = |resource: &str, arn: &str| TemplateError::Resource {
            resource: resource.to_owned(),
            problem: format!("{arn} is neither a queue nor a function of this template"),
        };
        for queue in &self.queues {
            if let Some(redrive) = queue.redrive.as_ref().filter(|redrive| !has_queue(&redrive.target_arn)) {
                return Err(missing(&queue.logical, &redrive.target_arn));
            }
            self.check_redrive(queue)?;
        }
        for function in &self.functions {
            if let Some(mapping) = function.mappings.iter().find(|mapping| !has_queue(&mapping.queue_arn)) {
                return Err(missing(&function.logical, &mapping.queue_arn));
            }
            if let Some(arn) = function.asynchronous.on_failure_arn.as_ref().filter(|arn| !has_queue(arn)) {
                return Err(missing(&function.logical, arn));
            }
        }
        for (rule, target) in self.rules.iter().flat_map(|rule| rule.targets.iter().map(move |target| (rule, target))) {
            let known = match &target.destination {
                Destination::Queue(arn) => has_queue(arn),
                Destination::Function(arn) => has_function(arn),
            };
            if !known {
                return Err(missing(&rule.name, target.destination.arn()));
            }
            if let Some(arn) = target.dead_letter_arn.as_ref().filter(|arn| !has_queue(arn)) {
                return Err(missing(&rule.name, arn));
            }
        }
        Ok(())
    }

    /// The dead-letter queue takes letters of `queue`.
    fn check_redrive(&self, queue: &Queue) -> Result<(), TemplateError> {
        let Some(redrive) = &queue.redrive else { return Ok(()) };
        let target = self.queues.iter().find(|other| other.arn == redrive.target_arn);
        match target.map(|target| &target.redrive_sources) {
            Some(RedriveSources::These(sources)) if !sources.contains(&queue.arn) => Err(TemplateError::Resource {
                resource: queue.logical.clone(),
                problem: format!("the RedriveAllowPolicy of {} doesn't name it", redrive.target_arn),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the queue of that ARN is where others put what they give up on.
    #[must_use]
    pub fn takes_dead_letters(&self, arn: &str) -> bool {
        let of_queues =
            self.queues.iter().filter_map(|queue| queue.redrive.as_ref()).map(|redrive| &redrive.target_arn);
        let of_functions = self.functions.iter().filter_map(|function| function.asynchronous.on_failure_arn.as_ref());
        let targets = self.rules.iter().flat_map(|rule| &rule.targets);
        let of_rules = targets.filter_map(|target| target.dead_letter_arn.as_ref());
        of_queues.chain(of_functions).chain(of_rules).any(|dead| dead == arn)
    }

    /// The function of that logical name.
    #[must_use]
    pub fn function(&self, logical: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.logical == logical)
    }

    /// The queue of that logical name.
    #[must_use]
    pub fn queue(&self, logical: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.logical == logical)
    }
}
