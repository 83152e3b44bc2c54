//! Each call of a function on its way to AWS: what the weather makes of it, and who watches it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use async_trait::async_trait;
use serde_json::Value;
use wharfinger_emulator::{
    endpoint::{between::Between, wire::Call},
    error::AwsError,
    service::Service,
};

use crate::{
    invocation,
    plant::{Altered, Plant},
    watch,
    weather::{Fate, Weather},
};

impl Weather {
    async fn perform(
        &self,
        mut call: Call,
        (service, fate): (&dyn Service, Fate),
        caller: &str,
    ) -> Result<Value, AwsError> {
        watch::before(self, caller, &call).await;
        if self.plant == Some(Plant::LeaveItThere)
            && let Some(answer) = self.left_there(caller, &call)
        {
            return answer;
        }
        if let Some(plant) = self.plant {
            match plant.alter(caller, &mut call) {
                Altered::Passes => {}
                Altered::Answered(answer) => return Ok(answer),
            }
        }
        self.secrets.note(&call);
        let (name, operation, input) = (call.service.clone(), call.operation.clone(), call.input.clone());
        let is_lost = matches!(fate, Fate::AnswerLost | Fate::CutAfter);
        if is_lost && self.plant.is_some_and(|plant| plant.repeats(&operation)) {
            let _ = service.call(&operation, input.clone()).await;
        }
        let mut answer = if self.takes_failing_start(&operation) {
            service.call_to_fail(&operation, call.input).await
        } else {
            service.call(&operation, call.input).await
        };
        if let (Some(plant), Ok(answer)) = (self.plant, &mut answer) {
            plant.alter_answer(caller, &operation, answer);
            if plant.fails_at(caller, &operation, answer) {
                return Err(AwsError::client("ValidationException", "it has another form than expected"));
            }
        }
        // The SDK itself makes a call again whose answer is lost.
        if answer.is_ok() && !is_lost {
            watch::after(self, caller, (&name, &operation), &input).await;
        }
        answer
    }
}

impl Weather {
    /// The answer about a server that a planted bug takes for deleted; none about any other.
    fn left_there(&self, caller: &str, call: &Call) -> Option<Result<Value, AwsError>> {
        let id = call.input["ServerId"].as_str().filter(|_| caller == "reconcile")?;
        match call.operation.as_str() {
            "DeleteServer" => {
                self.leave(id);
                Some(Ok(Value::Null))
            }
            "DescribeServer" if self.has_left(id) => {
                Some(Err(AwsError::client("ResourceNotFoundException", "Unknown server")))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Between for Weather {
    async fn call(&self, call: Call, service: &dyn Service) -> Result<Value, AwsError> {
        let known =
            self.ground().and_then(|ground| Some((ground.callers.get(&call.caller)?.clone(), ground.clock.now())));
        let Some((caller, now)) = known else {
            return service.call(&call.operation, call.input).await;
        };
        let (fate, latency) = self.fate(&caller, &call, now);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let what = format!("{caller} calls {}:{} #{:08x}", call.service, call.operation, digest(&call.input));
        if fate != Fate::Done {
            self.diary.note(format_args!("{what}: {fate:?}"));
        }
        match fate {
            Fate::Done => {
                let answer = self.perform(call, (service, fate), &caller).await;
                match &answer {
                    Ok(_) => self.diary.note(what),
                    Err(error) => self.diary.note(format_args!("{what}: {}", error.code)),
                }
                match self.plant {
                    Some(plant) => plant.take(&caller, answer),
                    None => answer,
                }
            }
            Fate::Denied => Err(denied(&call)),
            Fate::Throttled => Err(throttled(&call.service)),
            Fate::Failed => Err(failed()),
            Fate::AnswerLost => self.perform(call, (service, fate), &caller).await.and(Err(failed())),
            Fate::CutBefore => {
                invocation::cut_connection();
                Err(failed())
            }
            Fate::CutAfter => {
                let answer = self.perform(call, (service, fate), &caller).await;
                invocation::cut_connection();
                answer
            }
            Fate::HangsBefore => std::future::pending().await,
            Fate::HangsAfter => {
                let _ = self.perform(call, (service, fate), &caller).await;
                std::future::pending().await
            }
            Fate::KilledBefore => {
                invocation::die().await;
                Err(failed())
            }
            Fate::KilledAfter => {
                let _ = self.perform(call, (service, fate), &caller).await;
                invocation::die().await;
                Err(failed())
            }
        }
    }
}

/// Tells inputs apart, ids and keys in them included: what is random must be drawn from the seed.
fn digest(input: &Value) -> u32 {
    let mut hasher = DefaultHasher::new();
    feed(input, &mut hasher);
    hasher.finish() as u32
}

/// Members are taken by name: the SDK writes maps in any order.
fn feed(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            sorted.len().hash(hasher);
            for (name, member) in sorted {
                name.hash(hasher);
                feed(member, hasher);
            }
        }
        Value::Array(items) => {
            items.len().hash(hasher);
            items.iter().for_each(|item| feed(item, hasher));
        }
        plain => plain.to_string().hash(hasher),
    }
}

fn failed() -> AwsError {
    AwsError::client("InternalServerError", "The service has failed for a moment.").with_status(500)
}

/// A refusal by IAM, as each protocol's services word it.
fn denied(call: &Call) -> AwsError {
    let code = match call.service.as_str() {
        "ec2" => "UnauthorizedOperation",
        "monitoring" => "AccessDenied",
        _ => "AccessDeniedException",
    };
    AwsError::client(code, format!("not authorized to perform {}:{}", call.service, call.operation)).with_status(403)
}

fn throttled(service: &str) -> AwsError {
    let (code, status) = match service {
        "ec2" => ("RequestLimitExceeded", 503),
        "monitoring" => ("Throttling", 400),
        _ => ("ThrottlingException", 400),
    };
    AwsError::client(code, "Rate exceeded").with_status(status)
}
