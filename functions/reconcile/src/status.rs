//! Turns what a visit found into the server's status, its conditions and the time of the next visit, without I/O. The
//! power says what the server does; conditions say what is wrong.

mod further;
mod remembered;

use jiff::Timestamp;
use wharfinger_aws::transfer::Server;
use wharfinger_decisions::{
    condition::{Condition, Severity, carry_on, grouped},
    names::ServerName,
    power::{self, AwsState, Plan, Step, Wanted, phase},
    preflight::Obstacle,
    rebuild::{self, Lack},
    server::{Asleep, ServerPhase, ServerStatus},
    settings::refused,
};
use wharfinger_store::servers::ServerItem;

use crate::{
    error::{Error, STEP_REFUSED},
    memory::Memory,
    next_visit::NextVisit,
    reached::{End, Reached},
    tally::Tally,
};

pub(crate) use further::SECOND_SERVER;

/// What a visit found.
pub(crate) struct Findings<'a> {
    pub(crate) item: &'a ServerItem,
    pub(crate) wanted: &'a Wanted,
    /// Why it can't be put to sleep as it should.
    pub(crate) lacks: &'a [Lack],
    pub(crate) reached: &'a Reached,
    pub(crate) obstacles: Vec<Obstacle>,
    pub(crate) users: &'a Tally,
    pub(crate) now: Timestamp,
}

