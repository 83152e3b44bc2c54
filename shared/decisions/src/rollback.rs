//! What a rollback goes back to: the last good revision.

use std::collections::BTreeSet;

use crate::rollout::{Rollout, State};

/// What can't be rolled back, in sentences.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWayBack {
    /// It is not over.
    #[error("the rollout is under way: DELETE it to break it off")]
    UnderWay,
    /// Nothing of it runs.
    #[error("nothing of the rollout runs ({0}), so there is nothing to go back from")]
    NothingRuns(String),
    /// A later one runs.
    #[error("a later rollout runs, {0}: roll that one back")]
    Later(String),
    /// What ran before is not known.
    #[error("no good revision is known from before the rollout")]
    NothingBefore,
}

/// The revision that a rollback of `id` goes back to. `history` are the site's rollouts, the latest first.
///
/// It is what the service ran before the rollout, be it ours or somebody else's; where that was the revision of a rollout
/// which did not succeed, it is what ran before that one.
///
/// # Errors
/// Why there is no way back.
pub fn last_good(history: &[Rollout], id: &str) -> Result<String, NoWayBack> {
    let Some(place) = history.iter().position(|rollout| rollout.id == id) else { return Err(NoWayBack::NothingBefore) };
    let undone = &history[place];
    if !undone.state.is_final() {
        return Err(NoWayBack::UnderWay);
    }
    let runs = |rollout: &Rollout| match rollout.state {
        State::Succeeded => true,
        State::Failed => rollout.deployment_id.is_some(),
        _ => false,
    };
    if !runs(undone) {
        return Err(NoWayBack::NothingRuns(undone.reason.clone()));
    }
    if let Some(later) = history[..place].iter().find(|rollout| runs(rollout)) {
        return Err(NoWayBack::Later(later.id.clone()));
    }
    good_before(&history[place..], undone).ok_or(NoWayBack::NothingBefore)
}

/// The revision that the service goes back to from `rollout`: what ran before it, unless that is known to be bad.
/// `history` are the site's rollouts, the latest first.
#[must_use]
pub fn good_before(history: &[Rollout], rollout: &Rollout) -> Option<String> {
    let mut seen = BTreeSet::new();
    let mut good = rollout.task_definition.before.clone();
    while let Some(revision) = good.clone().filter(|revision| seen.insert(revision.clone())) {
        let mut makers = history.iter().filter(|other| other.id < rollout.id);
        match makers.find(|maker| maker.task_definition.after.as_ref() == Some(&revision)) {
            Some(maker) if maker.state != State::Succeeded => good = maker.task_definition.before.clone(),
            _ => return Some(revision),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rollout(id: &str, state: State, before: Option<u8>, after: Option<u8>) -> Rollout {
        let window = crate::window::Window::default();
        serde_json::from_value(json!({"id": id, "site": "blog", "state": state, "reason": "because",
            "cause": window.cause(String::new()), "started_at": "2026-01-01T00:00:00Z", "deployment_id": "ecs-svc/1",
            "task_definition": {"before": before.map(|n| format!("web:{n}")), "after": after.map(|n| format!("web:{n}"))}}))
        .unwrap()
    }

    #[test]
    fn a_rollback_goes_back_to_what_ran_before() {
        let history =
            [rollout("b", State::Succeeded, Some(7), Some(8)), rollout("a", State::Succeeded, Some(1), Some(2))];
        assert_eq!(last_good(&history, "b").unwrap(), "web:7", "others may have deployed in between");
        assert_eq!(last_good(&history, "a"), Err(NoWayBack::Later("b".into())));
        assert_eq!(last_good(&history, "x"), Err(NoWayBack::NothingBefore));
    }

    #[test]
    fn what_failed_is_nothing_to_go_back_to() {
        let history = [
            rollout("c", State::Failed, Some(3), Some(4)),
            rollout("b", State::Failed, Some(2), Some(3)),
            rollout("a", State::Succeeded, Some(1), Some(2)),
        ];
        assert_eq!(last_good(&history, "c").unwrap(), "web:2");
        let first = [rollout("a", State::Succeeded, None, Some(2))];
        assert_eq!(last_good(&first, "a"), Err(NoWayBack::NothingBefore));
        let circle = [rollout("b", State::Failed, Some(2), Some(3)), rollout("a", State::Failed, Some(2), Some(2))];
        assert_eq!(last_good(&circle, "b"), Err(NoWayBack::NothingBefore));
    }

    #[test]
    fn what_does_not_run_is_nothing_to_go_back_from() {
        for state in [State::RolledBack, State::Superseded] {
            let history = [rollout("b", state, Some(2), Some(3)), rollout("a", State::Succeeded, Some(1), Some(2))];
            assert!(matches!(last_good(&history, "b"), Err(NoWayBack::NothingRuns(_))));
            assert_eq!(last_good(&history, "a").unwrap(), "web:1");
        }
        let running = [rollout("a", State::Deploying, Some(1), Some(2))];
        assert_eq!(last_good(&running, "a"), Err(NoWayBack::UnderWay));
    }
}
