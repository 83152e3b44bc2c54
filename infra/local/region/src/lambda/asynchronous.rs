//! Events that nobody waits for: tried again as the function's configuration says, and at last told to its on-failure
//! destination, in the words of AWS's "Capturing records of Lambda asynchronous invocations".

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharfinger_emulator::{clock::Clock, sqs::Sqs};

use super::{FunctionError, function::Running};

/// The waits before the two further tries of an asynchronous event. AWS waits one and two minutes.
const RETRY_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Invokes until it succeeds, the tries are used up, or the event is too old to be tried again.
pub(super) async fn invoke(
    running: Arc<Running>,
    event: Bytes,
    clock: Clock,
    stopping: CancellationToken,
    queues: Option<Arc<Sqs>>,
) {
    let (config, begin) = (running.asynchronous(), clock.now());
    let mut waits = RETRY_WAITS.into_iter().take(usize::try_from(config.retries).unwrap_or(usize::MAX));
    let mut tries = 0;
    while let Err(error) = running.invoke(event.clone()).await {
        let name = running.name();
        tries += 1;
        let age = Duration::try_from(clock.now().duration_since(begin)).unwrap_or_default();
        let condition = match waits.next() {
            Some(wait) if age + wait <= config.maximum_age => {
                tracing::warn!(function = name, %error, "an event failed and will be tried again");
                tokio::select! {
                    () = clock.sleep(wait) => continue,
                    () = stopping.cancelled() => return,
                }
            }
            Some(_) => "EventAgeExceeded",
            None => "RetriesExhausted",
        };
        tracing::error!(function = name, %error, tries, condition, "an event failed for good");
        if let Some((arn, queues)) = config.on_failure_arn.as_ref().zip(queues.as_ref()) {
            let record = record(&running, &event, &error, (condition, tries), &clock);
            if let Err(error) = queues.send(arn, &record.to_string(), None) {
                tracing::error!(function = name, %error, "its on-failure destination doesn't take it");
            }
        }
        return;
    }
}

fn record(
    running: &Running,
    event: &Bytes,
    error: &FunctionError,
    (condition, tries): (&str, u32),
    clock: &Clock,
) -> Value {
    json!({
        "version": "1.0",
        "timestamp": clock.now().to_string(),
        "requestContext": {
            "requestId": wharfinger_emulator::ids::random_uuid().to_string(),
            "functionArn": format!("{}:$LATEST", running.arn()),
            "condition": condition,
            "approximateInvokeCount": tries,
        },
        "requestPayload": serde_json::from_slice::<Value>(event).unwrap_or_default(),
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
        "responsePayload": error.payload(),
    })
}

#[cfg(test)]
mod tests {
    use wharfinger_emulator::sqs::declaration::Declaration;

    use super::*;
    use crate::{
        lambda::testing::{Recorder, context, function},
        wiring::Asynchronous,
    };

    const LETTERS: &str = "arn:aws:sqs:us-east-1:000000000000:letters";

    fn queues() -> Arc<Sqs> {
        let sqs = Sqs::new(&context(), None, "http://127.0.0.1:4566").unwrap();
        sqs.declare(&[Declaration {
            name: "letters".into(),
            visibility: Duration::from_secs(30),
            delay: Duration::ZERO,
            retention: Duration::from_secs(60),
            redrive: None,
        }]);
        sqs
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_fails_each_time_is_told_to_the_on_failure_destination() {
        let failed = || Err(FunctionError::Failed { kind: "Oops".into(), message: "no table".into() });
        let recorder = Recorder::new(vec![failed(), failed(), Ok(Value::Null)], Duration::ZERO);
        let asynchronous = Asynchronous { retries: 1, on_failure_arn: Some(LETTERS.into()), ..Asynchronous::default() };
        let sweep = crate::wiring::Function { asynchronous, ..function("sweep") };
        let queues = queues();
        let lambda = recorder.lambda(vec![sweep]).with_destinations(Arc::clone(&queues));
        lambda.invoke_later("sweep", Bytes::from_static(br#"{"id":1}"#)).unwrap();
        lambda.settle().await;
        assert_eq!(recorder.events().len(), 2, "one try and one more");
        let letters = queues.bodies("letters");
        let record: Value = serde_json::from_str(&letters[0]).unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 2);
        assert_eq!(record["requestPayload"], json!({ "id": 1 }));
        assert_eq!(record["responsePayload"], json!({ "errorType": "Oops", "errorMessage": "no table" }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_is_too_old_is_not_tried_again() {
        let failed = || Err(FunctionError::Failed { kind: "Oops".into(), message: "slow".into() });
        let recorder = Recorder::new(vec![failed()], Duration::from_secs(61));
        let asynchronous = Asynchronous {
            maximum_age: Duration::from_secs(60),
            on_failure_arn: Some(LETTERS.into()),
            ..Asynchronous::default()
        };
        let sweep = crate::wiring::Function { asynchronous, timeout: Duration::from_secs(120), ..function("sweep") };
        let queues = queues();
        let lambda = recorder.lambda(vec![sweep]).with_destinations(Arc::clone(&queues));
        lambda.invoke_later("sweep", Bytes::from_static(b"{}")).unwrap();
        lambda.settle().await;
        assert_eq!(recorder.events().len(), 1);
        let record: Value = serde_json::from_str(&queues.bodies("letters")[0]).unwrap();
        assert_eq!(record["requestContext"]["condition"], "EventAgeExceeded");
    }
}
