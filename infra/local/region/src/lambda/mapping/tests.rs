//! The rules of event source mappings, on paused time.

use wharfinger_emulator::sqs::{
    declaration::{Declaration, Redrive},
    queue::Counts,
};

use super::*;
use crate::lambda::testing::{Recorder, context, function};

const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:work";

struct Fixture {
    sqs: Arc<Sqs>,
    recorder: Arc<Recorder>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

fn queue(name: &str, redrive: Option<Redrive>) -> Declaration {
    Declaration {
        name: name.to_owned(),
        visibility: Duration::from_secs(60),
        delay: Duration::ZERO,
        retention: Duration::from_secs(345_600),
        redrive,
    }
}

/// Queues `work` and `dead`, and a mapping with `change` made to it.
fn fixture(recorder: Arc<Recorder>, bodies: &[String], change: impl FnOnce(&mut wiring::Mapping)) -> Fixture {
    let sqs = Sqs::new(&context(), None, "http://127.0.0.1:4566").unwrap();
    let redrive = Redrive { target_arn: QUEUE.replace("work", "dead"), max_receive_count: 2 };
    sqs.declare(&[queue("work", Some(redrive)), queue("dead", None)]);
    for body in bodies {
        sqs.send(QUEUE, body, None).unwrap();
    }
    let mut mapping = wiring::Mapping {
        queue_arn: QUEUE.to_owned(),
        batch_size: 10,
        window: Duration::ZERO,
        report_batch_item_failures: true,
        maximum_concurrency: None,
    };
    change(&mut mapping);
    let functions = vec![wiring::Function { mappings: vec![mapping], ..function("worker") }];
    let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
    start(&functions, &sqs, &recorder.lambda(functions.clone()), &stopping, &tasks);
    Fixture { sqs, recorder, stopping, tasks }
}

fn bodies(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("body {number}")).collect()
}

impl Fixture {
    /// Waits until nothing is left in the queue `work`.
    async fn wait_until_empty(&self) {
        while self.sqs.counts(QUEUE).unwrap() != Counts::default() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn sizes(events: &[Value]) -> Vec<usize> {
    events.iter().map(|event| event["Records"].as_array().unwrap().len()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_record_is_what_lambda_sends() {
    let fixture = fixture(Recorder::new(vec![], Duration::ZERO), &["hello".to_owned()], |_| {});
    let events = fixture.recorder.wait_for(1).await;
    let record = &events[0]["Records"][0];
    assert_eq!(record["body"], "hello");
    assert_eq!(record["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!((&record["eventSource"], &record["eventSourceARN"]), (&json!("aws:sqs"), &json!(QUEUE)));
    assert_eq!(record["awsRegion"], "us-east-1");
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(record["attributes"]["SentTimestamp"], "1772791200000");
    assert_eq!(record["messageAttributes"], json!({}));
    fixture.wait_until_empty().await;
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_burst_within_the_window_is_one_batch() {
    let recorder = Recorder::new(vec![], Duration::ZERO);
    let fixture = fixture(recorder, &bodies(500), |mapping| {
        (mapping.batch_size, mapping.window) = (1000, Duration::from_secs(1));
    });
    fixture.wait_until_empty().await;
    assert_eq!(sizes(&fixture.recorder.events()), [500]);
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_never_larger_than_an_event_may_be() {
    let large: Vec<_> = (0..15).map(|_| "x".repeat(1_000_000)).collect();
    let fixture = fixture(Recorder::new(vec![], Duration::ZERO), &large, |mapping| {
        (mapping.batch_size, mapping.window) = (1000, Duration::from_secs(1));
    });
    fixture.wait_until_empty().await;
    let events = fixture.recorder.events();
    assert_eq!(sizes(&events).iter().sum::<usize>(), 15);
    assert!(events.iter().all(|event| event.to_string().len() <= PAYLOAD_LIMIT), "{:?}", sizes(&events));
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_messages_that_failed_come_again_after_their_visibility() {
    let recorder = Recorder::failing_body("body 1");
    let fixture = fixture(recorder, &bodies(3), |_| {});
    let started = Instant::now();
    let events = fixture.recorder.wait_for(2).await;
    assert_eq!((sizes(&events), started.elapsed().as_secs()), (vec![3, 1], 60));
    assert_eq!(events[1]["Records"][0]["body"], "body 1");
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_function_failed_comes_again_after_its_visibility() {
    let failure = FunctionError::TimedOut(Duration::from_secs(3));
    let recorder = Recorder::new(vec![Err(failure)], Duration::ZERO);
    let fixture = fixture(recorder, &bodies(3), |_| {});
    let started = Instant::now();
    fixture.recorder.wait_for(2).await;
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(sizes(&fixture.recorder.events()), [3, 3]);
    fixture.wait_until_empty().await;
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_identifier_that_is_not_of_the_batch_fails_all_of_it() {
    let answer = json!({ "batchItemFailures": [{ "itemIdentifier": "someone else's" }] });
    let fixture = fixture(Recorder::new(vec![Ok(answer)], Duration::ZERO), &bodies(3), |_| {});
    fixture.recorder.wait_for(2).await;
    assert_eq!(sizes(&fixture.recorder.events()), [3, 3]);
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_becomes_a_dead_letter() {
    let failure = || Err(FunctionError::Exited("signal: 9".to_owned()));
    let fixture = fixture(Recorder::new(vec![failure(), failure()], Duration::ZERO), &bodies(1), |_| {});
    fixture.wait_until_empty().await;
    assert_eq!(fixture.sqs.counts("dead").unwrap().visible, 1);
    assert_eq!(fixture.recorder.events().len(), 2);
    fixture.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_batches_than_allowed_are_in_work() {
    let recorder = Recorder::new(vec![], Duration::from_secs(5));
    let fixture = fixture(recorder, &bodies(7), |mapping| {
        (mapping.batch_size, mapping.maximum_concurrency) = (1, Some(3));
    });
    fixture.wait_until_empty().await;
    assert_eq!((fixture.recorder.events().len(), fixture.recorder.most_at_work()), (7, 3));
    fixture.stop().await;
}

#[test]
fn answers_are_read_as_lambda_reads_them() {
    let mut queue = wharfinger_emulator::sqs::queue::Queue::new(0);
    let id = queue.push("x".to_owned(), serde_json::Map::new(), 0, 0);
    let take = wharfinger_emulator::sqs::queue::Take {
        most: 1,
        most_bytes: usize::MAX,
        visibility_seconds: 30,
        receive_limit: 5,
    };
    let (batch, _) = queue.take(take, 0);
    for success in ["", "null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
        assert_eq!(read_failures(&batch, success.as_bytes()), Ok(HashSet::new()), "{success}");
    }
    let one = json!({ "batchItemFailures": [{ "itemIdentifier": id }] }).to_string();
    assert_eq!(read_failures(&batch, one.as_bytes()), Ok(HashSet::from([id.as_str()])));
    for broken in ["<", r#"{"batchItemFailures":7}"#, r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#] {
        assert!(read_failures(&batch, broken.as_bytes()).is_err(), "{broken}");
    }
}
