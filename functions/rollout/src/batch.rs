//! Messages as the two queues bring them, told apart by their bodies. One that can't be read is reported as failed, so
//! that it ends in the dead-letter queue and not in nothing. Events of uploads are tried for days before they do: until
//! then, those that came often are told as stuck.

use std::collections::{BTreeMap, BTreeSet};

use aws_lambda_events::event::sqs::SqsEvent;
use jiff::Timestamp;
use serde_json::Value;
use wharfinger_decisions::{
    messages::SiteTick,
    names::SiteName,
    sftp_event::{self, SftpEvent},
    site::SiteSpec,
};

/// SQS's id of a message.
pub(crate) type MessageId = String;

/// After how many deliveries a message that fails once more is stuck, and no passing throttle.
const STUCK_AFTER: u32 = 5;

/// A batch, sorted by what its messages are about.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The sites to look at, and who asks for it.
    pub(crate) awake: BTreeMap<SiteName, WakeUp>,
    /// What SFTP users did.
    pub(crate) uploads: Vec<(MessageId, SftpEvent)>,
    /// The ARNs of services that a deployment has ended on.
    pub(crate) deployments: Vec<(MessageId, String)>,
    /// The messages that are to come again.
    pub(crate) failed: BTreeSet<MessageId>,
    /// The messages that have come so often that they are stuck if they fail again.
    worn: BTreeSet<MessageId>,
}

/// Why a site is looked at.
#[derive(Debug, Default)]
pub(crate) struct WakeUp {
    /// The messages that ask for it.
    pub(crate) messages: Vec<MessageId>,
    /// The site, where an event of ECS asks for it: a deployment on its service has ended.
    pub(crate) ended_on: Option<SiteSpec>,
}

enum Message {
    Tick(SiteName),
    Upload(SftpEvent),
    Deployment(String),
}

impl Batch {
    /// Reads a batch that came at `now`.
    #[must_use]
    pub(crate) fn read(event: SqsEvent, now: Timestamp) -> Self {
        let mut batch = Self::default();
        for record in event.records {
            let id = record.message_id.unwrap_or_default();
            let deliveries = record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
            if deliveries.is_some_and(|count: u32| count >= STUCK_AFTER) {
                batch.worn.insert(id.clone());
            }
            match read(record.body.as_deref().unwrap_or_default(), now) {
                Ok(Message::Tick(site)) => batch.awake.entry(site).or_default().messages.push(id),
                Ok(Message::Upload(event)) => batch.uploads.push((id, event)),
                Ok(Message::Deployment(service)) => batch.deployments.push((id, service)),
                Err(reason) => {
                    tracing::error!(
                        message_id = id,
                        reason,
                        "the message can't be read: it ends among the dead letters"
                    );
                    batch.failed.insert(id);
                }
            }
        }
        batch
    }

    /// How many messages have failed again and again.
    #[must_use]
    pub(crate) fn stuck(&self) -> usize {
        self.failed.intersection(&self.worn).count()
    }

    /// Marks what the batch brings of uploads and deployments as failed.
    pub(crate) fn put_back(&mut self) {
        self.failed.extend(self.uploads.iter().map(|(id, _)| id.clone()));
        self.failed.extend(self.deployments.iter().map(|(id, _)| id.clone()));
    }
}

fn read(body: &str, now: Timestamp) -> Result<Message, String> {
    let body: Value = serde_json::from_str(body).map_err(|error| format!("it is no JSON: {error}"))?;
    if let Some(event) = sftp_event::read(&body, now) {
        return Ok(Message::Upload(event));
    }
    if body["detail-type"] == "ECS Deployment State Change" {
        let service = body["resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let service = service.into_iter().find(|arn| arn.contains(":service/"));
        return service.map(|arn| Message::Deployment(arn.to_owned())).ok_or_else(|| "it names no service".to_owned());
    }
    serde_json::from_value::<SiteTick>(body)
        .map(|tick| Message::Tick(tick.site))
        .map_err(|error| format!("it is neither an event of Transfer Family or ECS nor a tick: {error}"))
}

/// Whether `arn` is the service `service` of `cluster`. ARNs of the old form don't name the cluster.
#[must_use]
pub(crate) fn is_service(arn: &str, cluster: &str, service: &str) -> bool {
    let Some((_, path)) = arn.split_once(":service/") else { return false };
    match path.split_once('/') {
        Some((its_cluster, its_name)) => its_cluster == cluster && its_name == service,
        None => path == service,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(bodies: &[&str]) -> Batch {
        let records: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(number, body)| serde_json::json!({"messageId": number.to_string(), "body": body}))
            .collect();
        let event: SqsEvent = serde_json::from_value(serde_json::json!({"Records": records})).unwrap();
        Batch::read(event, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn messages_are_told_apart_by_their_bodies() {
        let batch = batch(&[
            r#"{"site":"blog"}"#,
            r#"{"source":"aws.transfer","detail-type":"SFTP Server File Upload Completed","detail":{}}"#,
            r#"{"source":"aws.ecs","detail-type":"ECS Deployment State Change","resources":["arn:aws:ecs:us-east-1:1:service/local/web"],"detail":{}}"#,
        ]);
        assert_eq!((batch.awake.len(), batch.uploads.len(), batch.deployments.len()), (1, 1, 1));
        assert!(batch.failed.is_empty());
    }

    #[test]
    fn what_can_t_be_read_is_reported_and_nothing_else() {
        let batch = batch(&[
            "{",
            "[]",
            "{}",
            r#"{"site":5}"#,
            r#"{"detail-type":"ECS Deployment State Change"}"#,
            r#"{"site":"blog"}"#,
        ]);
        assert_eq!(batch.failed.into_iter().collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
        assert_eq!(batch.awake.len(), 1);
    }

    #[test]
    fn a_message_that_fails_again_and_again_is_stuck() {
        let record = |id: &str, deliveries: &str| {
            let attributes = serde_json::json!({"ApproximateReceiveCount": deliveries});
            serde_json::json!({"messageId": id, "body": r#"{"site":"blog"}"#, "attributes": attributes})
        };
        let records = [record("new", "1"), record("old", "5"), record("done", "9")];
        let event = serde_json::from_value(serde_json::json!({"Records": records})).unwrap();
        let mut batch = Batch::read(event, Timestamp::UNIX_EPOCH);
        assert_eq!(batch.stuck(), 0);
        batch.failed.extend(["new".into(), "old".into()]);
        assert_eq!(batch.stuck(), 1);
    }

    #[test]
    fn a_service_is_known_by_its_arn_old_or_new() {
        assert!(is_service("arn:aws:ecs:us-east-1:1:service/local/web", "local", "web"));
        assert!(is_service("arn:aws:ecs:us-east-1:1:service/web", "local", "web"));
        assert!(!is_service("arn:aws:ecs:us-east-1:1:service/other/web", "local", "web"));
        assert!(!is_service("arn:aws:ecs:us-east-1:1:service/local/web2", "local", "web"));
    }
}
