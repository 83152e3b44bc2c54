//! AWS's operations on queues: their input checked as SQS does, their output in its shape.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    AwsError, Receive, Sqs, checksum, invalid_value, out_of_range,
    queue::{Message, Queue},
    queue_arn, queue_name,
};
use crate::{ids::ACCOUNT, input::given, page::page, query_code::query_code};

impl Sqs {
    pub(super) async fn operate(&self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        match operation {
            "SendMessage" => self.send_message(queue_of(input)?, input),
            "SendMessageBatch" => self.batch(input, |queue, entry| self.send_message(queue, entry)),
            "ReceiveMessage" => self.receive_message(input).await,
            "DeleteMessage" => self.delete_message(queue_of(input)?, input),
            "ChangeMessageVisibility" => self.change_message_visibility(queue_of(input)?, input),
            "CreateQueue" => self.create_queue(input),
            "GetQueueAttributes" => self.get_queue_attributes(input),
            "ListQueues" => self.list_queues(input),
            other => Err(AwsError::unknown_operation("SQS", other)),
        }
    }

    fn send_message(&self, queue: &str, input: &Value) -> Result<Value, AwsError> {
        if let Some(member) = given(input, &["MessageDeduplicationId", "MessageSystemAttributes"]) {
            return Err(invalid_value(format!(
                "The request includes a parameter that this queue does not take: {member}."
            )));
        }
        let body = input["MessageBody"].as_str().unwrap_or_default();
        let attributes = input["MessageAttributes"].as_object().cloned().unwrap_or_default();
        let delay = number(input, "DelaySeconds", 900)?;
        let attributes_sum = checksum::of_attributes(&attributes);
        let id = self.send_with(queue, body, attributes, delay)?;
        let mut output = json!({ "MessageId": id, "MD5OfMessageBody": checksum::of_body(body) });
        if let Some(sum) = attributes_sum {
            output["MD5OfMessageAttributes"] = sum.into();
        }
        Ok(output)
    }

    async fn receive_message(&self, input: &Value) -> Result<Value, AwsError> {
        let queue = queue_of(input)?;
        let most = number(input, "MaxNumberOfMessages", 10)?.unwrap_or(1);
        if most == 0 {
            return Err(out_of_range("MaxNumberOfMessages", most, "Must be between 1 and 10, if provided"));
        }
        let own_wait = self.with(queue, |queue| Ok(queue.wait_seconds))?;
        let receive = Receive {
            most: usize::try_from(most).expect("at most 10"),
            most_bytes: usize::MAX,
            wait: Duration::from_secs(number(input, "WaitTimeSeconds", 20)?.unwrap_or(own_wait)),
            visibility_seconds: number(input, "VisibilityTimeout", 43_200)?,
        };
        let messages = self.receive(queue, receive).await?;
        if messages.is_empty() {
            return Ok(json!({}));
        }
        let wanted = names(&input["MessageSystemAttributeNames"]).chain(names(&input["AttributeNames"])).collect();
        let wanted_own = names(&input["MessageAttributeNames"]).collect();
        let shown = messages.iter().map(|message| show_message(message, &wanted, &wanted_own));
        Ok(json!({ "Messages": shown.collect::<Vec<_>>() }))
    }

    fn delete_message(&self, queue: &str, input: &Value) -> Result<Value, AwsError> {
        self.delete(queue, text(input, "ReceiptHandle")?).map(|()| json!({}))
    }

    fn change_message_visibility(&self, queue: &str, input: &Value) -> Result<Value, AwsError> {
        let seconds = number(input, "VisibilityTimeout", 43_200)?.unwrap_or(0);
        self.change_visibility(queue, text(input, "ReceiptHandle")?, seconds).map(|()| json!({}))
    }

    /// Does `act` for each entry: what failed is told for each, apart from what is wrong with the batch itself.
    fn batch(&self, input: &Value, act: impl Fn(&str, &Value) -> Result<Value, AwsError>) -> Result<Value, AwsError> {
        let queue = queue_of(input)?;
        self.with(queue, |_| Ok(()))?;
        let entries = input["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
        check_batch(entries)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            match act(queue, entry) {
                Ok(mut output) => {
                    output["Id"] = entry["Id"].clone();
                    successful.push(output);
                }
                Err(error) => failed.push(json!({
                    "Id": entry["Id"], "SenderFault": true,
                    "Code": query_code("sqs", &error.code), "Message": error.message,
                })),
            }
        }
        Ok(json!({ "Successful": successful, "Failed": failed }))
    }

