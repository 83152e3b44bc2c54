//! What wakes a function: the `Events` of a SAM function, and the targets of rules.

use serde_json::{Value, json};
use wharfinger_emulator::{
    events::{pattern::Pattern, schedule::Expression},
    ids::{ACCOUNT, REGION},
};

use super::{intrinsic::STACK, resource::Fields};
use crate::wiring::{Destination, Function, Input, Mapping, Rule, Target};

/// Reads one event of a function: a mapping is added to the function; a rule is returned, as SAM makes one.
///
/// # Errors
/// If the event's type is not known here, or a property is outside AWS's limits.
pub fn read_event(
    fields: &Fields<'_>,
    name: &str,
    body: &Value,
    function: &mut Function,
) -> Result<Option<Rule>, String> {
    match body["Type"].as_str().unwrap_or_default() {
        "SQS" => function.mappings.extend(read_mapping(fields)?),
        "Schedule" => return read_schedule(fields, name, function),
        "EventBridgeRule" | "CloudWatchEvent" => return read_pattern(fields, name, function),
        other => {
            return Err(format!(
                "the local region can't run events of type {other:?}; it knows SQS, Schedule and EventBridgeRule"
            ));
        }
    }
    Ok(None)
}

fn read_mapping(fields: &Fields<'_>) -> Result<Option<Mapping>, String> {
    fields.refuse(&["FilterCriteria"])?;
    if !fields.flag("Enabled", true)? {
        return Ok(None);
    }
    let batch_size = fields.number("BatchSize", 10, 1..=10_000)?;
    let window = fields.seconds("MaximumBatchingWindowInSeconds", 0, 0..=300)?;
    if batch_size > 10 && window.is_zero() {
        return Err("a BatchSize over 10 needs a MaximumBatchingWindowInSeconds of at least 1".to_owned());
    }
    let scaling = fields.inside(&fields.value("ScalingConfig")?.unwrap_or_default());
    let limited = scaling.members.contains_key("MaximumConcurrency");
    let limit = limited.then(|| scaling.number("MaximumConcurrency", 2, 2..=1000)).transpose()?;
    let answers = fields.value("FunctionResponseTypes")?.unwrap_or_default();
    Ok(Some(Mapping {
        queue_arn: fields.text("Queue")?.ok_or("it has no Queue")?,
        batch_size: usize::try_from(batch_size).expect("at most 10000"),
        window,
        report_batch_item_failures: answers
            .as_array()
            .is_some_and(|all| all.contains(&json!("ReportBatchItemFailures"))),
        maximum_concurrency: limit.map(|limit| usize::try_from(limit).expect("at most 1000")),
    }))
}

fn read_schedule(fields: &Fields<'_>, name: &str, function: &Function) -> Result<Option<Rule>, String> {
    if !fields.flag("Enabled", true)? || fields.text("State")?.as_deref() == Some("DISABLED") {
        return Ok(None);
    }
    let expression = fields.text("Schedule")?.ok_or("it has no Schedule")?;
    let schedule = Expression::parse(&expression).map_err(|error| error.to_string())?;
    Ok(Some(Rule { schedule: Some(schedule), ..rule_of(fields, name, function)? }))
}

fn read_pattern(fields: &Fields<'_>, name: &str, function: &Function) -> Result<Option<Rule>, String> {
    if fields.text("State")?.as_deref() == Some("DISABLED") {
        return Ok(None);
    }
    let pattern = Pattern::parse(&fields.value("Pattern")?.ok_or("it has no Pattern")?);
    let pattern = pattern.map_err(|error| format!("Pattern: {error}"))?;
    Ok(Some(Rule { pattern: Some(pattern), ..rule_of(fields, name, function)? }))
}

/// The rule that SAM makes of a function's event, without its trigger.
fn rule_of(fields: &Fields<'_>, event: &str, function: &Function) -> Result<Rule, String> {
    let own = fields.text("Name")?;
    let name = own.unwrap_or_else(|| format!("{STACK}-{}{event}", function.logical));
    let target = Target {
        id: format!("{}{event}LambdaTarget", function.logical),
        destination: Destination::Function(function.arn.clone()),
        input: read_input(fields)?,
        dead_letter_arn: read_dead_letter(fields)?,
    };
    let arn = format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{name}");
    Ok(Rule { name, arn, pattern: None, schedule: None, targets: vec![target] })
}

/// Reads one target of an `AWS::Events::Rule`.
///
/// # Errors
/// If it is neither a queue nor a function, or asks for what the local region doesn't have.
pub fn read_target(fields: &Fields<'_>) -> Result<Target, String> {
    let id = fields.text("Id")?.ok_or("a target has no Id")?;
    let arn = fields.text("Arn")?.ok_or_else(|| format!("target {id} has no Arn"))?;
    let destination = match arn.split(':').nth(2) {
        Some("sqs") => Destination::Queue(arn),
        Some("lambda") => Destination::Function(arn),
        _ => return Err(format!("target {id}: the local region delivers to queues and functions, not to {arn}")),
    };
    Ok(Target { id, destination, input: read_input(fields)?, dead_letter_arn: read_dead_letter(fields)? })
}

fn read_input(fields: &Fields<'_>) -> Result<Input, String> {
    fields.refuse(&["InputTransformer"])?;
    match (fields.text("Input")?, fields.text("InputPath")?) {
        (Some(text), _) => {
            serde_json::from_str::<Value>(&text).map_err(|error| format!("Input is not JSON: {error}"))?;
            Ok(Input::Constant(text))
        }
        (None, Some(path)) => Ok(Input::Path(path)),
        (None, None) => Ok(Input::Event),
    }
}

/// Also checks the limits of its neighbour RetryPolicy; here every target answers at once, so nothing is sent again.
fn read_dead_letter(fields: &Fields<'_>) -> Result<Option<String>, String> {
    let retry = fields.inside(&fields.value("RetryPolicy")?.unwrap_or_default());
    retry.number("MaximumRetryAttempts", 185, 0..=185)?;
    retry.number("MaximumEventAgeInSeconds", 86_400, 60..=86_400)?;
    let letters = fields.value("DeadLetterConfig")?;
    Ok(letters.and_then(|letters| letters["Arn"].as_str().map(str::to_owned)))
}
