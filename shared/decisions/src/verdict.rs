//! The verdict on a rollout's deployment, from the service as it is now.
//!
//! Success is only: our deployment is the service's PRIMARY one, it is COMPLETED, and it runs our revision. A COMPLETED
//! alone means nothing: a rollback completes too.

use jiff::{SignedDuration, Timestamp};

use crate::{
    duration::describe,
    rollout::{Rollout, State},
};

/// How long a deployment may go on without a verdict. Without the circuit breaker ECS never gives up, and a site whose
/// rollout never ends would never have another.
pub const LONGEST_DEPLOYMENT: SignedDuration = SignedDuration::from_hours(1);

/// How long after the start a deployment that ECS does not list yet is not taken as gone: ECS is eventually consistent.
pub const LISTING_GRACE: SignedDuration = SignedDuration::from_secs(10);

/// An ECS service, as far as a verdict needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its ARN.
    pub arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The revision that it is to run; absent where another controller decides.
    pub task_definition: Option<String>,
    /// The deployment controller: `ECS` where absent.
    pub controller: Option<String>,
    /// Whether the circuit breaker goes back to the last good revision.
    pub rolls_back: bool,
    /// Its deployments.
    pub deployments: Vec<Deployment>,
}

/// A deployment of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// `ecs-svc/…`.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
    pub status: String,
    /// The revision that it brings.
    pub task_definition: String,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub rollout_state: Option<String>,
    /// ECS's sentence on it.
    pub rollout_reason: Option<String>,
    /// How many tasks it is to run.
    pub desired: i32,
    /// How many run.
    pub running: i32,
    /// How many failed to start.
    pub failed: i32,
}

/// A rollout's state, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// [`State::Deploying`] or a final state.
    pub state: State,
    /// The reason, as a sentence.
    pub reason: String,
}

impl Verdict {
    fn new(state: State, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into() }
    }
}

impl Deployment {
    fn is(&self, rollout_state: &str) -> bool {
        self.rollout_state.as_deref() == Some(rollout_state)
    }

    fn ecs_says(&self) -> String {
        self.rollout_reason.as_ref().map(|reason| format!(" (ECS says: {reason})")).unwrap_or_default()
    }
}

impl Service {
    /// The deployment that ECS brings forward.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }

    /// The deployment of `revision`, the PRIMARY one before others.
    #[must_use]
    pub fn deployment_of(&self, revision: &str) -> Option<&Deployment> {
        let brings = |deployment: &&Deployment| deployment.task_definition == revision;
        self.primary().filter(brings).or_else(|| self.deployments.iter().find(brings))
    }

    /// Why the service can't be rolled out, or `None` if it can.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        if self.status != "ACTIVE" {
            return Some(format!("the service is {}: create it again, then upload once more", self.status));
        }
        if let Some(controller) = self.controller.as_deref().filter(|controller| *controller != "ECS") {
            return Some(format!(
                "the service's deployments are made by {controller}: only rolling updates by ECS can be rolled out"
            ));
        }
        self.task_definition.is_none().then(|| "the service has no task definition".to_owned())
    }
}

/// Judges `rollout`, whose deployment was started at `since`, by its `service`, which is `None` if it no longer exists.
/// `since` can be long after the claim if ECS was busy, so the claim says nothing about the deployment's age.
#[must_use]
pub fn decide(rollout: &Rollout, since: Timestamp, service: Option<&Service>, now: Timestamp) -> Verdict {
    let Some(service) = service else {
        return Verdict::new(State::Failed, "the service was deleted during the rollout");
    };
    if service.status != "ACTIVE" {
        return Verdict::new(State::Failed, format!("the service became {} during the rollout", service.status));
    }
    let age = now.duration_since(since);
    let ours = |deployment: &&Deployment| Some(&deployment.id) == rollout.deployment_id.as_ref();
    // The primary first: an answer that lists an id twice still has one primary.
    let ours = service.primary().filter(ours).or_else(|| service.deployments.iter().find(ours));
    let verdict = match (ours, service.primary()) {
        (Some(ours), Some(primary)) if ours.id == primary.id => judge_primary(rollout, ours, service.rolls_back),
        (None, _) if age < LISTING_GRACE => Verdict::new(State::Deploying, "ECS has taken the deployment on"),
        (ours, Some(primary)) => judge_replaced(rollout, ours, primary),
        (_, None) => Verdict::new(State::Deploying, "the service has no primary deployment at the moment"),
    };
    if verdict.state == State::Deploying && age > LONGEST_DEPLOYMENT {
        return Verdict::new(
            State::Failed,
            format!(
                "no end after {}: {}. Look at the service's events in ECS, and switch its deployment circuit breaker on",
                describe(LONGEST_DEPLOYMENT),
                verdict.reason
            ),
        );
    }
    verdict
}

