//! What a local region has to make and run, read from the template: tables, queues, functions and what wakes them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    TemplateError, document,
    http_api::HttpApi,
    intrinsic::Scope,
    parameter,
    resource::{self, Fields},
    rule,
};
use crate::wiring::{Destination, Function, LogGroup, Queue, RedriveSources, Rule, Table};

/// A whole template, resolved.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The value of every parameter.
    pub parameters: BTreeMap<String, String>,
    /// The DynamoDB tables.
    pub tables: Vec<Table>,
    /// The SQS queues.
    pub queues: Vec<Queue>,
    /// The log groups, without those of functions and of the HTTP API: their lines go to the region's own log.
    pub log_groups: Vec<LogGroup>,
    /// The functions, with their routes and queues.
    pub functions: Vec<Function>,
    /// The EventBridge rules: the template's own, and those that SAM makes of functions' `Schedule` and
    /// `EventBridgeRule` events.
    pub rules: Vec<Rule>,
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
            log_groups: vec![],
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
            "AWS::Logs::LogGroup" if !is_ours(&scope.resources, logical) => {
                self.log_groups.push(resource::read_log_group(&fields)?);
            }
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
            if let Some(redrive) = queue.declaration.redrive.as_ref().filter(|redrive| !has_queue(&redrive.target_arn))
            {
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
        let Some(redrive) = &queue.declaration.redrive else { return Ok(()) };
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
        let of_queues = self
            .queues
            .iter()
            .filter_map(|queue| queue.declaration.redrive.as_ref())
            .map(|redrive| &redrive.target_arn);
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

/// Whether the log group takes what functions or the HTTP API say.
fn is_ours(resources: &Map<String, Value>, group: &str) -> bool {
    let settings = |resource: &'_ Value| {
        let properties = &resource["Properties"];
        [properties["LoggingConfig"]["LogGroup"].clone(), properties["AccessLogSettings"]["DestinationArn"].clone()]
    };
    resources.values().flat_map(settings).any(|setting| names(&setting, group))
}

/// Whether a value refers to a resource, by `Ref` or `Fn::GetAtt`.
fn names(value: &Value, logical: &str) -> bool {
    match value {
        Value::String(text) => text.split('.').next() == Some(logical),
        Value::Array(items) => items.iter().any(|item| names(item, logical)),
        Value::Object(members) => members.values().any(|member| names(member, logical)),
        _ => false,
    }
}