    fn create_queue(&self, input: &Value) -> Result<Value, AwsError> {
        let name = text(input, "QueueName")?;
        if input["tags"].as_object().is_some_and(|tags| !tags.is_empty()) {
            return Err(AwsError::client("UnsupportedOperation", "This region keeps no tags of queues."));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.len() > 80 || !name.chars().all(allowed) {
            let rule = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
            return Err(invalid_value(rule));
        }
        let mut wanted = Queue::new(self.now_ms());
        set_attributes(&mut wanted, &input["Attributes"])?;
        let mut queues = self.lock();
        match queues.get(name) {
            Some(present) if attributes(present, name) != attributes(&wanted, name) => Err(AwsError::client(
                "QueueNameExists",
                "A queue already exists with the same name and a different value for an attribute.",
            )),
            Some(_) => Ok(json!({ "QueueUrl": self.url(name) })),
            None => {
                queues.insert(name.to_owned(), wanted);
                Ok(json!({ "QueueUrl": self.url(name) }))
            }
        }
    }

    fn get_queue_attributes(&self, input: &Value) -> Result<Value, AwsError> {
        let url = queue_of(input)?;
        let now_ms = self.now_ms();
        let mut all = self.with(url, |queue| {
            let mut all = attributes(queue, queue_name(url));
            let counts = queue.counts(now_ms);
            all.insert("ApproximateNumberOfMessages".to_owned(), counts.visible.to_string().into());
            all.insert("ApproximateNumberOfMessagesNotVisible".to_owned(), counts.in_flight.to_string().into());
            all.insert("ApproximateNumberOfMessagesDelayed".to_owned(), counts.delayed.to_string().into());
            all.insert("CreatedTimestamp".to_owned(), (queue.created_ms / 1000).to_string().into());
            Ok(all)
        })?;
        let wanted: BTreeSet<&str> = names(&input["AttributeNames"]).collect();
        all.retain(|name, _| wanted.contains("All") || wanted.contains(name.as_str()));
        Ok(if all.is_empty() { json!({}) } else { json!({ "Attributes": all }) })
    }

    fn list_queues(&self, input: &Value) -> Result<Value, AwsError> {
        let prefix = input["QueueNamePrefix"].as_str().unwrap_or_default();
        let most = number(input, "MaxResults", 1000)?.and_then(|most| usize::try_from(most).ok()).unwrap_or(1000);
        let queues = self.lock();
        let named = queues.keys().filter(|name| name.starts_with(prefix)).map(|name| (name.clone(), self.url(name)));
        let page = page(named, input["NextToken"].as_str(), most)
            .ok_or_else(|| invalid_value("Invalid or expired next token."))?;
        Ok(match page.next {
            Some(next) => json!({ "QueueUrls": page.items, "NextToken": next }),
            None => json!({ "QueueUrls": page.items }),
        })
    }
}

fn queue_of(input: &Value) -> Result<&str, AwsError> {
    text(input, "QueueUrl")
}

fn text<'a>(input: &'a Value, member: &str) -> Result<&'a str, AwsError> {
    input[member].as_str().filter(|text| !text.is_empty()).ok_or_else(|| {
        let message = format!("The request must contain the parameter {member}.");
        AwsError::client("MissingRequiredParameterException", message)
    })
}

