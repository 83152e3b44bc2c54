//! CloudWatch Logs: log groups that the template or a person has made, and the events that services put there.
//! Timestamps are milliseconds since 1970.

mod filter;
mod group;
mod pattern;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

pub use self::group::LogGroups;
use crate::{
    context::Context,
    error::AwsError,
    input::{given, text, whole},
    page::page,
    service::{Service, Unreadable, restore},
};

/// Log groups on one page of `DescribeLogGroups` (AWS's limit).
const GROUPS: i64 = 50;

/// The service.
pub struct CloudWatchLogs {
    context: Context,
    groups: LogGroups,
}

impl CloudWatchLogs {
    /// The service on `groups`, with what was saved put back into them.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: Context, saved: Option<Value>, groups: LogGroups) -> Result<Arc<Self>, Unreadable> {
        let saved: Option<_> = restore("logs", saved)?;
        if let Some(saved) = saved {
            *groups.lock() = saved;
        }
        Ok(Arc::new(Self { context, groups }))
    }

    fn now_ms(&self) -> i64 {
        self.context.clock.now().as_millisecond()
    }

    fn create_log_group(&self, input: &Value) -> Result<Value, AwsError> {
        refuse(input, &["kmsKeyId", "tags", "deletionProtectionEnabled"])?;
        if text(input, "logGroupClass").is_some_and(|class| class != "STANDARD") {
            refuse(input, &["logGroupClass"])?;
        }
        let name = check_name(text(input, "logGroupName").unwrap_or_default())?;
        if self.groups.lock().contains_key(name) {
            return Err(refused("ResourceAlreadyExistsException", "The specified log group already exists"));
        }
        self.groups.declare(name, None, self.now_ms());
        Ok(Value::Null)
    }

    fn delete_log_group(&self, input: &Value) -> Result<Value, AwsError> {
        let removed = self.groups.lock().remove(text(input, "logGroupName").unwrap_or_default());
        removed.map(|_| Value::Null).ok_or_else(no_group)
    }

    fn describe_log_groups(&self, input: &Value) -> Result<Value, AwsError> {
        refuse(input, &["accountIdentifiers", "includeLinkedAccounts", "logGroupClass", "logGroupIdentifiers"])?;
        let (prefix, part) = (text(input, "logGroupNamePrefix"), text(input, "logGroupNamePattern"));
        if prefix.is_some() && part.is_some() {
            return Err(invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."));
        }
        let limit = check_limit(input, GROUPS)?;
        let groups = self.groups.lock();
        let asked = |name: &&String| {
            prefix.is_none_or(|prefix| name.starts_with(prefix)) && part.is_none_or(|part| name.contains(part))
        };
        let shown = groups.iter().filter(|(name, _)| asked(name)).map(|(name, group)| (name.clone(), group.show()));
        let page = page(shown, text(input, "nextToken"), limit).ok_or_else(bad_token)?;
        let mut answer = json!({ "logGroups": page.items });
        if let Some(next) = page.next {
            answer["nextToken"] = next.into();
        }
        Ok(answer)
    }
}

fn check_name(name: &str) -> Result<&str, AwsError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-/#".contains(letter);
    if (1..=512).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with("aws/") {
        return Ok(name);
    }
    let message = format!(
        "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
    );
    Err(invalid(&message))
}

/// The page size that an input asks for, from 1 to `most`, which is the default.
fn check_limit(input: &Value, most: i64) -> Result<usize, AwsError> {
    let limit = whole(input, "limit").unwrap_or(most);
    if (1..=most).contains(&limit) {
        return Ok(usize::try_from(limit).unwrap_or(1));
    }
    let message = format!(
        "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value \
         between 1 and {most}"
    );
    Err(invalid(&message))
}

/// Refuses members that would do nothing here.
fn refuse(input: &Value, members: &[&str]) -> Result<(), AwsError> {
    match given(input, members) {
        Some(member) => Err(invalid(&format!("This region does not support {member}."))),
        None => Ok(()),
    }
}

fn no_group() -> AwsError {
    refused("ResourceNotFoundException", "The specified log group does not exist.")
}

fn bad_token() -> AwsError {
    invalid("The specified nextToken is invalid.")
}

fn invalid(message: &str) -> AwsError {
    refused("InvalidParameterException", message)
}

fn refused(code: &str, message: &str) -> AwsError {
    AwsError::client(code, message)
}

#[async_trait]
impl Service for CloudWatchLogs {
    fn name(&self) -> &'static str {
        "logs"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        match operation {
            "CreateLogGroup" => self.create_log_group(&input),
            "DeleteLogGroup" => self.delete_log_group(&input),
            "DescribeLogGroups" => self.describe_log_groups(&input),
            "FilterLogEvents" => self.filter_log_events(&input),
            _ => Err(AwsError::unknown_operation("logs", operation)),
        }
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&*self.groups.lock()).expect("log groups are made of strings, numbers and lists")
    }
}
