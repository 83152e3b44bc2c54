//! Bugs planted in the functions' way to AWS and back: each makes the functions behave as if their code had it. A
//! simulation that does not find one would not find the real one either.

mod change;

use std::time::Duration;

use serde_json::{Value, json};
use wharfinger_emulator::{endpoint::wire::Call, error::AwsError};

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
    /// The log of sessions is not looked at before a server is shut.
    DrainForNobody,
    /// An order to open is not kept for longer than a second.
    KeepBriefly,
    /// Orders about the power of servers are not read.
    ForgetOrders,
    /// What is recorded of a server that is put to sleep lacks its banner.
    OverlookTheBanner,
    /// Host keys that others gave a server are not noticed.
    OverlookHostKeys,
    /// A server is not deleted, and taken for one that is.
    LeaveItThere,
    /// The host key is logged.
    LogTheHostKey,
    /// A rollout does not lock its site.
    LockNothing,
    /// A rollout's verdict is not written down.
    ForgetTheVerdict,
    /// The sweep looks after open windows alone, not after rollouts.
    OverlookRollouts,
    /// A revision does not mount its site.
    MountNothing,
    /// A revision mounts another directory than its site's.
    MountAnother,
    /// Address blocks count as let in, and are not.
    LetNobodyIn,
    /// Users count as made, and are not.
    MakeNoUsers,
    /// A list fails where one of its records can't be read.
    FailAtTheUnreadable,
    /// A list ends before a record that can't be read.
    EndAtTheUnreadable,
    /// A refusal by AWS is unwrapped.
    UnwrapRefusals,
    /// Messages are reported as failed, though they were dealt with.
    ReportTheDone,
    /// The alarm on what is given up waits until it is more than a few.
    TolerateLetters,
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
            Self::ForgetTheSearch | Self::RetryBlindly => rules::ONE_SERVER,
            Self::TakeItAsCompleted => rules::VERDICT_IS_TRUE,
            Self::RepairNothing | Self::AcknowledgeEarly => rules::IN_TIME,
            Self::ClaimUnconditionally => rules::ONE_ROLLOUT,
            Self::ForgetTheRevision => rules::ONE_REVISION,
            Self::CountTwice => rules::ONCE,
            Self::DropMounts => rules::LOSSLESS,
            Self::KeepUsers | Self::KeepKeys => rules::REMOVED,
            Self::KeepRules => rules::CLOSED,
            Self::IgnoreMetrics | Self::StopAtOnce => rules::NOT_CUT,
            Self::DrainForNobody => rules::DRAINED,
            Self::KeepBriefly => rules::KEPT,
            Self::ForgetOrders => rules::WISHED,
            Self::OverlookTheBanner => rules::REBUILT,
            Self::OverlookHostKeys => rules::REBUILDABLE,
            Self::LeaveItThere => rules::ASLEEP,
            Self::LogTheHostKey => rules::SECRET,
            Self::LockNothing => rules::ONE_DEPLOYMENT,
            Self::ForgetTheVerdict | Self::OverlookRollouts => rules::VERDICT,
            Self::MountNothing | Self::MountAnother => rules::MOUNTED,
            Self::LetNobodyIn | Self::MakeNoUsers => rules::BROUGHT_ABOUT,
            Self::FailAtTheUnreadable | Self::EndAtTheUnreadable => rules::LISTS,
            Self::UnwrapRefusals => rules::NO_PANIC,
            Self::ReportTheDone => rules::GIVEN_UP,
            Self::TolerateLetters => rules::ALARMED,
        }
    }

    /// The stories that show the bug soonest.
    #[must_use]
    pub fn mix(self) -> Mix {
        let features = match self {
            Self::ForgetTheSearch | Self::RetryBlindly | Self::ForgetTheRevision | Self::AcknowledgeEarly => {
                vec![Feature::Deaths]
            }
            Self::ClaimUnconditionally | Self::CountTwice => vec![Feature::Doubles],
            Self::StopAtOnce => vec![Feature::LateStop],
            // Changes that are ready at once, and others that are heard of while these are rolled out.
            Self::LockNothing => vec![Feature::Marker],
            Self::FailAtTheUnreadable | Self::EndAtTheUnreadable => vec![Feature::StrangeRecord],
            Self::DrainForNobody
            | Self::KeepBriefly
            | Self::ForgetOrders
            | Self::OverlookTheBanner
            | Self::OverlookHostKeys
            | Self::LeaveItThere => vec![Feature::Sleep],
            _ => Vec::new(),
        };
        let hours = if matches!(self, Self::IgnoreMetrics | Self::StopAtOnce) { 2 } else { 1 };
        // Where AWS's moods show nothing of it, they only hide it.
        let storms = matches!(self, Self::RepairNothing | Self::AcknowledgeEarly | Self::ForgetTheRevision)
            || matches!(self, Self::OverlookRollouts | Self::TolerateLetters);
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
            (Self::ClaimUnconditionally | Self::LockNothing, "rollout", "TransactWriteItems") => {
                drop_claim_conditions(&mut call.input);
            }
            (Self::MakeNoUsers, _, "CreateUser") => {
                return answered(json!({ "ServerId": call.input["ServerId"], "UserName": call.input["UserName"] }));
            }
            (Self::LetNobodyIn, _, "AuthorizeSecurityGroupIngress") => return answered(json!({ "return": true })),
            (Self::ForgetTheVerdict, "rollout", "PutItem") if change::is_verdict(&call.input) => {
                return answered(json!({}));
            }
            (Self::MountNothing, "rollout", "RegisterTaskDefinition") => change::drop_own_mounts(&mut call.input),
            (Self::MountAnother, "rollout", "RegisterTaskDefinition") => change::mount_another(&mut call.input),
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
            (Self::DrainForNobody, "reconcile", "FilterLogEvents") => answer["events"] = json!([]),
            (Self::KeepBriefly, "reconcile" | "autostop", "GetItem" | "Query") => {
                for item in items(answer).filter(|item| item["intent"]["M"]["spec"]["M"].is_object()) {
                    item["intent"]["M"]["spec"]["M"]["manual_keep"] = json!({ "S": "1s" });
                }
            }
            (Self::ForgetOrders, "reconcile", "GetItem") => {
                for item in items(answer).filter(|item| item["order"]["M"].is_object()) {
                    item["order"] = json!({ "NULL": true });
                    let mirror = &mut item["intent"]["M"]["power"]["M"];
                    (mirror["power"], mirror["by"]) = (json!({ "S": "online" }), json!({ "S": "autostop" }));
                }
            }
            (Self::OverlookTheBanner, "reconcile", "DescribeServer") => {
                answer["Server"]["PreAuthenticationLoginBanner"] = Value::Null;
            }
            (Self::OverlookHostKeys, "reconcile", "ListHostKeys") => answer["HostKeys"] = json!([]),
            (Self::LeaveItThere, "reconcile", "ListServers") => answer["Servers"] = json!([]),
            (Self::CountTwice, "rollout", "GetItem") => {
                if let Some(item) = answer["Item"].as_object_mut() {
                    item.remove("seen");
                    // What came before the last rollout would not count either.
                    item.get_mut("window").and_then(|window| window["M"].as_object_mut()?.remove("covered_until"));
                }
            }
            // A deployment that is under way is waited for, so nobody must see it.
            (Self::TakeItAsCompleted | Self::LockNothing, "rollout", "DescribeServices") => {
                let services = answer["services"].as_array_mut().into_iter().flatten();
                for deployment in services.flat_map(|one| one["deployments"].as_array_mut().into_iter().flatten()) {
                    deployment["rolloutState"] = json!("COMPLETED");
                }
            }
            (Self::OverlookRollouts, "autostop", "GetItem") | (Self::LockNothing, "rollout", "GetItem") => {
                change::drop_lock(answer);
            }
            (Self::EndAtTheUnreadable, "api", "Query") => change::end_at_the_unreadable(answer),
            _ => {}
        }
    }

    /// Whether a function that got `answer` fails.
    pub(crate) fn fails_at(self, caller: &str, operation: &str, answer: &Value) -> bool {
        let is_list = (caller, operation) == ("api", "Query");
        self == Self::FailAtTheUnreadable && is_list && change::first_unreadable(answer).is_some()
    }

    /// What the caller makes of what AWS answers.
    ///
    /// # Panics
    /// When it takes for granted that AWS does what it is asked for.
    pub(crate) fn take(self, caller: &str, answer: Result<Value, AwsError>) -> Result<Value, AwsError> {
        if self == Self::UnwrapRefusals && caller == "reconcile" {
            return Ok(answer.expect("AWS does what it is asked for"));
        }
        answer
    }

    /// Whether a call whose answer is lost is simply made again.
    pub(crate) fn repeats(self, operation: &str) -> bool {
        self == Self::RetryBlindly && operation == "CreateServer"
    }

    /// What the function `binary` says of the messages of `event`, where that is not what became of them.
    pub(crate) fn says(self, binary: &str, event: &[u8]) -> Option<Value> {
        if self == Self::ReportTheDone && binary == "wharfinger-reconcile" {
            return Some(change::all_failed(event));
        }
        self.acknowledges(binary, event).then(|| json!({ "batchItemFailures": [] }))
    }

    /// How many messages in a queue of dead letters raise no alarm, where the template says `most`.
    pub(crate) fn tolerates(self, most: u64) -> u64 {
        if self == Self::TolerateLetters { most + 5 } else { most }
    }

    /// Whether the messages of `event` count as done, whatever the function `binary` says.
    fn acknowledges(self, binary: &str, event: &[u8]) -> bool {
        let of_changes = || String::from_utf8_lossy(event).contains("-changes\"");
        self == Self::AcknowledgeEarly && binary == "wharfinger-rollout" && of_changes()
    }
}

/// The items in an answer of DynamoDB.
fn items(answer: &mut Value) -> impl Iterator<Item = &mut Value> {
    let Value::Object(members) = answer else { return Vec::new().into_iter() };
    let found = members.iter_mut().flat_map(|(name, member)| match (name.as_str(), member) {
        ("Item", item) => vec![item],
        ("Items", Value::Array(items)) => items.iter_mut().collect(),
        _ => Vec::new(),
    });
    found.collect::<Vec<_>>().into_iter()
}

fn keep_last_mount(definition: &mut Value) {
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        if let Some(points) = container["mountPoints"].as_array_mut() {
            points.drain(..points.len().saturating_sub(1));
        }
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
