//! Bugs planted in the functions' way to AWS: each makes the functions behave as if their code had it. A simulation
//! that does not find one would not find the real one either.

use serde_json::{Value, json};
use wharfinger_emulator::endpoint::wire::Call;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Plant {
    /// Nobody searches for a server before making one.
    ForgetTheSearch,
    /// A deployment that is under way counts as completed.
    TakeItAsCompleted,
    /// The sweep repairs no lost wake-up.
    RepairNothing,
    /// Users stay on the server.
    KeepUsers,
    /// Keys stay with their users.
    KeepKeys,
    /// A revision leaves out what others have mounted.
    DropMounts,
}

impl Plant {
    /// Those that some story of the first few shows.
    pub const SOON_FOUND: [Self; 4] = [Self::RepairNothing, Self::KeepUsers, Self::KeepKeys, Self::DropMounts];
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
            (Self::KeepUsers, _, "DeleteUser") | (Self::KeepKeys, _, "DeleteSshPublicKey") => {
                return answered(json!({}));
            }
            (Self::RepairNothing, "autostop", "SendMessage") => {
                return answered(json!({ "MessageId": "0", "MD5OfMessageBody": "0" }));
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

fn keep_last_mount(definition: &mut Value) {
    for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
        if let Some(points) = container["mountPoints"].as_array_mut() {
            points.drain(..points.len().saturating_sub(1));
        }
    }
}
