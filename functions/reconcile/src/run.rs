//! One visit to a server: observe, revoke access, take steps, grant access, and write the status.
//!
//! Revoking access (users, keys and address blocks that are no longer wanted) comes first and waits for nothing.
//! Address blocks are let in as soon as the rules are known, stopping needs to know the server alone, and what starts
//! the server or cuts sessions waits until everything is known.

use std::time::Duration;

use wharfinger_decisions::{
    condition::Severity,
    power::{self, AwsState, History, Plan, Step},
    server::{Power, ServerStatus},
};
use wharfinger_runtime::metrics::{self, Trouble};
use wharfinger_store::{servers, table::StoreError};

use crate::{
    error::Error,
    next_visit::NextVisit,
    observe::Observation,
    reached::{End, Reached},
    status::Findings,
    steps::Outcome,
    tally::Tally,
    visit::Visit,
};

/// More than the longest run of steps between two waits.
const MOST_STEPS: usize = 8;

/// Accounts that lose access are not started after this much of the function's 30 seconds.
const TIME_TO_CLOSE: Duration = Duration::from_secs(10);

/// No account is started after this; what is left over is for the next visit.
const TIME_FOR_USERS: Duration = Duration::from_secs(15);

impl Visit<'_> {
    pub(crate) async fn run(&self) -> Result<NextVisit, Error> {
        let known = self.record.status.server_id.as_deref();
        let first = Box::pin(self.observe(known, self.search_is_due())).await;
        // Nothing that is refused or unknown holds up what closes.
        let revoked = self.revoke_rules(&first).await;
        let mut users = self.users(self.server_id(&first)).await;
        users.close(TIME_TO_CLOSE).await;
        if matches!(&first.server, Ok(None))
            && let Err(error) = self.forget_deleted_users().await
        {
            users.tally.unread(&error);
        }
        let reached = Box::pin(self.proceed(first, revoked)).await;
        if matches!(&reached.end, End::Plan(Plan { step: Step::Forget, .. })) {
            if let Err(error) = &reached.rules {
                tracing::error!(server = %self.server, %error, "rules of a deleted server may be left in its security groups");
                metrics::trouble(Trouble::FailedServer, &format!("server {}", self.server), self.moment.present());
            }
            self.forget_server().await?;
            return Ok(NextVisit::NotNeeded);
        }
        if users.server_id.as_deref() != self.server_id(&reached.observation) {
            users = self.users(self.server_id(&reached.observation)).await;
        }
        users.settle(TIME_FOR_USERS).await;
        Ok(self.conclude(reached, &users.tally).await?)
    }

    /// AWS's id of the server, or the last known one if the server can't be observed.
    fn server_id<'b>(&'b self, observation: &'b Observation) -> Option<&'b str> {
        match &observation.server {
            Ok(server) => server.as_ref().map(|server| server.id.as_str()),
            Err(_) => self.record.status.server_id.as_deref(),
        }
    }

    /// Takes steps until there is something to wait for. `revoked` is the result of revoking rules so far.
    async fn proceed(&self, first: Observation, revoked: Result<(), Error>) -> Reached {
        let mut rules = revoked.and(self.authorize_rules(&first).await);
        // Of rules that may be left in groups which are not looked at any more.
        let mut lost = Ok(());
        let offline = first.server().is_some_and(|server| server.state == AwsState::Offline);
        let mut history = self.record.status.history.at_first(self.wanted.power == Power::Online, offline);
        let mut observation = first;
        let end = 'steps: {
            for _ in 0..MOST_STEPS {
                let situation = match self.situation(&observation, &history) {
                    Ok(situation) => situation,
                    Err(error) => break 'steps End::Unseen(Error::unknown(error)),
                };
                history = situation.history.clone();
                let plan = power::next(&self.wanted, &situation);
                let known = match self.step(&observation, &plan, &rules).await {
                    Err(end) => break 'steps end,
                    Ok(Outcome::Made(id)) => Some(id),
                    Ok(Outcome::Asked) => self.server_id(&observation).map(str::to_owned),
                    Ok(Outcome::Refused(answer)) => {
                        let current = situation.server.map(|server| server.placement).unwrap_or_default();
                        history = history.after_refusal(&self.wanted.placement, &current, answer);
                        if let Err(error) = self.note_refusal(&history).await {
                            break 'steps End::Failed(error.into());
                        }
                        self.server_id(&observation).map(str::to_owned)
                    }
                };
                if plan.loses_rules() {
                    lost = lost.and(rules);
                }
                let others = observation.others;
                observation = Box::pin(self.observe(known.as_deref(), false)).await;
                observation.others = observation.others.or(others);
                rules = self.revoke_rules(&observation).await.and(self.authorize_rules(&observation).await);
            }
            let phase = self.record.status.power;
            End::Plan(Plan { step: Step::Wait, phase, reason: "AWS is still at it".into() })
        };
        Reached { observation, rules: lost.and(rules), history, end }
    }

    /// Carries out `plan`.
    ///
    /// # Errors
    /// When no more steps are to be taken.
    async fn step(&self, observation: &Observation, plan: &Plan, rules: &Result<(), Error>) -> Result<Outcome, End> {
        let is_last = matches!(plan.step, Step::Wait | Step::Blocked | Step::Settled | Step::Forget);
        if let Err(error) = rules
            && (plan.needs_rules() && !is_last || plan.loses_rules() && error.is_temporary())
        {
            let (sentence, temporary) = (error.sentence(), error.is_temporary());
            return Err(End::Failed(Error::Unknown { sentence, temporary }));
        }
        if is_last {
            return Err(End::Plan(plan.clone()));
        }
        tracing::info!(server = %self.server, step = ?plan.step, reason = plan.reason, "taking a step");
        let outcome = self.act(observation.server(), &plan.step).await?;
        match &outcome {
            Outcome::Made(id) => self.note_made(id, plan).await,
            Outcome::Refused(reason) => tracing::warn!(server = %self.server, reason, "AWS refuses the new network"),
            Outcome::Asked => {}
        }
        Ok(outcome)
    }

    /// Records the id of a new server at once. If that fails, the server is found by its tags.
    async fn note_made(&self, id: &str, plan: &Plan) {
        tracing::info!(server = %self.server, id, "a server was made");
        let status = ServerStatus {
            server_id: Some(id.to_owned()),
            power: plan.phase,
            reason: plan.reason.clone(),
            ..self.record.status.clone()
        };
        if let Err(error) = self.write(&status).await {
            tracing::warn!(server = %self.server, id, %error, "the new server's id could not be written down");
        }
    }

    /// Records a refusal before the server is opened again: after a crash, sessions must not be cut for it a second
    /// time.
    async fn note_refusal(&self, history: &History) -> Result<(), StoreError> {
        self.write(&ServerStatus { history: history.clone(), ..self.record.status.clone() }).await
    }

    async fn conclude(&self, reached: Reached, users: &Tally) -> Result<NextVisit, StoreError> {
        let endpoint = self.endpoint_for_clients(&reached.observation).await.unwrap_or_else(|error| {
            tracing::warn!(server = %self.server, %error, "the addresses could not be read");
            self.record.status.endpoint.clone()
        });
        let obstacles = reached.observation.obstacles(self.network(), &self.wanted.placement);
        let findings = Findings {
            record: self.record,
            wanted: &self.wanted,
            reached: &reached,
            obstacles: if self.record.deleting { Vec::new() } else { obstacles },
            users,
            now: self.moment.present(),
        };
        findings.log(self.server);
        let status = ServerStatus { endpoint, ..findings.status() };
        if status.conditions.iter().any(|condition| condition.severity == Severity::Error) {
            metrics::trouble(Trouble::FailedServer, &format!("server {}", self.server), self.moment.present());
        }
        self.write(&status).await?;
        Ok(findings.next_visit())
    }

    async fn write(&self, status: &ServerStatus) -> Result<(), StoreError> {
        match self.app.table.write_status(&servers::key(self.server), status).await {
            // It was forgotten meanwhile.
            Err(StoreError::Conflict) => Ok(()),
            other => other,
        }
    }

    /// Deletes the users that are to be deleted and does nothing else: for a server whose record can't be read.
    pub(crate) async fn remove_users(&self) -> NextVisit {
        let mut users = self.users(self.record.status.server_id.as_deref()).await;
        users.remove(TIME_FOR_USERS).await;
        users.tally.next_visit()
    }
}
