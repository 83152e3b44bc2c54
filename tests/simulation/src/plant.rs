//! Bugs planted in the functions' way to AWS and back: each makes the functions behave as if their code had it. A
//! simulation that does not find one would not find the real one either.

use std::time::Duration;

use serde_json::{Value, json};
use wharfinger_emulator::endpoint::wire::Call;

use crate::{
    rules,
    story::{Feature, Mix},
};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// Nobody searches for a server before making one.
    ForgetTheSearch,
    /// The making of a server is tried again without a look, where its answer was lost.
    RetryBlindly,
    /// Whoever wants a lease has it.
    ShareTheLease,
    /// A deployment that is under way counts as completed.
    TakeItAsCompleted,
    /// The sweep repairs no lost wake-up.
    RepairNothing,
    /// Messages of uploads are acknowledged, whatever became of them.
    AcknowledgeEarly,
    /// Whoever wants to claim a window does.
    ClaimUnconditionally,
    /// A rollout never finds the revision that was registered for it.
    ForgetTheRevision,
    /// A change that is delivered again counts again.
    CountTwice,
    /// A revision leaves out what others have mounted.
    DropMounts,
    /// Users stay on the server.
    KeepUsers,
    /// Keys stay with their users.
    KeepKeys,
    /// Rules that let clients in stay in their groups.
    KeepRules,
    /// Metrics and the log of sessions are not looked at.
    IgnoreMetrics,
    /// A server is not drained: clients can still log in, and nobody looks again before it is stopped.
    StopAtOnce,
    /// The host key is logged.
    LogTheHostKey,
}

/// What a plant makes of a call.
pub(crate) enum Altered {
    /// It is made, as it now is.
    Passes,
    /// It is not made.
    Answered(Value),
}

