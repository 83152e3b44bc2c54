//! What the template says about one resource, read into the plan's words. Limits are those of AWS's own API.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use serde_json::{Map, Value, json};
use wharfinger_emulator::{
    events::{pattern::Pattern, schedule::Expression},
    iam::{
        policy::{Decision, Policy},
        request::Request,
    },
    input::plain_text,
    sqs::declaration::{Declaration, Redrive},
};

use super::{event, intrinsic::Scope};
use crate::wiring::{Asynchronous, Function, LogGroup, Mapping, Queue, RedriveSources, Rule, Table};

/// The properties of one resource, resolved one by one as they are asked for.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// What references are resolved against.
    pub scope: &'a Scope,
    /// The name in the template.
    pub logical: &'a str,
    /// The properties, unresolved.
    pub members: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The same resource on the ground of SAM's `Globals`: mappings are merged, lists put together, the rest replaced.
    #[must_use]
    pub fn with_globals(mut self, globals: &Map<String, Value>) -> Self {
        let mut members = globals.clone();
        for (name, own) in std::mem::take(&mut self.members) {
            let merged = match members.remove(&name) {
                Some(global) => merge(global, own),
                None => own,
            };
            members.insert(name, merged);
        }
        Self { members, ..self }
    }

    /// The members of an inner mapping, e.g. one of a function's events.
    #[must_use]
    pub fn inside(&self, members: &Value) -> Fields<'a> {
        Fields { scope: self.scope, logical: self.logical, members: members.as_object().cloned().unwrap_or_default() }
    }

    /// The resolved property, None where it is absent or `AWS::NoValue`.
    ///
    /// # Errors
    /// If a reference in it leads nowhere.
    pub fn value(&self, name: &str) -> Result<Option<Value>, String> {
        let resolved = self.members.get(name).map(|value| self.scope.resolve(value)).transpose();
        resolved.map(|value| value.filter(|value| !value.is_null())).map_err(|problem| format!("{name}: {problem}"))
    }

    /// The property as a text.
    ///
    /// # Errors
    /// If it is a list or mapping.
    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.value(name)? {
            None => Ok(None),
            Some(Value::Array(_) | Value::Object(_)) => Err(format!("{name} must be a text")),
            Some(scalar) => Ok(Some(plain_text(&scalar))),
        }
    }

    /// The property as a whole number within `allowed`, or `default`.
    ///
    /// # Errors
    /// If it is not such a number.
    pub fn number(&self, name: &str, default: u64, allowed: RangeInclusive<u64>) -> Result<u64, String> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        let number = text.parse::<u64>().ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| {
            format!("{name} is {text}, but must be a whole number from {} to {}", allowed.start(), allowed.end())
        })
    }

    /// The property as seconds within `allowed`, or `default`.
    ///
    /// # Errors
    /// If it is not such a number.
    pub fn seconds(&self, name: &str, default: u64, allowed: RangeInclusive<u64>) -> Result<Duration, String> {
        self.number(name, default, allowed).map(Duration::from_secs)
    }

    /// The property as yes or no.
    ///
    /// # Errors
    /// If it is neither.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.text(name)?.as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(format!("{name} is {other}, but must be true or false")),
        }
    }

    /// Refuses properties that would change what runs, but that the local region doesn't have.
    ///
    /// # Errors
    /// If one of them is there.
    pub fn refuse(&self, names: &[&str]) -> Result<(), String> {
        for name in names {
            if self.value(name)?.is_some() {
                return Err(format!("the local region doesn't know {name}"));
            }
        }
        Ok(())
    }
}

fn merge(global: Value, own: Value) -> Value {
    match (global, own) {
        (Value::Object(mut global), Value::Object(own)) if !is_function(&global) && !is_function(&own) => {
            for (name, value) in own {
                let merged = match global.remove(&name) {
                    Some(below) => merge(below, value),
                    None => value,
                };
                global.insert(name, merged);
            }
            Value::Object(global)
        }
        (Value::Array(mut global), Value::Array(own)) => {
            global.extend(own);
            Value::Array(global)
        }
        (_, own) => own,
    }
}

fn is_function(members: &Map<String, Value>) -> bool {
    members.len() == 1 && members.keys().all(|name| name == "Ref" || name.starts_with("Fn::"))
}

