//! One visit to a server: observe; revoke access; prove that it can be rebuilt, if it is to sleep; take steps; settle the
//! users; write the status. A step is to look at the door, admit address blocks, act, observe, and revoke. A server of
//! another deployment is observed and told, and that is all.
//!
//! Revoking access (users, keys and address blocks that are no longer wanted) comes first and waits for nothing. A server
//! that clients can reach is shut only when it is drained, and what starts it waits until everything is known.

use std::{ops::ControlFlow, time::Duration};

use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::{
    condition::Severity,
    idle::Decision,
    power::{self, AwsState, Door, Plan, Situation, Step},
    server::{Asleep, Power, ServerPhase, ServerStatus},
    wish::Because,
};
use wharfinger_runtime::metrics::{self, Trouble};
use wharfinger_store::table::StoreError;

use crate::{
    drain::Drained,
    error::Error,
    memory::Memory,
    next_visit::{NextVisit, Wakeup},
    observe::Observation,
    reached::{Course, End, Reached},
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
    pub(crate) async fn run(&self) -> Result<Wakeup, Error> {
        let known = self.record.status.server_id.as_deref();
        let first = Box::pin(self.observe(known, self.search_is_due())).await;
        let (first, not_adopted) = self.adopted(first).await;
        let offline = first.server().is_some_and(|server| server.state == AwsState::Offline);
        let memory = Memory::at_first(self.item, self.wanted.opens(), offline);
        if let Some(other) = first.other.clone() {
            return self.leave_alone(first, &other, memory, not_adopted).await;
        }
        // Nothing that is refused or unknown holds up what closes.
        let may_admit = self.may_admit(&first, &memory);
        let (first, revoked) = self.revoke_rules(first, may_admit).await;
        let mut users = self.users(self.server_id(&first), TIME_TO_CLOSE).await;
        users.close(TIME_TO_CLOSE).await;
        // What EC2 did not show may hold rules of a deployment from which the server is taken over.
        let rules_are_ours = revoked.is_ok() && first.rules.is_ok() && first.endpoint.is_ok();
        self.mark(&first, rules_are_ours).await;
        if matches!(&first.server, Ok(None))
            && memory.made_lately(self.moment.present()).is_none()
            && let Err(error) = self.forget_deleted_users().await
        {
            users.tally.unread(&error);
        }
        // From here on less may be wanted than the wish: what could not be rebuilt stays as it is.
        let kept = Box::pin(self.kept_for_a_lack(&first, users.accounts.take())).await;
        let visit = kept.as_ref().unwrap_or(self);
        let course = Course { observation: first, rules: revoked, lost: Ok(()), memory };
        let reached = Box::pin(visit.proceed(course)).await;
        if matches!(&reached.end, End::Plan(Plan { step: Step::Forget, .. })) {
            if let Err(error) = &reached.rules {
                tracing::error!(server = %self.server, %error, "rules of a deleted server may be left in its security groups");
                metrics::trouble(Trouble::FailedServer, &format!("server {}", self.server), self.moment.present());
            }
            self.forget_server().await?;
            return Ok(NextVisit::NotNeeded.into());
        }
        if users.server_id.as_deref() != self.server_id(&reached.observation) {
            users = self.users(self.server_id(&reached.observation), TIME_FOR_USERS).await;
        }
        users.settle(TIME_FOR_USERS).await;
        Ok(visit.conclude(reached, &users.tally).await?)
    }

    /// Whether new clients may still be let in, before it is known whether a server that is to sleep can be rebuilt, and
    /// whether somebody is on one that seems idle: such a one stays open. One that nobody was told of yet is shut at once,
    /// and takes nobody meanwhile.
    fn may_admit(&self, first: &Observation, memory: &Memory) -> bool {
        let is_open = first.server().is_some_and(|server| power::is_open(server.state));
        let may_stay_open = self.wanted.power == Power::Asleep || self.wanted.because == Because::Idle;
        let is_undecided = may_stay_open && !self.wanted.deleting && is_open;
        let is_in_service = memory.history.in_service.is_some() || self.record.status.phase() == ServerPhase::Online;
        self.admits(memory) || is_undecided && is_in_service && memory.draining.is_none()
    }

    /// Whether new clients are to be let in.
    fn admits(&self, memory: &Memory) -> bool {
        self.wanted.opens() && memory.draining.is_none()
    }

    /// AWS's id of the server, or the last known one if the server can't be observed.
    fn server_id<'b>(&'b self, observation: &'b Observation) -> Option<&'b str> {
        match &observation.server {
            Ok(server) => server.as_ref().map(|server| server.id.as_str()),
            Err(_) => self.record.status.server_id.as_deref(),
        }
    }

    /// Takes steps until there is something to wait for.
    async fn proceed(&self, first: Course) -> Reached {
        let mut course = first;
        for _ in 0..MOST_STEPS {
            match Box::pin(self.advance(course)).await {
                ControlFlow::Continue(next) => course = next,
                ControlFlow::Break(reached) => return reached,
            }
        }
        let phase = self.item.phase();
        course.ends(End::Plan(Plan { step: Step::Wait, phase, reason: "AWS is still at it".into() }))
    }

    /// Takes one step, and observes what became of it.
    async fn advance(&self, course: Course) -> ControlFlow<Reached, Course> {
        let others = course.observation.other.as_ref().filter(|_| !self.record.deleting);
        let others = others.map(|other| self.left_alone(other));
        if let Some(plan) = others.or_else(|| self.plan_for_an_unshown_server(&course)) {
            return ControlFlow::Break(course.ends(End::Plan(plan)));
        }
        let situation = match self.situation(&course.observation, &course.memory) {
            Ok(situation) => situation,
            Err(error) => {
                let unseen = End::Unseen(Error::unknown(error));
                return ControlFlow::Break(course.ends(unseen));
            }
        };
        let (course, door) = Box::pin(self.at_the_door(course, &situation)).await?;
        let rules = self.authorize_rules(&course.observation, self.admits(&course.memory)).await;
        let course = Course { rules: course.rules.and(rules), ..course };
        let plan = power::next(&self.wanted, &situation, &door);
        let memory = match self.step(&course, &plan).await {
            Err(end) => return ControlFlow::Break(course.ends(end)),
            Ok(Outcome::Asked) => course.memory,
            Ok(Outcome::Changed(memory)) => *memory,
            Ok(Outcome::Failed(memory, error)) => {
                return ControlFlow::Break(Course { memory: *memory, ..course }.ends(error));
            }
        };
        let made = memory.made.as_ref().map(|made| &made.id);
        let known = self.server_id(&course.observation).or(made.map(String::as_str));
        let lost = if plan.loses_rules() { course.lost.and(course.rules) } else { course.lost };
        let mut observation = Box::pin(self.observe(known, false)).await;
        observation.others = observation.others.or(course.observation.others);
        let (observation, rules) = self.revoke_rules(observation, self.admits(&memory)).await;
        ControlFlow::Continue(Course { observation, rules, lost, memory })
    }

    /// The plan for a server that AWS has made and does not show yet: it is neither made a second time nor forgotten.
    fn plan_for_an_unshown_server(&self, course: &Course) -> Option<Plan> {
        let is_unshown = matches!(course.observation.server, Ok(None));
        course.memory.made_lately(self.moment.present()).filter(|_| is_unshown)?;
        let phase = if self.wanted.deleting { ServerPhase::Deleting } else { ServerPhase::Creating };
        Some(Plan { step: Step::Wait, phase, reason: "AWS does not show the new server yet".into() })
    }

    /// Looks how far a server that is to be shut is drained. One that is not is not drained any longer.
    async fn at_the_door(&self, course: Course, situation: &Situation) -> ControlFlow<Reached, (Course, Door)> {
        let memory = Memory { history: situation.history.clone(), ..course.memory };
        if !power::is_to_be_shut(&self.wanted, situation) {
            let course = Course { memory: Memory { draining: None, ..memory }, ..course };
            return ControlFlow::Continue((course, Door::Open));
        }
        let course = Course { memory, ..course };
        match self.look_at_the_door(&course).await {
            Drained::So(door, draining) => {
                let memory = Memory { draining, ..course.memory };
                ControlFlow::Continue((Course { memory, ..course }, door))
            }
            Drained::Reopened(decision) => ControlFlow::Break(self.reopen(course, &decision).await),
            Drained::Undrainable(error) => ControlFlow::Break(self.opened(course).await.ends(End::Failed(error))),
        }
    }

    /// Lets clients in again, because somebody is still there.
    async fn reopen(&self, course: Course, decision: &Decision) -> Reached {
        let course = self.opened(course).await;
        let reason = format!("it was to be closed, but stays online: {}", decision.reason);
        match self.app.table.note_decision(self.server, decision).await {
            Ok(()) => course.ends(End::Kept(reason)),
            Err(error) => course.ends(error),
        }
    }

    async fn opened(&self, course: Course) -> Course {
        let rules = course.rules.and(self.authorize_rules(&course.observation, true).await);
        Course { rules, memory: Memory { draining: None, ..course.memory }, ..course }
    }

    /// Carries out `plan`.
    ///
    /// # Errors
    /// When no more steps are to be taken.
    async fn step(&self, course: &Course, plan: &Plan) -> Result<Outcome, End> {
        let is_last = matches!(plan.step, Step::Wait | Step::Blocked | Step::Settled | Step::Forget);
        if let Err(error) = &course.rules
            && (plan.needs_rules() || plan.loses_rules() && error.is_temporary())
        {
            let (sentence, temporary) = (error.sentence(), error.is_temporary());
            return Err(End::Failed(Error::Unknown { sentence, temporary }));
        }
        if is_last {
            return Err(End::Plan(plan.clone()));
        }
        tracing::info!(server = %self.server, step = ?plan.step, reason = plan.reason, "taking a step");
        self.check_lease().await?;
        self.act(course, plan).await
    }

    /// Records what is to be remembered before the next step: after a crash, sessions must not be cut a second time for
    /// a network that AWS refused, and what was deleted must be rebuilt.
    pub(crate) async fn note(&self, memory: &Memory) -> Result<(), StoreError> {
        self.remember(memory, self.record.status.clone()).await
    }

    pub(crate) async fn remember(&self, memory: &Memory, status: ServerStatus) -> Result<(), StoreError> {
        self.write(&memory.clone().into_status(status), memory.asleep.as_ref()).await
    }

    pub(crate) async fn conclude(&self, reached: Reached, users: &Tally) -> Result<Wakeup, StoreError> {
        let endpoint = self.endpoint_for_clients(&reached.observation).await.unwrap_or_else(|error| {
            tracing::warn!(server = %self.server, %error, "the addresses could not be read");
            self.record.status.endpoint.clone()
        });
        let obstacles = reached.observation.obstacles(&self.record.intent.spec, &self.wanted.placement);
        let is_to_be_placed = !self.record.deleting && reached.observation.other.is_none();
        let findings = Findings {
            item: self.item,
            wanted: &self.wanted,
            lacks: &self.lacks,
            reached: &reached,
            obstacles: if is_to_be_placed { obstacles } else { Vec::new() },
            users,
            now: self.moment.present(),
        };
        findings.log(self.server);
        let status = ServerStatus { endpoint, ..findings.status() };
        if status.conditions.iter().any(|condition| condition.severity == Severity::Error) {
            metrics::trouble(Trouble::FailedServer, &format!("server {}", self.server), self.moment.present());
        }
        // Before it is written that the server is gone: until then no tag proves anything.
        if self.is_bound() && status.server_id.is_none() && status.making.is_none() {
            self.renew_record_id().await?;
        }
        match self.write(&status, findings.asleep().as_ref()).await {
            Ok(()) => Ok(Wakeup { visit: findings.next_visit(), due: self.due(&status) }),
            // It was forgotten meanwhile, or another visit has taken over.
            Err(StoreError::Conflict) => Ok(NextVisit::NotNeeded.into()),
            Err(error) => Err(error),
        }
    }

    /// When time alone changes what is to be done: an order ends, or a drain does. An order that ended while AWS was
    /// waited for is acted upon in a second.
    fn due(&self, status: &ServerStatus) -> Option<Timestamp> {
        let at_once = self.moment.present() + SignedDuration::from_secs(1);
        let order = self.until.filter(|_| !self.record.deleting).map(|until| until.max(at_once));
        let drain = status.draining.as_ref().and_then(|draining| draining.until);
        [order, drain].into_iter().flatten().min()
    }

    async fn write(&self, status: &ServerStatus, asleep: Option<&Asleep>) -> Result<(), StoreError> {
        self.app.table.write_server_status(self.lease, status, asleep).await
    }

    /// Deletes the users that are to be deleted and does nothing else: for a server whose record can't be read.
    pub(crate) async fn remove_users(&self) -> NextVisit {
        let users = self.users(self.record.status.server_id.as_deref(), TIME_FOR_USERS).await;
        users.only_removed().next_visit()
    }
}