fn judge_primary(rollout: &Rollout, ours: &Deployment, rolls_back: bool) -> Verdict {
    if rollout.task_definition.after.as_ref() != Some(&ours.task_definition) {
        return Verdict::new(State::Superseded, format!("our deployment brings {} now", ours.task_definition));
    }
    if ours.is("COMPLETED") {
        return Verdict::new(State::Succeeded, format!("all {} tasks run the new revision", ours.desired));
    }
    if ours.is("FAILED") && rolls_back {
        return Verdict::new(State::Deploying, format!("the deployment failed, ECS is to go back{}", ours.ecs_says()));
    }
    if ours.is("FAILED") {
        let reason = format!("the new tasks did not come to run{}: see their stopped reason in ECS", ours.ecs_says());
        return Verdict::new(State::Failed, reason);
    }
    let failed = if ours.failed > 0 { format!(", {} failed to start", ours.failed) } else { String::new() };
    Verdict::new(State::Deploying, format!("{} of {} tasks run the new revision{failed}", ours.running, ours.desired))
}

fn judge_replaced(rollout: &Rollout, ours: Option<&Deployment>, primary: &Deployment) -> Verdict {
    let failed = ours.is_none_or(|ours| ours.is("FAILED"));
    let goes_back = Some(&primary.task_definition) == rollout.task_definition.before.as_ref();
    let said = ours.map(Deployment::ecs_says).unwrap_or_else(|| primary.ecs_says());
    if goes_back && failed {
        let reason = format!(
            "the new tasks did not come to run, and ECS went back to the revision before{said}; \
                 often the site's directory is missing on the file system: see the stopped tasks' reason in ECS"
        );
        return Verdict::new(State::RolledBack, reason);
    }
    if ours.is_some_and(|ours| ours.is("FAILED")) {
        return Verdict::new(State::Failed, format!("the new tasks did not come to run{said}"));
    }
    Verdict::new(
        State::Superseded,
        format!("deployment {} of {} took the service over", primary.id, primary.task_definition),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{names::SiteName, rollout::Revisions, window::Window};

    const OURS: &str = "ecs-svc/1";

    fn rollout() -> Rollout {
        Rollout {
            id: "id".into(),
            site: SiteName::parse("blog").unwrap(),
            state: State::Deploying,
            reason: String::new(),
            cause: Window::default().cause(String::new()),
            task_definition: Revisions { before: Some("web:1".into()), after: Some("web:2".into()) },
            deployment_id: Some(OURS.into()),
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
        }
    }

    fn deployment(id: &str, status: &str, revision: &str, state: &str) -> Deployment {
        Deployment {
            id: id.into(),
            status: status.into(),
            task_definition: revision.into(),
            rollout_state: (!state.is_empty()).then(|| state.into()),
            ..Deployment::default()
        }
    }

    fn judge(deployments: Vec<Deployment>, seconds: i64) -> State {
        let service = Service { status: "ACTIVE".into(), deployments, ..Service::default() };
        decide(&rollout(), Timestamp::UNIX_EPOCH, Some(&service), Timestamp::from_second(seconds).unwrap()).state
    }

    #[test]
    fn only_our_completed_primary_deployment_is_success() {
        assert_eq!(judge(vec![deployment(OURS, "PRIMARY", "web:2", "COMPLETED")], 60), State::Succeeded);
        assert_eq!(judge(vec![deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS")], 60), State::Deploying);
        assert_eq!(judge(vec![deployment(OURS, "PRIMARY", "web:2", "FAILED")], 60), State::Failed);
    }

    #[test]
    fn a_completed_rollback_is_no_success() {
        let back = deployment("ecs-svc/2", "PRIMARY", "web:1", "COMPLETED");
        assert_eq!(judge(vec![back.clone()], 60), State::RolledBack);
        assert_eq!(judge(vec![back, deployment(OURS, "ACTIVE", "web:2", "FAILED")], 60), State::RolledBack);
    }

    #[test]
    fn another_deployment_supersedes_ours() {
        let other = deployment("ecs-svc/2", "PRIMARY", "web:9", "IN_PROGRESS");
        assert_eq!(judge(vec![other.clone()], 60), State::Superseded);
        assert_eq!(judge(vec![other, deployment(OURS, "ACTIVE", "web:2", "IN_PROGRESS")], 60), State::Superseded);
    }

    #[test]
    fn a_deployment_that_is_not_listed_yet_is_waited_for() {
        let old = vec![deployment("ecs-svc/0", "PRIMARY", "web:1", "COMPLETED")];
        assert_eq!(judge(old, 5), State::Deploying);
    }

    #[test]
    fn the_time_before_the_deployment_does_not_count() {
        let since = Timestamp::from_second(4_000).unwrap();
        let at = |seconds: i64, deployment: Deployment| {
            let service = Service { status: "ACTIVE".into(), deployments: vec![deployment], ..Service::default() };
            decide(&rollout(), since, Some(&service), Timestamp::from_second(seconds).unwrap()).state
        };
        let old = deployment("ecs-svc/0", "PRIMARY", "web:1", "COMPLETED");
        assert_eq!(at(4_005, old.clone()), State::Deploying, "ECS may not list it yet");
        assert_eq!(at(4_010, old), State::RolledBack);
        let ours = deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS");
        assert_eq!(at(7_600, ours.clone()), State::Deploying);
        assert_eq!(at(7_601, ours), State::Failed);
    }

    #[test]
    fn a_deployment_without_end_is_given_up_with_advice() {
        let service = Service {
            status: "ACTIVE".into(),
            deployments: vec![deployment(OURS, "PRIMARY", "web:2", "IN_PROGRESS")],
            ..Service::default()
        };
        let verdict = decide(&rollout(), Timestamp::UNIX_EPOCH, Some(&service), Timestamp::from_second(3_601).unwrap());
        assert_eq!(verdict.state, State::Failed);
        assert!(verdict.reason.contains("circuit breaker"), "{}", verdict.reason);
    }

    #[test]
    fn a_service_that_went_away_ends_the_rollout() {
        let now = Timestamp::from_second(60).unwrap();
        assert_eq!(decide(&rollout(), Timestamp::UNIX_EPOCH, None, now).state, State::Failed);
        let draining = Service { status: "DRAINING".into(), ..Service::default() };
        assert_eq!(decide(&rollout(), Timestamp::UNIX_EPOCH, Some(&draining), now).state, State::Failed);
    }

    fn any_deployment() -> impl Strategy<Value = Deployment> {
        let id = prop::sample::select(vec![OURS, "ecs-svc/2", "ecs-svc/3"]);
        let status = prop::sample::select(vec!["PRIMARY", "ACTIVE", "INACTIVE", ""]);
        let revision = prop::sample::select(vec!["web:1", "web:2", "web:3"]);
        let state = prop::sample::select(vec!["", "IN_PROGRESS", "COMPLETED", "FAILED"]);
        (id, status, revision, state).prop_map(|(id, status, revision, state)| deployment(id, status, revision, state))
    }

    proptest! {
        #[test]
        fn success_is_never_told_of_anything_else(
            deployments in prop::collection::vec(any_deployment(), 0..4),
            active: bool, rolls_back: bool, seconds in 0..10_000_i64,
        ) {
            let status = if active { "ACTIVE" } else { "INACTIVE" }.into();
            let service = Service { status, rolls_back, deployments, ..Service::default() };
            let verdict = decide(&rollout(), Timestamp::UNIX_EPOCH, Some(&service), Timestamp::from_second(seconds).unwrap());
            let ours = service.primary().is_some_and(|primary| {
                primary.id == OURS && primary.is("COMPLETED") && primary.task_definition == "web:2"
            });
            prop_assert_eq!(verdict.state == State::Succeeded, active && ours);
            prop_assert!(!verdict.reason.is_empty());
            prop_assert!(verdict.state.is_final() || (verdict.state == State::Deploying && seconds <= 3_600));
        }
    }
}