fn number(input: &Value, member: &str, most: u64) -> Result<Option<u64>, AwsError> {
    match &input[member] {
        Value::Null => Ok(None),
        value => match value.as_u64().filter(|number| *number <= most) {
            Some(number) => Ok(Some(number)),
            None => Err(out_of_range(member, value, &format!("{member} must be >= 0 and <= {most}"))),
        },
    }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn check_batch(entries: &[Value]) -> Result<(), AwsError> {
    let ids: BTreeSet<_> = entries.iter().map(|entry| entry["Id"].as_str().unwrap_or_default()).collect();
    let allowed = |id: &&str| {
        (1..=80).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let bytes: usize = entries.iter().map(|entry| entry["MessageBody"].as_str().map_or(0, str::len)).sum();
    let problem = match entries.len() {
        0 => ("EmptyBatchRequest", "There should be at least one entry in the request."),
        11.. => ("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10."),
        count if ids.len() < count => ("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id."),
        _ if !ids.iter().all(allowed) => (
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
             letters long.",
        ),
        _ if bytes > 1_048_576 => ("BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes."),
        _ => return Ok(()),
    };
    Err(AwsError::client(problem.0, problem.1))
}

fn show_message(message: &Message, wanted: &BTreeSet<&str>, wanted_own: &BTreeSet<&str>) -> Value {
    let mut shown = json!({
        "MessageId": message.id,
        "ReceiptHandle": message.receipt_handle,
        "MD5OfBody": checksum::of_body(&message.body),
        "Body": message.body,
    });
    let mut system = message.system_attributes();
    system.retain(|name, _| wanted.contains("All") || wanted.contains(name.as_str()));
    if !system.is_empty() {
        shown["Attributes"] = system.into();
    }
    let mut own = message.attributes.clone();
    own.retain(|name, _| wanted_own.iter().any(|wanted| attribute_matches(wanted, name)));
    if let Some(sum) = checksum::of_attributes(&own) {
        shown["MD5OfMessageAttributes"] = sum.into();
        shown["MessageAttributes"] = own.into();
    }
    shown
}

fn attribute_matches(wanted: &str, name: &str) -> bool {
    wanted == "All" || wanted == name || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
}

impl Message {
    /// The attributes that SQS itself gives to a received message.
    #[must_use]
    pub fn system_attributes(&self) -> Map<String, Value> {
        let mut attributes = Map::new();
        let mut insert = |name: &str, value: String| attributes.insert(name.to_owned(), Value::String(value));
        insert("ApproximateReceiveCount", self.receive_count.to_string());
        insert("SentTimestamp", self.sent_ms.to_string());
        insert("SenderId", ACCOUNT.to_owned());
        insert("ApproximateFirstReceiveTimestamp", self.first_received_ms.unwrap_or(self.sent_ms).to_string());
        if let Some(source) = &self.dead_letter_of {
            insert("DeadLetterQueueSourceArn", source.clone());
        }
        attributes
    }

    /// The MD5 sum of its body.
    #[must_use]
    pub fn body_sum(&self) -> String {
        checksum::of_body(&self.body)
    }
}

fn attributes(queue: &Queue, name: &str) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut insert = |name: &str, value: String| attributes.insert(name.to_owned(), Value::String(value));
    insert("QueueArn", queue_arn(name));
    insert("DelaySeconds", queue.delay_seconds.to_string());
    insert("MaximumMessageSize", queue.maximum_bytes.to_string());
    insert("MessageRetentionPeriod", queue.retention_seconds.to_string());
    insert("ReceiveMessageWaitTimeSeconds", queue.wait_seconds.to_string());
    insert("VisibilityTimeout", queue.visibility_seconds.to_string());
    insert("SqsManagedSseEnabled", "true".to_owned());
    if let Some(redrive) = &queue.redrive {
        insert("RedrivePolicy", json!(redrive).to_string());
    }
    attributes
}

fn set_attributes(queue: &mut Queue, attributes: &Value) -> Result<(), AwsError> {
    for (name, value) in attributes.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        let bad = || AwsError::client("InvalidAttributeValue", format!("Invalid value for the parameter {name}."));
        let within = |least: u64, most: u64| {
            text.parse::<u64>().ok().filter(|number| (least..=most).contains(number)).ok_or_else(bad)
        };
        match name.as_str() {
            "VisibilityTimeout" => queue.visibility_seconds = within(0, 43_200)?,
            "DelaySeconds" => queue.delay_seconds = within(0, 900)?,
            "MessageRetentionPeriod" => queue.retention_seconds = within(60, 1_209_600)?,
            "ReceiveMessageWaitTimeSeconds" => queue.wait_seconds = within(0, 20)?,
            "MaximumMessageSize" => {
                queue.maximum_bytes = usize::try_from(within(1024, 1_048_576)?).expect("at most 1 MiB");
            }
            "RedrivePolicy" if text.is_empty() => queue.redrive = None,
            "RedrivePolicy" => queue.redrive = Some(serde_json::from_str(text).map_err(|_| bad())?),
            "SqsManagedSseEnabled" if text == "true" => {}
            "Policy" if text.is_empty() => {}
            // A policy would admit or deny somebody, and a queue without encryption would differ: neither does here.
            "SqsManagedSseEnabled" | "Policy" => return Err(bad()),
            other => return Err(AwsError::client("InvalidAttributeName", format!("Unknown Attribute {other}."))),
        }
    }
    Ok(())
}