impl Findings<'_> {
    /// Logs what went wrong.
    pub(crate) fn log(&self, server: &ServerName) {
        if let End::Failed(error) | End::Unseen(error) = &self.reached.end {
            tracing::warn!(%server, %error, "a step was not done");
        }
        if let Err(error) = &self.reached.rules {
            tracing::warn!(%server, %error, "the rules are not as wanted");
        }
    }

    /// Returns the server's status, with its endpoint unchanged.
    pub(crate) fn status(&self) -> ServerStatus {
        let before = &self.item.record.status;
        let observation = &self.reached.observation;
        let server = observation.server();
        let (phase, reason) = self.phase();
        let Memory {
            history,
            draining,
            making,
            asleep: _,
            keyed,
            logged_since,
            made,
            refused_settings,
            settings_search,
        } = self.memory(phase);
        let made_id = made.as_ref().map(|made| made.id.clone());
        let is_other = observation.other.is_some();
        let server_id = match &observation.server {
            _ if is_other => before.server_id.clone(),
            Ok(server) => server.as_ref().map(|server| server.id.clone()).or(made_id),
            Err(_) => made_id.or_else(|| before.server_id.clone()),
        };
        let (keyed, fingerprints) = keyed.unzip();
        let shown = || match server {
            Some(server) => server.host_key_fingerprint.iter().cloned().collect(),
            None => before.host_key_fingerprints.clone(),
        };
        ServerStatus {
            power: match phase {
                ServerPhase::Draining => ServerPhase::Online,
                ServerPhase::Asleep => ServerPhase::Stopped,
                phase => phase,
            },
            reason,
            server_id,
            endpoint: before.endpoint.clone(),
            host_key_fingerprints: fingerprints.unwrap_or_else(shown),
            online_since: match (self.is_open(), phase) {
                (true, ServerPhase::Online) => before.online_since.or(Some(self.now)),
                (true, _) => before.online_since,
                (false, _) => before.online_since.filter(|_| is_other || observation.server.is_err()),
            },
            settled_version: if self.is_settled() { self.item.record.version } else { before.settled_version },
            observed_at: Some(self.now),
            conditions: carry_on(&before.conditions, self.conditions()),
            history,
            searched_at: match &observation.others {
                Some(Ok(_)) => Some(self.now),
                _ => before.searched_at,
            },
            obeyed: if self.is_settled() { self.item.order().map(|order| order.at) } else { before.obeyed },
            draining,
            making,
            keyed,
            other_deployment: observation.other.clone(),
            logged_since,
            made,
            refused_settings,
            settings_search,
        }
    }

    /// What the server is rebuilt from, if it sleeps or is being woken.
    pub(crate) fn asleep(&self) -> Option<Asleep> {
        self.memory(self.phase().0).asleep
    }

    /// What the server is doing, and why.
    fn phase(&self) -> (ServerPhase, String) {
        let before = self.item.phase();
        match &self.reached.end {
            End::Kept(reason) => (self.stuck(), reason.clone()),
            // Its endpoint can't be seen now, but it could while the server was shown online.
            End::Plan(plan)
                if before == ServerPhase::Online
                    && plan.phase == ServerPhase::Starting
                    && self.reached.observation.endpoint.is_err()
                    && self.reached.observation.server().is_some_and(|server| self.is_known(server))
                    && self.is_open() =>
            {
                (ServerPhase::Online, plan.reason.clone())
            }
            End::Plan(plan) => (plan.phase, plan.reason.clone()),
            End::Failed(error) if error.is_temporary() => (self.still(before), error.sentence()),
            End::Failed(error) => (self.stuck(), error.sentence()),
            End::Unseen(error) => (before, error.sentence()),
        }
    }

    /// The phase of a server that was in phase `before`. One that AWS shows to be gone, not open, or another that is not
    /// complete yet, is not online.
    fn still(&self, before: ServerPhase) -> ServerPhase {
        let Ok(server) = &self.reached.observation.server else { return before };
        match server {
            _ if self.wanted.deleting => ServerPhase::Deleting,
            // It was stopped, and is gone: nothing is recorded from which one that sleeps would be rebuilt.
            None if before == ServerPhase::Asleep && self.reached.memory.asleep.is_none() => ServerPhase::Creating,
            _ if !matches!(before, ServerPhase::Online | ServerPhase::Draining) => before,
            Some(server) if power::is_open(server.state) && self.is_whole(server) => before,
            Some(server) if power::is_open(server.state) => ServerPhase::Starting,
            Some(server) => phase(server.state),
            None if self.wanted.opens() => ServerPhase::Creating,
            None => ServerPhase::Stopping,
        }
    }

    /// Whether `server` is the one that the status before is about.
    fn is_known(&self, server: &Server) -> bool {
        self.item.record.status.server_id.as_ref() == Some(&server.id)
    }

    /// Whether the server has all host keys, or was online before they were looked at.
    fn is_whole(&self, server: &Server) -> bool {
        let was_online = self.item.record.status.power == ServerPhase::Online && self.is_known(server);
        was_online || self.reached.memory.has_keyed(&server.id)
    }

    /// The phase of a server that makes no progress. A server that accepts clients is not called failed.
    fn stuck(&self) -> ServerPhase {
        let observation = &self.reached.observation;
        let available = matches!(&observation.endpoint, Ok(Some(endpoint)) if endpoint.available);
        let is_whole = observation.server().is_some_and(|server| self.is_whole(server));
        match observation.server().map(|server| server.state) {
            Some(AwsState::Online) if is_whole && (available || observation.endpoint.is_err()) => ServerPhase::Online,
            Some(AwsState::Online) => ServerPhase::Starting,
            Some(state @ (AwsState::Starting | AwsState::Stopping)) => phase(state),
            _ => ServerPhase::Failed,
        }
    }

    /// Whether a server that was asked for may still show. One that AWS refuses to make won't, nor one whose making it
    /// throttles.
    fn may_be_coming(&self) -> bool {
        let is_refused = match &self.reached.end {
            End::Failed(Error::Aws(error)) => error.had_no_effect(),
            End::Failed(error) => !error.is_temporary(),
            _ => false,
        };
        self.reached.observation.server().is_none() && !is_refused
    }

    /// Whether clients may be logged in.
    fn may_be_open(&self) -> bool {
        match &self.reached.observation.server {
            Ok(server) => server.as_ref().is_some_and(|server| power::is_open(server.state)),
            Err(_) => true,
        }
    }

    fn is_open(&self) -> bool {
        self.reached.observation.server().is_some_and(|server| server.state == AwsState::Online)
    }

    fn plan(&self) -> Option<&Plan> {
        if let End::Plan(plan) = &self.reached.end { Some(plan) } else { None }
    }

    /// Whether AWS has everything as wanted, users and rules included.
    fn is_settled(&self) -> bool {
        self.plan().is_some_and(|plan| plan.step == Step::Settled)
            && self.reached.rules.is_ok()
            && self.obstacles.is_empty()
            && self.lacks.is_empty()
            && self.users.is_settled()
    }

    /// When to visit again: users that wait are not slowed down by a server that AWS refuses.
    pub(crate) fn next_visit(&self) -> NextVisit {
        let (server, users) = (self.next_visit_for_server(), self.users.next_visit());
        match (&server, &users) {
            (NextVisit::NotNeeded, _) | (NextVisit::Slowly(_), NextVisit::Soon(_)) => users,
            _ => server,
        }
    }

    fn next_visit_for_server(&self) -> NextVisit {
        match &self.reached.end {
            End::Kept(_) => NextVisit::Soon("kept".into()),
            End::Failed(error) | End::Unseen(error) => NextVisit::after(error.sentence(), error.is_temporary()),
            End::Plan(plan) if plan.step != Step::Settled => {
                let unseen = self.reached.observation.endpoint.as_ref().err();
                // Only a server that is to open waits for what EC2 shows.
                let lasting = plan.phase == ServerPhase::Starting && unseen.is_some_and(|error| !error.is_temporary());
                NextVisit::after(&plan.reason, plan.step != Step::Blocked && !lasting)
            }
            End::Plan(_) => match (&self.reached.rules, self.obstacles.first(), rebuild::foremost(self.lacks)) {
                (Err(error), ..) => NextVisit::after(error.sentence(), error.is_temporary()),
                (Ok(()), Some(obstacle), _) => NextVisit::after(obstacle.sentence(), obstacle.passes_by_itself()),
                (Ok(()), None, Some(lack)) => NextVisit::after(lack.sentence(), lack.passes_by_itself()),
                (Ok(()), None, None) => NextVisit::NotNeeded,
            },
        }
    }

    /// Returns what is wrong.
    fn conditions(&self) -> Vec<Condition> {
        let found = |code: &'static str, severity, message: String, remedy: &str| Condition {
            code: code.into(),
            severity,
            message,
            remedy: remedy.to_owned(),
            since: self.now,
        };
        let mut conditions = grouped(self.obstacles.iter().map(|obstacle| obstacle.condition(self.now)));
        conditions.extend(self.reached.observation.other.as_ref().map(|other| other.condition(self.now)));
        let spec = &self.item.record.intent.spec;
        let new_network = self.reached.observation.new_network.as_ref();
        conditions.extend(new_network.and_then(|network| network.warning(spec, self.now)));
        if let Some(refused) = self.reached.memory.history.refused.as_ref() {
            let remedy = "give subnets and Elastic IPs that AWS takes; stop and start the server to try these again";
            conditions.push(found("network_refused", Severity::Error, refused.message.clone(), remedy));
        }
        if let End::Failed(error) = &self.reached.end
            && !error.is_temporary()
        {
            conditions.push(found(error.code(), Severity::Error, error.sentence(), &error.remedy()));
        }
        conditions.extend(self.refusal_that_stands());
        if let End::Unseen(error) = &self.reached.end {
            conditions.push(found("server_unknown", severity(error), error.sentence(), ""));
        }
        if let Err(error) = &self.reached.rules {
            let remedy = "the security group's rules are tried again by themselves";
            conditions.push(found("rules_refused", severity(error), error.sentence(), remedy));
        }
        conditions.extend(rebuild::condition(self.lacks, self.now));
        // While a server is only asked for, nothing is said of it.
        if self.reached.observation.server().is_some() {
            conditions.extend(refused::condition(&self.refused_settings(), self.now));
        }
        if self.reached.observation.server().is_some_and(|server| server.log_group_arn.is_none()) {
            let message = "it has no structured log, so who is logged in is known from metrics alone, minutes late";
            let remedy = "give it the log group of this deployment as its StructuredLogDestination";
            conditions.push(found("sessions_not_logged", Severity::Info, message.into(), remedy));
        }
        conditions.extend(self.drift());
        conditions.extend(self.further_servers());
        conditions.extend(self.of_users(found));
        conditions
    }

    /// What AWS refused when it was asked for the server last, if it was too busy to answer this time.
    fn refusal_that_stands(&self) -> Option<Condition> {
        let is_unanswered = matches!(&self.reached.end, End::Failed(error) if error.is_temporary());
        let is_unmade = self.wanted.opens() && matches!(self.reached.observation.server, Ok(None));
        let before = self.item.record.status.conditions.iter().filter(|_| is_unanswered && is_unmade);
        before.into_iter().find(|condition| condition.code == STEP_REFUSED).cloned()
    }

    /// Reports that somebody changed the placement by hand, where that is left as it is.
    fn drift(&self) -> Option<Condition> {
        let current = &self.reached.observation.server()?.placement;
        let wanted = &self.wanted.placement;
        self.reached.memory.history.has_drifted(wanted, current).then(|| Condition {
            code: "drift".into(),
            severity: Severity::Warning,
            message: format!("somebody changed its subnets or Elastic IPs in AWS: {}", current.differs_from(wanted)),
            remedy: "PUT it with \"drift\": \"repair\", which drains and stops it once, or stop and start it; or PUT what it has"
                .into(),
            since: self.now,
        })
    }

    fn of_users(&self, found: impl Fn(&'static str, Severity, String, &str) -> Condition) -> Vec<Condition> {
        let Tally { refused, strangers, undescribed, without_record, unknown, .. } = self.users;
        let mut conditions = Vec::new();
        if let Some(count) = without_record {
            let message = format!(
                "AWS has at least {count} users that were made here and have no record any more: none of them is deleted, \
                 because the table may be new, or restored to an earlier time"
            );
            let remedy = "restore the table or PUT the users again; if they are to go, delete them in Transfer Family";
            conditions.push(found("mass_deletion", Severity::Error, message, remedy));
        }
        if *refused > 0 {
            let message = format!("{refused} of its users are not as wanted");
            conditions.push(found("users_refused", Severity::Warning, message, "look at the users' status"));
        }
        if !unknown.is_empty() {
            conditions.push(found("users_unknown", Severity::Warning, unknown.join("; "), ""));
        }
        if *undescribed > 0 {
            let message = format!("{undescribed} accounts have no record, and AWS refuses to tell whose they are");
            let remedy = "allow transfer:DescribeUser on them; until then no account without a record is deleted";
            conditions.push(found("strangers_unknown", Severity::Warning, message, remedy));
        }
        if !strangers.is_empty() {
            let message = format!("AWS has users that were not made here: {}", rebuild::named(strangers));
            conditions.push(found("strangers", Severity::Info, message, "they are left alone"));
        }
        conditions
    }
}

fn severity(error: &Error) -> Severity {
    if error.is_temporary() { Severity::Warning } else { Severity::Error }
}

#[cfg(test)]
mod tests;