/// Whether something would have to run for a resource of this type, so that leaving it out would hide a fault.
#[must_use]
pub fn would_run(kind: &str) -> bool {
    const INERT: [&str; 3] =
        ["AWS::ApiGatewayV2::ApiMapping", "AWS::ApiGatewayV2::DomainName", "AWS::Events::EventBusPolicy"];
    const RUNNING: [&str; 12] = [
        "AWS::ApiGateway",
        "AWS::DynamoDB::",
        "AWS::ECS::",
        "AWS::Events::",
        "AWS::Kinesis",
        "AWS::Lambda::",
        "AWS::Pipes::",
        "AWS::Scheduler::",
        "AWS::Serverless::",
        "AWS::StepFunctions::",
        "AWS::Transfer::",
        "Custom::",
    ];
    !INERT.contains(&kind) && RUNNING.iter().any(|prefix| kind.starts_with(prefix))
}

/// Reads an `AWS::DynamoDB::Table`.
///
/// # Errors
/// If a reference leads nowhere.
pub fn read_table(fields: &Fields<'_>) -> Result<Table, String> {
    const CREATE_MEMBERS: [&str; 7] = [
        "AttributeDefinitions",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "KeySchema",
        "LocalSecondaryIndexes",
        "ProvisionedThroughput",
        "StreamSpecification",
    ];
    let name = fields.scope.physical_name(fields.logical)?;
    let mut create = json!({ "TableName": name });
    for member in CREATE_MEMBERS {
        if let Some(value) = fields.value(member)? {
            create[member] = value;
        }
    }
    let expiry = fields.value("TimeToLiveSpecification")?.filter(|expiry| plain_text(&expiry["Enabled"]) == "true");
    let time_to_live = expiry.and_then(|expiry| expiry["AttributeName"].as_str().map(str::to_owned));
    Ok(Table { logical: fields.logical.to_owned(), name, create, time_to_live })
}

/// Reads an `AWS::SQS::Queue`.
///
/// # Errors
/// If a property is outside SQS's limits, or the queue is FIFO.
pub fn read_queue(fields: &Fields<'_>) -> Result<Queue, String> {
    if fields.flag("FifoQueue", false)? {
        return Err("the local region has standard queues only, not FIFO".to_owned());
    }
    let name = fields.scope.physical_name(fields.logical)?;
    let attribute = |name: &str| fields.scope.resolve(&json!({ "Fn::GetAtt": [fields.logical, name] }));
    let redrive = match fields.value("RedrivePolicy")? {
        None => None,
        Some(policy) => Some(Redrive {
            target_arn: policy["deadLetterTargetArn"]
                .as_str()
                .ok_or("RedrivePolicy lacks deadLetterTargetArn")?
                .to_owned(),
            max_receive_count: plain_text(&policy["maxReceiveCount"])
                .parse()
                .ok()
                .filter(|count| (1..=1000).contains(count))
                .ok_or("RedrivePolicy: maxReceiveCount must be a whole number from 1 to 1000")?,
        }),
    };
    let declaration = Declaration {
        name,
        visibility: fields.seconds("VisibilityTimeout", 30, 0..=43_200)?,
        delay: fields.seconds("DelaySeconds", 0, 0..=900)?,
        retention: fields.seconds("MessageRetentionPeriod", 345_600, 60..=1_209_600)?,
        redrive,
    };
    Ok(Queue {
        logical: fields.logical.to_owned(),
        url: plain_text(&attribute("QueueUrl")?),
        arn: plain_text(&attribute("Arn")?),
        declaration,
        redrive_sources: read_redrive_sources(fields)?,
    })
}

/// Reads an `AWS::Logs::LogGroup`.
///
/// # Errors
/// If a property is outside CloudWatch Logs' limits.
pub fn read_log_group(fields: &Fields<'_>) -> Result<LogGroup, String> {
    let keeps = fields.value("RetentionInDays")?.is_some();
    let days = keeps.then(|| fields.number("RetentionInDays", 1, 1..=3653)).transpose()?;
    Ok(LogGroup {
        logical: fields.logical.to_owned(),
        name: fields.scope.physical_name(fields.logical)?,
        retention_days: days.map(|days| u32::try_from(days).expect("at most 3653")),
    })
}

