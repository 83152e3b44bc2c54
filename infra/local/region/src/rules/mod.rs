//! Rules: each event on the bus goes to the targets of every rule whose pattern it matches, and scheduled rules send
//! events of their own. What can't be delivered goes to the target's dead-letter queue, with AWS's attributes.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharfinger_emulator::{
    clock::Clock,
    events::schedule::{Expression, scheduled_event},
    sqs::Sqs,
};

use crate::{
    lambda::Lambda,
    wiring::{Destination, Input, Rule, Target},
};

/// Where events are delivered to.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The queues.
    pub sqs: Arc<Sqs>,
    /// The functions.
    pub lambda: Lambda,
    /// When schedules fire.
    pub clock: Clock,
}

/// Runs the rules until `stopping`: those with patterns on the events of the bus, those with schedules by the clock.
pub fn start(
    rules: Vec<Rule>,
    mut bus: mpsc::UnboundedReceiver<Value>,
    delivery: &Delivery,
    stopping: &CancellationToken,
    tasks: &TaskTracker,
) {
    for rule in rules.iter().filter(|rule| rule.schedule.is_some()) {
        let (rule, delivery, stopping) = (rule.clone(), delivery.clone(), stopping.clone());
        tasks.spawn(async move { stopping.run_until_cancelled(delivery.fire(&rule)).await });
    }
    let (delivery, stopping) = (delivery.clone(), stopping.clone());
    tasks.spawn(async move {
        while let Some(Some(event)) = stopping.run_until_cancelled(bus.recv()).await {
            delivery.match_rules(&rules, &event);
        }
    });
}

impl Delivery {
    fn match_rules(&self, rules: &[Rule], event: &Value) {
        let matches = |rule: &&Rule| rule.pattern.as_ref().is_some_and(|pattern| pattern.matches(event));
        for rule in rules.iter().filter(matches) {
            self.deliver(rule, event);
        }
    }

    /// Sends the rule's scheduled events for ever. Times that passed while nothing ran are not made up for.
    async fn fire(&self, rule: &Rule) {
        let mut last = self.clock.now();
        while let Some(next) = rule.schedule.as_ref().and_then(|schedule: &Expression| schedule.next_after(last)) {
            let wait = next.duration_since(self.clock.now());
            self.clock.sleep(wait.try_into().unwrap_or_default()).await;
            self.deliver(rule, &scheduled_event(&rule.arn, next));
            last = next.max(self.clock.now());
        }
    }

    fn deliver(&self, rule: &Rule, event: &Value) {
        for target in &rule.targets {
            let input = input_of(target, event);
            if let Err((code, message)) = self.send(target, &input) {
                self.bury(rule, target, &input, &code, &message);
            }
        }
    }

    fn send(&self, target: &Target, input: &str) -> Result<(), (String, String)> {
        match &target.destination {
            Destination::Queue(arn) => match self.sqs.send(arn, input, None) {
                Ok(_) => Ok(()),
                Err(error) => Err((error.code, error.message)),
            },
            Destination::Function(arn) => {
                let taken = self.lambda.invoke_later(arn, Bytes::from(input.to_owned()));
                taken.map_err(|error| (plain(&error.payload()["errorType"]), error.to_string()))
            }
        }
    }

    fn bury(&self, rule: &Rule, target: &Target, input: &str, code: &str, message: &str) {
        tracing::error!(rule = rule.name, target = target.id, code, message, "an event could not be delivered");
        let Some(letters) = &target.dead_letter_arn else { return };
        let attributes = [
            ("RULE_ARN", rule.arn.as_str()),
            ("TARGET_ARN", target.destination.arn()),
            ("ERROR_CODE", code),
            ("ERROR_MESSAGE", message),
        ];
        let attributes: Map<_, _> = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!({ "DataType": "String", "StringValue": value })))
            .collect();
        if let Err(error) = self.sqs.send_with(letters, input, attributes, None) {
            tracing::error!(rule = rule.name, %error, "nor could it be kept as a dead letter");
        }
    }
}

fn input_of(target: &Target, event: &Value) -> String {
    match &target.input {
        Input::Event => event.to_string(),
        Input::Constant(text) => text.clone(),
        Input::Path(path) => {
            let steps = path.trim_start_matches('$').split('.').filter(|step| !step.is_empty());
            steps.fold(event, |value, step| &value[step]).to_string()
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
