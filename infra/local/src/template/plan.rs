//! What a local region has to make and run, read from the template: tables, queues, functions and what wakes them.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use super::{
    TemplateError, document,
    intrinsic::{Scope, plain_text},
    parameter,
    resource::{self, Fields},
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
        let globals = section("Globals").get("Function").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut plan = Self {
            parameters: scope.parameters.clone(),
            tables: vec![],
            queues: vec![],
            functions: vec![],
            rules: vec![],
        };
        for (logical, body) in &scope.resources {
            plan.add(&scope, &globals, logical, body)
                .map_err(|problem| TemplateError::Resource { resource: logical.clone(), problem })?;
        }
        plan.check_references()?;
        Ok(plan)
    }

    fn add(&mut self, scope: &Scope, globals: &Map<String, Value>, logical: &str, body: &Value) -> Result<(), String> {
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
            "AWS::Serverless::HttpApi" => resource::check_http_api(&fields)?,
            "AWS::Serverless::Function" => {
                let (function, rules) = resource::read_function(&fields.with_globals(globals))?;
                self.functions.push(function);
                self.rules.extend(rules);
            }
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
        }
        for function in &self.functions {
            if let Some(mapping) = function.mappings.iter().find(|mapping| !has_queue(&mapping.queue_arn)) {
                return Err(missing(&function.logical, &mapping.queue_arn));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEMPLATE: &str = include_str!("../../../template.yaml");
    const ENDPOINT: &str = "http://127.0.0.1:4566";

    fn read(settings: &[(&str, &str)]) -> Result<Plan, TemplateError> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Plan::read(TEMPLATE, &settings, ENDPOINT)
    }

    #[test]
    fn the_deployed_template_gives_four_functions_with_their_programs() {
        let plan = read(&[]).unwrap();
        let binaries: Vec<_> = plan.functions.iter().map(|function| function.binary.as_str()).collect();
        assert_eq!(binaries, ["wharfinger-api", "wharfinger-autostop", "wharfinger-reconcile", "wharfinger-rollout"]);
    }

    #[test]
    fn globals_are_the_ground_of_each_function() {
        let plan = read(&[]).unwrap();
        let api = plan.function("ApiFunction").unwrap();
        let reconcile = plan.function("ReconcileFunction").unwrap();
        assert_eq!((api.timeout, api.memory_mb), (Duration::from_secs(15), 256));
        assert_eq!((reconcile.timeout, reconcile.memory_mb), (Duration::from_secs(30), 128));
        assert_eq!(reconcile.environment["TABLE_NAME"], "wharfinger-Table");
        assert_eq!(reconcile.environment["SERVERS_QUEUE_URL"], plan.queue("ServersQueue").unwrap().url);
        assert_eq!(reconcile.environment["SECRET_PREFIX"], "wharfinger/");
        let role = "arn:aws:iam::000000000000:role/wharfinger-TransferUserRole";
        assert_eq!(reconcile.environment["TRANSFER_USER_ROLE_ARN"], role);
    }

    #[test]
    fn a_setting_reaches_what_refers_to_it() {
        let role = "arn:aws:iam::111122223333:role/mine";
        let plan = read(&[
            ("TransferUserRoleArn", role),
            ("MetricPeriodSeconds", "5"),
            ("SweepSchedule", "rate(10 seconds)"),
            ("QueueVisibilitySeconds", "7"),
        ])
        .unwrap();
        assert_eq!(plan.function("ReconcileFunction").unwrap().environment["TRANSFER_USER_ROLE_ARN"], role);
        assert_eq!(plan.function("AutostopFunction").unwrap().environment["METRIC_PERIOD_SECONDS"], "5");
        assert_eq!(plan.queue("TicksQueue").unwrap().visibility, Duration::from_secs(7));
        let schedules: Vec<_> = plan.rules.iter().filter_map(|rule| rule.schedule.clone()).collect();
        assert_eq!(schedules, [Expression::Rate(Duration::from_secs(10))]);
    }

    #[test]
    fn each_event_source_of_the_deployed_template_is_wired() {
        let plan = read(&[]).unwrap();
        let route = &plan.function("ApiFunction").unwrap().routes[0];
        assert_eq!((route.method.as_str(), route.path.as_str(), route.iam), ("ANY", "/v1/{proxy+}", true));
        let rollout = plan.function("RolloutFunction").unwrap();
        let changes = &rollout.mappings[0];
        assert_eq!(changes.queue_arn, plan.queue("ChangesQueue").unwrap().arn);
        assert_eq!((changes.batch_size, changes.window), (1000, Duration::from_secs(1)));
        assert!(changes.report_batch_item_failures);
        assert_eq!(changes.maximum_concurrency, Some(5));
        let redrive = plan.queue("ChangesQueue").unwrap().redrive.clone().unwrap();
        assert_eq!(redrive.target_arn, plan.queue("ChangesDeadLetters").unwrap().arn);
        assert_eq!(redrive.max_receive_count, 5);
    }

    #[test]
    fn the_uploads_rule_takes_uploads_and_leaves_logins() {
        let plan = read(&[]).unwrap();
        let rule = plan.rules.iter().find(|rule| rule.name == "wharfinger-UploadsRule").unwrap();
        let pattern = rule.pattern.as_ref().unwrap();
        let event = |kind: &str| json!({ "source": "aws.transfer", "detail-type": kind, "detail": {} });
        assert!(pattern.matches(&event("SFTP Server File Upload Completed")));
        assert!(!pattern.matches(&event("SFTP Server File Download Completed")));
        assert_eq!(rule.targets[0].destination, Destination::Queue(plan.queue("ChangesQueue").unwrap().arn.clone()));
        assert_eq!(rule.targets[0].dead_letter_arn, Some(plan.queue("ChangesDeadLetters").unwrap().arn.clone()));
    }

    #[test]
    fn the_table_is_created_as_declared() {
        let plan = read(&[]).unwrap();
        let table = &plan.tables[0];
        assert_eq!(table.create["TableName"], "wharfinger-Table");
        assert_eq!(table.create["KeySchema"][0], json!({ "AttributeName": "pk", "KeyType": "HASH" }));
        assert_eq!(table.time_to_live.as_deref(), None);
    }

    #[test]
    fn a_resource_that_would_have_to_run_is_refused_by_name() {
        let text = "Resources:\n  Flow: { Type: AWS::StepFunctions::StateMachine }\n";
        let error = Plan::read(text, &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
        assert!(error.contains("resource Flow") && error.contains("AWS::StepFunctions::StateMachine"), "{error}");
    }

    #[test]
    fn a_large_batch_needs_a_window_as_on_aws() {
        let text = TEMPLATE.replace("MaximumBatchingWindowInSeconds: 1", "MaximumBatchingWindowInSeconds: 0");
        let error = Plan::read(&text, &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
        assert!(error.contains("RolloutFunction") && error.contains("MaximumBatchingWindowInSeconds"), "{error}");
    }

    #[test]
    fn an_event_of_an_unknown_type_is_refused() {
        let text = TEMPLATE.replace("Type: Schedule", "Type: Kinesis");
        let error = Plan::read(&text, &BTreeMap::new(), ENDPOINT).unwrap_err().to_string();
        assert!(error.contains("AutostopFunction") && error.contains("Kinesis"), "{error}");
    }

    #[test]
    fn a_schedule_that_aws_would_refuse_names_the_function() {
        let error = read(&[("SweepSchedule", "rate(soon)")]).unwrap_err().to_string();
        assert!(error.contains("AutostopFunction") && error.contains("rate(5 minutes)"), "{error}");
    }
}