/// Reads `RedriveAllowPolicy`. AWS lets it name at most 10 queues.
fn read_redrive_sources(fields: &Fields<'_>) -> Result<RedriveSources, String> {
    let Some(policy) = fields.value("RedriveAllowPolicy")? else { return Ok(RedriveSources::All) };
    let sources = policy["sourceQueueArns"].as_array().cloned().unwrap_or_default();
    match policy["redrivePermission"].as_str() {
        Some("allowAll") => Ok(RedriveSources::All),
        Some("denyAll") => Ok(RedriveSources::These(vec![])),
        Some("byQueue") if (1..=10).contains(&sources.len()) => {
            Ok(RedriveSources::These(sources.iter().map(plain_text).collect()))
        }
        _ => Err(
            "RedriveAllowPolicy: redrivePermission must be allowAll, denyAll, or byQueue with 1 to 10 sourceQueueArns"
                .to_owned(),
        ),
    }
}

/// Reads an `AWS::Events::Rule`; None if it is disabled.
///
/// # Errors
/// If its pattern or schedule is not one that EventBridge takes, or a target can't be reached here.
pub fn read_rule(fields: &Fields<'_>) -> Result<Option<Rule>, String> {
    if fields.text("State")?.as_deref() == Some("DISABLED") {
        return Ok(None);
    }
    if let Some(bus) = fields.text("EventBusName")?.filter(|bus| bus != "default") {
        return Err(format!("the local region has the default event bus only, not {bus}"));
    }
    let pattern = fields.value("EventPattern")?.map(|pattern| Pattern::parse(&pattern));
    let pattern = pattern.transpose().map_err(|error| format!("EventPattern: {error}"))?;
    let schedule = fields.text("ScheduleExpression")?.map(|expression| Expression::parse(&expression));
    let schedule = schedule.transpose().map_err(|error| format!("ScheduleExpression: {error}"))?;
    if pattern.is_none() && schedule.is_none() {
        return Err("it needs an EventPattern or a ScheduleExpression".to_owned());
    }
    let targets = fields.value("Targets")?.unwrap_or_default();
    let targets = targets.as_array().into_iter().flatten().map(|target| event::read_target(&fields.inside(target)));
    let name = fields.scope.physical_name(fields.logical)?;
    Ok(Some(Rule {
        arn: plain_text(&fields.scope.resolve(&json!({ "Fn::GetAtt": [fields.logical, "Arn"] }))?),
        name,
        pattern,
        schedule,
        targets: targets.collect::<Result<_, _>>()?,
    }))
}

/// Reads an `AWS::Serverless::Function`, and the rules that its events make.
///
/// # Errors
/// If it is not a program of its own, or one of its properties or events is not possible here.
pub fn read_function(fields: &Fields<'_>) -> Result<(Function, Vec<Rule>), String> {
    let runtime = fields.text("Runtime")?.unwrap_or_default();
    if !runtime.starts_with("provided") {
        return Err(format!("the local region runs functions of the runtime provided.al2023, not {runtime:?}"));
    }
    let code = fields.text("CodeUri")?.ok_or("it has no CodeUri")?;
    let binary = code.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
    let name = fields.scope.physical_name(fields.logical)?;
    let reserved = fields.text("ReservedConcurrentExecutions")?.is_some();
    let reserved = reserved.then(|| fields.number("ReservedConcurrentExecutions", 1, 0..=1000)).transpose()?;
    let mut function = Function {
        logical: fields.logical.to_owned(),
        arn: plain_text(&fields.scope.resolve(&json!({ "Fn::GetAtt": [fields.logical, "Arn"] }))?),
        name,
        binary,
        environment: read_environment(fields)?,
        timeout: fields.seconds("Timeout", 3, 1..=900)?,
        memory_mb: u32::try_from(fields.number("MemorySize", 128, 128..=10_240)?).expect("at most 10240"),
        reserved_concurrency: reserved.map(|count| usize::try_from(count).expect("at most 1000")),
        policy: Policy::default(),
        routes: Vec::new(),
        mappings: Vec::new(),
        asynchronous: read_asynchronous(fields)?,
    };
    let mut rules = Vec::new();
    if let Some(events) = fields.members.get("Events").and_then(Value::as_object) {
        for (event_name, body) in events {
            let added = event::read_event(&fields.inside(&body["Properties"]), event_name, body, &mut function);
            rules.extend(added.map_err(|problem| format!("event {event_name}: {problem}"))?);
        }
    }
    function.policy = read_policy(fields, &function.mappings, function.asynchronous.on_failure_arn.as_deref())?;
    Ok((function, rules))
}