impl Plant {
    /// The rule that the bug breaks.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::ForgetTheSearch | Self::RetryBlindly | Self::ShareTheLease => rules::ONE_SERVER,
            Self::TakeItAsCompleted => rules::VERDICT_IS_TRUE,
            Self::RepairNothing | Self::AcknowledgeEarly => rules::IN_TIME,
            Self::ClaimUnconditionally => rules::ONE_ROLLOUT,
            Self::ForgetTheRevision => rules::ONE_REVISION,
            Self::CountTwice => rules::ONCE,
            Self::DropMounts => rules::LOSSLESS,
            Self::KeepUsers | Self::KeepKeys => rules::REMOVED,
            Self::KeepRules => rules::CLOSED,
            Self::IgnoreMetrics | Self::StopAtOnce => rules::NOT_CUT,
            Self::LogTheHostKey => rules::SECRET,
        }
    }

    /// The stories that show the bug soonest.
    #[must_use]
    pub fn mix(self) -> Mix {
        let features = match self {
            Self::ForgetTheSearch | Self::RetryBlindly | Self::ForgetTheRevision | Self::AcknowledgeEarly => {
                vec![Feature::Deaths]
            }
            Self::ShareTheLease | Self::ClaimUnconditionally | Self::CountTwice => vec![Feature::Doubles],
            Self::StopAtOnce => vec![Feature::LateStop],
            _ => Vec::new(),
        };
        let hours = if matches!(self, Self::IgnoreMetrics | Self::StopAtOnce) { 2 } else { 1 };
        // Where AWS's moods show nothing of it, they only hide it.
        let storms = matches!(self, Self::RepairNothing | Self::AcknowledgeEarly | Self::ForgetTheRevision);
        Mix { length: Duration::from_secs(hours * 3600), storms, features }
    }

    /// Alters a call of `caller`.
    pub(crate) fn alter(self, caller: &str, call: &mut Call) -> Altered {
        let answered = |answer: Value| Altered::Answered(answer);
        match (self, caller, call.operation.as_str()) {
            (Self::KeepUsers, _, "DeleteUser") | (Self::KeepKeys, _, "DeleteSshPublicKey") => {
                return answered(json!({}));
            }
            (Self::KeepRules | Self::StopAtOnce, _, "RevokeSecurityGroupIngress") => {
                return answered(json!({ "return": true }));
            }
            (Self::RepairNothing, "autostop", "SendMessage") => {
                return answered(json!({ "MessageId": "0", "MD5OfMessageBody": "0" }));
            }
            (Self::DropMounts, "rollout", "RegisterTaskDefinition") => keep_last_mount(&mut call.input),
            (Self::ShareTheLease, "reconcile", "UpdateItem") => drop_condition(&mut call.input, "SET lease_owner"),
            (Self::ClaimUnconditionally, "rollout", "TransactWriteItems") => drop_claim_conditions(&mut call.input),
            (Self::LogTheHostKey, "reconcile", "CreateServer") => {
                tracing::info!(target: "wharfinger_reconcile", request = %call.input, "making a server");
            }
            _ => {}
        }
        Altered::Passes
    }

    /// Alters the answer to a call of `caller`.
    pub(crate) fn alter_answer(self, caller: &str, operation: &str, answer: &mut Value) {
        match (self, caller, operation) {
            (Self::ForgetTheSearch, "reconcile", "ListServers") => answer["Servers"] = json!([]),
            (Self::ForgetTheRevision, "rollout", "ListTaskDefinitions") => answer["taskDefinitionArns"] = json!([]),
            (Self::IgnoreMetrics, _, "GetMetricData") | (Self::StopAtOnce, "reconcile", "GetMetricData") => {
                for result in answer["MetricDataResults"].as_array_mut().into_iter().flatten() {
                    (result["Values"], result["Timestamps"]) = (json!([]), json!([]));
                }
            }
            (Self::IgnoreMetrics | Self::StopAtOnce, "reconcile", "FilterLogEvents") => answer["events"] = json!([]),
            (Self::CountTwice, "rollout", "GetItem") => {
                if let Some(item) = answer["Item"].as_object_mut() {
                    item.remove("seen");
                }
            }
            (Self::TakeItAsCompleted, "rollout", "DescribeServices") => {
                let services = answer["services"].as_array_mut().into_iter().flatten();
                for deployment in services.flat_map(|one| one["deployments"].as_array_mut().into_iter().flatten()) {
                    deployment["rolloutState"] = json!("COMPLETED");
                }
            }
            _ => {}
        }
    }

    /// Whether a call whose answer is lost is simply made again.
    pub(crate) fn repeats(self, operation: &str) -> bool {
        self == Self::RetryBlindly && operation == "CreateServer"
    }

    /// Whether the messages of `event` count as done, whatever the function `binary` says.
    pub(crate) fn acknowledges(self, binary: &str, event: &[u8]) -> bool {
        let of_changes = || String::from_utf8_lossy(event).contains("-changes\"");
        self == Self::AcknowledgeEarly && binary == "wharfinger-rollout" && of_changes()
    }
}

fn keep_last_mount(definition: &mut Value) {
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        if let Some(points) = container["mountPoints"].as_array_mut() {
            points.drain(..points.len().saturating_sub(1));
        }
    }
}

/// Makes the update unconditional, if it begins so. Values that only the condition names would be refused.
fn drop_condition(update: &mut Value, begins: &str) {
    if update["UpdateExpression"].as_str().is_some_and(|text| text.starts_with(begins)) {
        update["ConditionExpression"] = json!("attribute_exists(pk) OR lease_until < :now");
    }
}

/// Takes the conditions from a transaction that begins a rollout: its items are put, and locked by it.
fn drop_claim_conditions(transaction: &mut Value) {
    let Some(items) = transaction["TransactItems"].as_array_mut() else { return };
    let begins = |item: &Value| item["Put"]["Item"]["rollout"]["M"].is_object();
    if items.iter().any(begins) {
        for put in items.iter_mut().filter_map(|item| item.get_mut("Put")?.as_object_mut()) {
            for member in ["ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"] {
                put.remove(member);
            }
        }
    }
}
