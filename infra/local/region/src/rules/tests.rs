//! Rules and schedules with real queues and functions in this process, on paused time.

use std::time::Duration;

use wharfinger_emulator::{
    events::{bus::EventBus, pattern::Pattern},
    service::Service,
};

use super::*;
use crate::lambda::{
    FunctionError,
    testing::{Recorder, context, function},
};

fn rule(destination: Destination) -> Rule {
    Rule {
        name: "uploads".to_owned(),
        arn: "arn:aws:events:us-east-1:000000000000:rule/uploads".to_owned(),
        pattern: Some(Pattern::parse(&json!({ "source": ["aws.transfer"] })).unwrap()),
        schedule: None,
        targets: vec![Target {
            id: "one".to_owned(),
            destination,
            input: Input::Event,
            dead_letter_arn: Some("dead".to_owned()),
        }],
    }
}

async fn run(rule: Rule, recorder: &Arc<Recorder>) -> (EventBus, Arc<Sqs>, CancellationToken) {
    let context = context();
    let sqs = Sqs::new(&context, None, "http://127.0.0.1:4566").unwrap();
    for name in ["work", "dead"] {
        sqs.call("CreateQueue", json!({ "QueueName": name })).await.unwrap();
    }
    let (bus, receiver) = EventBus::new(context.clock.clone());
    let lambda = recorder.lambda(vec![function("worker")]);
    let delivery = Delivery { sqs: Arc::clone(&sqs), lambda, clock: context.clock };
    let stopping = CancellationToken::new();
    start(vec![rule], receiver, &delivery, &stopping, &TaskTracker::new());
    (bus, sqs, stopping)
}

async fn receive(sqs: &Sqs, queue: &str) -> Value {
    let url = format!("http://127.0.0.1:4566/000000000000/{queue}");
    let input = json!({ "QueueUrl": url, "WaitTimeSeconds": 20, "MessageAttributeNames": ["All"] });
    sqs.call("ReceiveMessage", input).await.unwrap()["Messages"][0].clone()
}

#[tokio::test(start_paused = true)]
async fn an_event_that_matches_reaches_the_queue_and_no_other_does() {
    let recorder = Recorder::new(vec![], Duration::ZERO);
    let (bus, sqs, _stopping) = run(rule(Destination::Queue("work".to_owned())), &recorder).await;
    bus.put("aws.ecs", "Other", &[], json!({}));
    bus.put("aws.transfer", "SFTP Server File Upload Completed", &["arn".to_owned()], json!({ "bytes": 1 }));
    let event: Value = serde_json::from_str(receive(&sqs, "work").await["Body"].as_str().unwrap()).unwrap();
    assert_eq!((&event["source"], &event["detail"]), (&json!("aws.transfer"), &json!({ "bytes": 1 })));
    assert_eq!(sqs.counts("work").unwrap().visible, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_delivered_becomes_a_dead_letter_with_its_reason() {
    let recorder = Recorder::new(vec![], Duration::ZERO);
    let (bus, sqs, _stopping) = run(rule(Destination::Queue("gone".to_owned())), &recorder).await;
    bus.put("aws.transfer", "x", &[], json!({}));
    let letter = receive(&sqs, "dead").await;
    assert_eq!(letter["MessageAttributes"]["ERROR_CODE"]["StringValue"], "QueueDoesNotExist");
    assert_eq!(letter["MessageAttributes"]["TARGET_ARN"]["StringValue"], "gone");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_fails_gets_its_event_three_times() {
    let failure = || Err(FunctionError::Exited("signal: 9".to_owned()));
    let recorder = Recorder::new(vec![failure(), failure(), failure(), failure()], Duration::ZERO);
    let (bus, _sqs, _stopping) = run(rule(Destination::Function("worker".to_owned())), &recorder).await;
    bus.put("aws.transfer", "x", &[], json!({}));
    recorder.wait_for(3).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(recorder.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_each_period_until_it_is_stopped() {
    let recorder = Recorder::new(vec![], Duration::ZERO);
    let schedule = Some(Expression::parse("rate(5 minutes)").unwrap());
    let rule = Rule { pattern: None, schedule, ..rule(Destination::Function("worker".to_owned())) };
    let (_bus, _sqs, stopping) = run(rule, &recorder).await;
    tokio::time::sleep(Duration::from_secs(299)).await;
    assert_eq!(recorder.events().len(), 0);
    tokio::time::sleep(Duration::from_secs(602)).await;
    let events = recorder.events();
    let times: Vec<_> = events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert_eq!(times, ["2026-03-06T10:05:00Z", "2026-03-06T10:10:00Z", "2026-03-06T10:15:00Z"]);
    assert_eq!(events[0]["detail-type"], "Scheduled Event");
    assert_eq!(events[0]["resources"][0], "arn:aws:events:us-east-1:000000000000:rule/uploads");
    stopping.cancel();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(recorder.events().len(), 3);
}