fn read_asynchronous(fields: &Fields<'_>) -> Result<Asynchronous, String> {
    let config = fields.inside(&fields.value("EventInvokeConfig")?.unwrap_or_default());
    let destinations = config.inside(&config.value("DestinationConfig")?.unwrap_or_default());
    destinations.refuse(&["OnSuccess"])?;
    let on_failure = destinations.value("OnFailure")?.unwrap_or_default();
    let ground = Asynchronous::default();
    let retries = config.number("MaximumRetryAttempts", ground.retries.into(), 0..=2)?;
    Ok(Asynchronous {
        retries: u32::try_from(retries).expect("at most 2"),
        maximum_age: config.seconds("MaximumEventAgeInSeconds", ground.maximum_age.as_secs(), 60..=21_600)?,
        on_failure_arn: on_failure["Destination"].as_str().map(str::to_owned),
    })
}

/// What a function may do: by its role of the template, or by the one that AWS SAM makes of `Policies`.
fn read_policy(fields: &Fields<'_>, mappings: &[Mapping], on_failure: Option<&str>) -> Result<Policy, String> {
    if fields.value("PermissionsBoundary")?.is_some_and(|boundary| boundary != "") {
        return Err("the local region can't evaluate a PermissionsBoundary".to_owned());
    }
    let Some(role) = fields.members.get("Role") else {
        // AWS SAM's own additions, for logs and queues, are used by Lambda and not by the function.
        return Policy::read(&fields.value("Policies")?.unwrap_or_default());
    };
    fields.refuse(&["Policies"])?;
    let (own, lambdas) = read_role(fields, role)?;
    let polling = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    let needs = mappings.iter().flat_map(|mapping| polling.map(|action| (action, mapping.queue_arn.as_str())));
    for (action, arn) in needs.chain(on_failure.map(|queue| ("sqs:SendMessage", queue))) {
        if !matches!(lambdas.decide(&Request::new(action, arn)), Decision::Allowed(_)) {
            return Err(format!("its role must allow {action} on {arn} in the policy `{FOR_LAMBDA}`"));
        }
    }
    Ok(own)
}

/// The policy of a role with what Lambda does under it: logs, polling, destinations. The function itself calls none of it.
const FOR_LAMBDA: &str = "lambda";

/// A role's policies: what the function calls, and what Lambda does.
fn read_role(fields: &Fields<'_>, role: &Value) -> Result<(Policy, Policy), String> {
    let named = role["Fn::GetAtt"][0].as_str().and_then(|name| fields.scope.resources.get(name));
    let named = named.filter(|resource| resource["Type"] == "AWS::IAM::Role");
    let properties = &named.ok_or("Role must be !GetAtt ROLE.Arn of a role in the template")?["Properties"];
    let role = fields.inside(properties);
    role.refuse(&["ManagedPolicyArns", "PermissionsBoundary"])?;
    let policies = role.value("Policies")?.unwrap_or_default();
    let policies = policies.as_array().cloned().unwrap_or_default();
    let (lambdas, own): (Vec<_>, Vec<_>) = policies.into_iter().partition(|policy| policy["PolicyName"] == FOR_LAMBDA);
    let read = |policies: Vec<Value>| {
        Policy::read(&policies.iter().map(|policy| policy["PolicyDocument"].clone()).collect::<Value>())
    };
    Ok((read(own)?, read(lambdas)?))
}

fn read_environment(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, String> {
    let environment = fields.value("Environment")?.unwrap_or_default();
    let variables = environment["Variables"].as_object().cloned().unwrap_or_default();
    let read = |(name, value): (String, Value)| match value {
        Value::Array(_) | Value::Object(_) => Err(format!("the environment variable {name} must be a text")),
        scalar => Ok((name, plain_text(&scalar))),
    };
    variables.into_iter().map(read).collect()
}
