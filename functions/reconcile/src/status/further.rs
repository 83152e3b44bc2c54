//! What is told of further servers with our tags.

use wharfinger_decisions::condition::{Condition, Severity};

use super::Findings;
use crate::search::Others;

/// The code of the condition that AWS has another server that was made for our record.
pub(crate) const SECOND_SERVER: &str = "second_server";

/// The code of the condition that AWS has a server with our tags that was not made for our record.
const UNPROVEN_SERVER: &str = "unproven_server";

impl Findings<'_> {
    /// Reports further servers with our tags. Between two searches the last result stands.
    pub(super) fn further_servers(&self) -> Vec<Condition> {
        let Some(Ok(Others { ours, unproven })) = &self.reached.observation.others else {
            let before = self.item.record.status.conditions.iter();
            let stands = |known: &&Condition| [SECOND_SERVER, UNPROVEN_SERVER].contains(&&*known.code);
            return before.filter(stands).cloned().collect();
        };
        let condition = |code: &'static str, severity, message, remedy: &str| Condition {
            code: code.into(),
            severity,
            message,
            remedy: remedy.into(),
            since: self.now,
        };
        let second = (!ours.is_empty()).then(|| {
            let message = format!("AWS has another server with our tags, {}, which is billed too", ours.join(", "));
            let remedy = "look whether anybody uses it, and delete it in Transfer Family";
            condition(SECOND_SERVER, Severity::Error, message, remedy)
        });
        let unproven = (!unproven.is_empty()).then(|| {
            let message = format!(
                "AWS has a server that is tagged as this one and was not made for it, {}: it gets none of its users and \
                 addresses",
                unproven.join(", ")
            );
            let remedy = "find out who tagged it so; delete it in Transfer Family, or take its tag wharfinger:server off";
            condition(UNPROVEN_SERVER, Severity::Warning, message, remedy)
        });
        second.into_iter().chain(unproven).collect()
    }
}
