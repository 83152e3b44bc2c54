//! Bugs planted in the functions' way to AWS: each makes the functions behave as if their code had it. A simulation
//! that does not find one would not find the real one either.

use serde_json::{Value, json};
use wharfinger_emulator::endpoint::wire::Call;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// Nobody searches for a server before making one.
    ForgetTheSearch,
    /// The lease on a server is taken whether or not another has it.
    TakeAnyLease,
    /// A window is claimed whether or not it was claimed meanwhile.
    ClaimBlindly,
    /// Messages are acknowledged although they were not dealt with.
    AcknowledgeEarly,
    /// A deployment that is under way counts as completed.
    TakeItAsCompleted,
    /// No metric counts when a server seems idle.
    IgnoreMetrics,
    /// The sweep repairs no lost wake-up.
    RepairNothing,
    /// Users stay on the server.
    KeepUsers,
    /// Keys stay with their users.
    KeepKeys,
    /// Rules of withdrawn addresses stay.
    KeepRules,
    /// A revision leaves out what others have mounted.
    DropMounts,
    /// Nobody searches for the revision that an earlier invocation made.
    ForgetTheRevision,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ForgetTheSearch,
        Self::TakeAnyLease,
        Self::ClaimBlindly,
        Self::AcknowledgeEarly,
        Self::TakeItAsCompleted,
        Self::IgnoreMetrics,
        Self::RepairNothing,
        Self::KeepUsers,
        Self::KeepKeys,
        Self::KeepRules,
        Self::DropMounts,
        Self::ForgetTheRevision,
    ];
}

/// What a plant makes of a call.
pub(crate) enum Altered {
    /// It is made, as it now is.
    Passes,
    /// It is not made.
    Answered(Value),
}

impl Plant {
    /// Alters a call of `caller`.
    pub(crate) fn alter(self, caller: &str, call: &mut Call) -> Altered {
        let answered = |answer: Value| Altered::Answered(answer);
        match (self, caller, call.operation.as_str()) {
            (Self::KeepUsers, _, "DeleteUser")
            | (Self::KeepKeys, _, "DeleteSshPublicKey")
            | (Self::KeepRules, _, "RevokeSecurityGroupIngress") => return answered(json!({ "Return": true })),
            (Self::RepairNothing, "autostop", "SendMessage") => {
                return answered(json!({ "MessageId": "0", "MD5OfMessageBody": "0" }));
            }
            (Self::TakeAnyLease, "reconcile", "UpdateItem") if takes_lease(&call.input) => {
                drop_condition(&mut call.input)
            }
            (Self::ClaimBlindly, "rollout", "TransactWriteItems") => {
                for item in call.input["TransactItems"].as_array_mut().into_iter().flatten() {
                    item.as_object_mut().into_iter().flat_map(|item| item.values_mut()).for_each(drop_condition);
                }
            }
            (Self::DropMounts, "rollout", "RegisterTaskDefinition") => keep_last_mount(&mut call.input),
            _ => {}
        }
        Altered::Passes
    }

    /// Alters the answer to a call of `caller`.
    pub(crate) fn alter_answer(self, caller: &str, operation: &str, answer: &mut Value) {
        match (self, caller, operation) {
            (Self::ForgetTheSearch, "reconcile", "ListServers") => answer["Servers"] = json!([]),
            (Self::ForgetTheRevision, "rollout", "ListTaskDefinitions") => answer["taskDefinitionArns"] = json!([]),
            (Self::IgnoreMetrics, _, "GetMetricData") => {
                for result in answer["MetricDataResults"].as_array_mut().into_iter().flatten() {
                    result["Timestamps"] = json!([]);
                    result["Values"] = json!([]);
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
}

/// Drops a condition, and the names and values that nothing else in the call uses, which DynamoDB would refuse.
fn drop_condition(write: &mut Value) {
    let Some(members) = write.as_object_mut() else { return };
    if members.remove("ConditionExpression").is_none() {
        return;
    }
    let used = members.get("UpdateExpression").and_then(Value::as_str).unwrap_or_default().to_owned();
    let words: Vec<&str> = used.split(|c: char| !(c.is_alphanumeric() || "_:#".contains(c))).collect();
    for member in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        let Some(names) = members.get_mut(member).and_then(Value::as_object_mut) else { continue };
        names.retain(|name, _| words.contains(&name.as_str()));
        if names.is_empty() {
            members.remove(member);
        }
    }
}

fn takes_lease(update: &Value) -> bool {
    update["UpdateExpression"].as_str().is_some_and(|update| update.contains("lease_until = "))
}

fn keep_last_mount(definition: &mut Value) {
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        if let Some(points) = container["mountPoints"].as_array_mut() {
            points.drain(..points.len().saturating_sub(1));
        }
    }
}
