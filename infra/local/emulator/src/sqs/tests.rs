//! The rules of SQS, on paused time.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::*;
use crate::testing::context;

const URL: &str = "http://127.0.0.1:4566/000000000000/work";

async fn with_queue(attributes: Value) -> Arc<Sqs> {
    let sqs = Sqs::new(&context(), None, "http://127.0.0.1:4566").unwrap();
    let create = json!({ "QueueName": "work", "Attributes": attributes });
    assert_eq!(sqs.call("CreateQueue", create).await.unwrap(), json!({ "QueueUrl": URL }));
    sqs
}

async fn send(sqs: &Sqs, body: &str, delay: u64) -> Result<Value, AwsError> {
    sqs.call("SendMessage", json!({ "QueueUrl": URL, "MessageBody": body, "DelaySeconds": delay })).await
}

async fn receive(sqs: &Sqs, wait: u64) -> Vec<Value> {
    let input =
        json!({ "QueueUrl": URL, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait, "AttributeNames": ["All"] });
    let output = sqs.call("ReceiveMessage", input).await.unwrap();
    output["Messages"].as_array().cloned().unwrap_or_default()
}

fn code(result: Result<Value, AwsError>) -> String {
    result.unwrap_err().code
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_out_as_it_went_in() {
    let sqs = with_queue(json!({})).await;
    let sent = send(&sqs, "hello", 0).await.unwrap();
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    let messages = receive(&sqs, 0).await;
    assert_eq!(messages.len(), 1);
    assert_eq!((&messages[0]["Body"], &messages[0]["MessageId"]), (&json!("hello"), &sent["MessageId"]));
    assert_eq!(messages[0]["Attributes"]["ApproximateReceiveCount"], "1");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_message_is_seen_when_its_delay_is_over() {
    let sqs = with_queue(json!({})).await;
    send(&sqs, "later", 15).await.unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(sqs.counts("work").unwrap(), Counts { delayed: 1, ..Counts::default() });
    assert!(receive(&sqs, 0).await.is_empty());
    assert_eq!(receive(&sqs, 20).await.len(), 1);
    assert_eq!(started.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_ends_as_soon_as_a_message_comes() {
    let sqs = with_queue(json!({})).await;
    let polling = tokio::spawn({
        let sqs = Arc::clone(&sqs);
        async move { (receive(&sqs, 20).await.len(), tokio::time::Instant::now()) }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent_at = tokio::time::Instant::now();
    send(&sqs, "now", 0).await.unwrap();
    assert_eq!(polling.await.unwrap(), (1, sent_at));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_deleted_comes_again_after_its_visibility() {
    let sqs = with_queue(json!({ "VisibilityTimeout": "30" })).await;
    send(&sqs, "again", 0).await.unwrap();
    let first = receive(&sqs, 0).await;
    assert!(receive(&sqs, 20).await.is_empty());
    let second = receive(&sqs, 20).await;
    assert_eq!(second[0]["Attributes"]["ApproximateReceiveCount"], "2");
    let stale = json!({ "QueueUrl": URL, "ReceiptHandle": first[0]["ReceiptHandle"] });
    sqs.call("DeleteMessage", stale).await.unwrap();
    assert_eq!(sqs.counts("work").unwrap().in_flight, 1);
    sqs.call("DeleteMessage", json!({ "QueueUrl": URL, "ReceiptHandle": second[0]["ReceiptHandle"] })).await.unwrap();
    assert_eq!(sqs.counts("work").unwrap(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn visibility_can_be_ended_and_stretched() {
    let sqs = with_queue(json!({})).await;
    send(&sqs, "x", 0).await.unwrap();
    let change = |message: &Value, seconds: u64| json!({ "QueueUrl": URL, "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": seconds });
    let first = receive(&sqs, 0).await.remove(0);
    sqs.call("ChangeMessageVisibility", change(&first, 0)).await.unwrap();
    let second = receive(&sqs, 0).await.remove(0);
    sqs.call("ChangeMessageVisibility", change(&second, 100)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert!(receive(&sqs, 0).await.is_empty());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(receive(&sqs, 0).await.len(), 1);
    assert_eq!(code(sqs.call("ChangeMessageVisibility", change(&second, 1)).await), "MessageNotInflight");
}

#[tokio::test(start_paused = true)]
async fn a_message_received_too_often_becomes_a_dead_letter() {
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": "2" });
    let sqs = with_queue(json!({ "VisibilityTimeout": "1", "RedrivePolicy": policy.to_string() })).await;
    sqs.call("CreateQueue", json!({ "QueueName": "dead" })).await.unwrap();
    send(&sqs, "poison", 0).await.unwrap();
    for _ in 0..2 {
        assert_eq!(receive(&sqs, 20).await.len(), 1);
    }
    assert!(receive(&sqs, 5).await.is_empty());
    assert_eq!((sqs.counts("work").unwrap(), sqs.counts("dead").unwrap().visible), (Counts::default(), 1));
}

#[tokio::test(start_paused = true)]
async fn what_sqs_refuses_is_refused_with_its_code() {
    let sqs = with_queue(json!({})).await;
    assert_eq!(code(send(&sqs, "x", 901).await), "InvalidParameterValueException");
    assert_eq!(code(send(&sqs, "", 0).await), "MissingRequiredParameterException");
    assert_eq!(code(send(&sqs, "\u{1}", 0).await), "InvalidMessageContents");
    assert_eq!(code(send(&sqs, &"x".repeat(1_048_577), 0).await), "InvalidParameterValueException");
    assert!(send(&sqs, &"x".repeat(1_048_576), 900).await.is_ok());
    let elsewhere = json!({ "QueueUrl": format!("{URL}-not"), "MessageBody": "x" });
    assert_eq!(code(sqs.call("SendMessage", elsewhere).await), "QueueDoesNotExist");
    assert_eq!(code(sqs.call("Sing", json!({})).await), "UnknownOperationException");
    let bad_handle = json!({ "QueueUrl": URL, "ReceiptHandle": "nonsense" });
    assert_eq!(code(sqs.call("DeleteMessage", bad_handle).await), "ReceiptHandleIsInvalid");
}

#[tokio::test(start_paused = true)]
async fn a_batch_tells_what_failed_for_each_entry() {
    let sqs = with_queue(json!({})).await;
    let entries = json!([{ "Id": "a", "MessageBody": "x" }, { "Id": "b", "MessageBody": "y", "DelaySeconds": 1000 }]);
    let output = sqs.call("SendMessageBatch", json!({ "QueueUrl": URL, "Entries": entries })).await.unwrap();
    assert_eq!((&output["Successful"][0]["Id"], &output["Failed"][0]["Id"]), (&json!("a"), &json!("b")));
    assert_eq!(output["Failed"][0]["Code"], "InvalidParameterValue");
    let eleven: Vec<_> = (0..11).map(|id| json!({ "Id": id.to_string(), "MessageBody": "x" })).collect();
    let too_many = sqs.call("SendMessageBatch", json!({ "QueueUrl": URL, "Entries": eleven })).await;
    assert_eq!(code(too_many), "TooManyEntriesInBatchRequest");
}

#[tokio::test(start_paused = true)]
async fn messages_survive_a_restart() {
    let sqs = with_queue(json!({ "VisibilityTimeout": "60" })).await;
    send(&sqs, "kept", 0).await.unwrap();
    let received = receive(&sqs, 0).await.remove(0);
    send(&sqs, "waiting", 0).await.unwrap();
    let again = Sqs::new(&context(), Some(sqs.snapshot()), "http://127.0.0.1:9999").unwrap();
    assert_eq!(again.counts("work").unwrap(), Counts { visible: 1, in_flight: 1, delayed: 0 });
    again.delete("work", received["ReceiptHandle"].as_str().unwrap()).unwrap();
    assert_eq!(again.counts("work").unwrap().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_remembers_how_often_it_was_received() {
    let policy = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": "2" });
    let sqs = with_queue(json!({ "VisibilityTimeout": "1", "RedrivePolicy": policy.to_string() })).await;
    sqs.call("CreateQueue", json!({ "QueueName": "dead" })).await.unwrap();
    send(&sqs, "poison", 0).await.unwrap();
    for _ in 0..2 {
        assert_eq!(receive(&sqs, 20).await.len(), 1);
    }
    assert!(receive(&sqs, 5).await.is_empty());
    let ask = json!({ "QueueUrl": URL.replace("work", "dead"), "AttributeNames": ["All"] });
    let letter = sqs.call("ReceiveMessage", ask).await.unwrap()["Messages"][0].clone();
    assert_eq!(letter["Attributes"]["ApproximateReceiveCount"], "3");
}

#[tokio::test(start_paused = true)]
async fn visibility_is_changed_after_it_ended_unless_someone_else_received_the_message() {
    let sqs = with_queue(json!({ "VisibilityTimeout": "30" })).await;
    send(&sqs, "x", 0).await.unwrap();
    let first = receive(&sqs, 0).await.remove(0);
    let hide = json!({ "QueueUrl": URL, "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 10 });
    tokio::time::sleep(Duration::from_secs(31)).await;
    sqs.call("ChangeMessageVisibility", hide.clone()).await.unwrap();
    assert!(receive(&sqs, 9).await.is_empty());
    assert_eq!(receive(&sqs, 20).await.len(), 1);
    assert_eq!(code(sqs.call("ChangeMessageVisibility", hide).await), "MessageNotInflight");
}

#[tokio::test(start_paused = true)]
async fn the_ids_of_a_batch_are_checked() {
    let sqs = with_queue(json!({})).await;
    let long = "x".repeat(81);
    for id in ["", "a b", "ä", long.as_str()] {
        let entries = json!([{ "Id": id, "MessageBody": "x" }]);
        let refused = sqs.call("SendMessageBatch", json!({ "QueueUrl": URL, "Entries": entries })).await;
        assert_eq!(code(refused), "InvalidBatchEntryId", "{id}");
    }
    assert_eq!(sqs.counts("work").unwrap(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn attributes_that_would_do_nothing_here_are_refused() {
    let sqs = with_queue(json!({})).await;
    for attributes in [json!({ "Policy": "{}" }), json!({ "SqsManagedSseEnabled": "false" })] {
        let refused = sqs.call("CreateQueue", json!({ "QueueName": "other", "Attributes": attributes })).await;
        assert_eq!(code(refused), "InvalidAttributeValue", "{attributes}");
    }
    let tagged = json!({ "QueueName": "tagged", "tags": { "a": "b" } });
    assert_eq!(code(sqs.call("CreateQueue", tagged).await), "UnsupportedOperation");
    for member in ["MessageDeduplicationId", "MessageSystemAttributes"] {
        let mut message = json!({ "QueueUrl": URL, "MessageBody": "x" });
        message[member] = json!("x");
        assert_eq!(code(sqs.call("SendMessage", message).await), "InvalidParameterValueException", "{member}");
    }
}
