//! One look at a server: its rules, its steps, its users, and what is then known of it.

use jiff::Timestamp;
use wharfinger_decisions::{
    names::ServerName,
    power::{self, AwsState, Plan, Step, Wanted},
    server::{ServerPhase, ServerStatus},
};
use wharfinger_runtime::Moment;
use wharfinger_store::{
    servers::{self, ServerRecord},
    table::StoreError,
};

use crate::{
    accounts,
    app::App,
    farewell, ingress,
    pace::Outcome,
    sight::{self, Sight},
    steps::{self, Done},
    trouble::{self, Trouble},
};

/// More than the longest run of steps between two waits.
const MOST_STEPS: usize = 8;

/// Where the steps came to.
struct Reached {
    seen: Seen,
    end: End,
}

/// What the last look found.
#[derive(Default)]
struct Seen {
    sight: Sight,
    /// Why the rules that let clients in are not as wanted.
    rules: Option<Trouble>,
}

enum End {
    /// The plan says to wait, or that all is done.
    Plan(Plan),
    /// The idle sweep's stop was taken back.
    Kept(String),
    /// A step was not done.
    Trouble(Trouble),
}

/// Looks after `server` once.
pub(crate) async fn run(app: &App, server: &ServerName, moment: Moment) -> anyhow::Result<Outcome> {
    let key = servers::key(server);
    let record: ServerRecord = match app.table.read(&key).await? {
        None => return Ok(Outcome::Done),
        Some(Ok(record)) => record,
        Some(Err(unreadable)) => {
            trouble::leave_alone(&unreadable, moment.present());
            return Ok(Outcome::Done);
        }
    };
    let mut status = record.status.clone();
    let Reached { seen: Seen { sight, rules }, end } = proceed(app, server, &record, &mut status, moment).await?;
    if let End::Plan(Plan { step: Step::Forget, .. }) = end {
        if let Some(trouble) = rules {
            tracing::error!(%server, error = %trouble, "rules of a deleted server may be left in its security groups");
        }
        return Ok(farewell::say(app, server, &record).await?);
    }
    describe(app, &record, &sight, &end, &mut status, moment.present()).await;
    let users = match &sight.server {
        Some(seen) if !record.deleting => accounts::sync(app, server, &record, &seen.id, moment).await?,
        _ => accounts::Report::default(),
    };
    if let Some(trouble) = &rules {
        tracing::warn!(%server, error = %trouble, "the rules are not as wanted");
        status.reason.push_str(&format!("; its rules are not as wanted: {}", trouble.sentence()));
    }
    status.reason.push_str(&users.remark());
    let outcome = outcome(&end, rules.as_ref(), &users);
    if matches!(&end, End::Plan(Plan { step: Step::Settled, .. })) && rules.is_none() {
        status.settled_version = record.version;
    }
    status.observed_at = Some(moment.present());
    write(app, server, &status).await?;
    Ok(outcome)
}

/// Takes steps until AWS has to be waited for.
async fn proceed(
    app: &App,
    server: &ServerName,
    record: &ServerRecord,
    status: &mut ServerStatus,
    moment: Moment,
) -> Result<Reached, StoreError> {
    let wanted = Wanted::of(&record.intent, record.deleting);
    let mut last = Seen::default();
    for _ in 0..MOST_STEPS {
        match step(app, server, record, &wanted, status, &mut last, moment.present()).await {
            Ok(None) => {}
            Ok(Some(end)) => return Ok(Reached { seen: last, end }),
            Err(Trouble::Store(error)) => return Err(error),
            Err(trouble) => return Ok(Reached { seen: last, end: End::Trouble(trouble) }),
        }
    }
    let plan = power::next(&wanted, last.sight.observed().as_ref());
    Ok(Reached { seen: last, end: End::Plan(Plan { step: Step::Wait, ..plan }) })
}

/// One step; `None`: there may be another one.
async fn step(
    app: &App,
    server: &ServerName,
    record: &ServerRecord,
    wanted: &Wanted,
    status: &mut ServerStatus,
    last: &mut Seen,
    now: Timestamp,
) -> Result<Option<End>, Trouble> {
    let sight = sight::look(app, server, record, status.server_id.as_deref()).await?;
    *last = Seen { sight, rules: None };
    status.server_id = last.sight.server.as_ref().map(|seen| seen.id.clone());
    let rules = ingress::sync(app, server, record, &last.sight).await;
    let plan = power::next(wanted, last.sight.observed().as_ref());
    match rules {
        Err(trouble) if plan.needs_rules() => return Err(trouble),
        rules => last.rules = rules.err(),
    }
    if matches!(plan.step, Step::Wait | Step::Settled | Step::Forget) {
        return Ok(Some(End::Plan(plan)));
    }
    tracing::info!(%server, step = ?plan.step, reason = plan.reason, "taking a step");
    match steps::act(app, server, record, &last.sight, &plan.step, now).await? {
        Done::Asked => Ok(None),
        Done::Kept(reason) => Ok(Some(End::Kept(reason))),
        Done::Made(id) => {
            tracing::info!(%server, id, "a server was made");
            status.server_id = Some(id);
            (status.power, status.reason) = (plan.phase, plan.reason);
            write(app, server, status).await?;
            Ok(None)
        }
    }
}

/// Writes down what was seen.
async fn describe(
    app: &App,
    record: &ServerRecord,
    sight: &Sight,
    end: &End,
    status: &mut ServerStatus,
    now: Timestamp,
) {
    match end {
        End::Plan(plan) => (status.power, status.reason) = (plan.phase, plan.reason.clone()),
        End::Kept(reason) => (status.power, status.reason) = (ServerPhase::Online, reason.clone()),
        End::Trouble(trouble) => {
            tracing::warn!(error = %trouble, "a step was not done");
            if !trouble.is_temporary() {
                status.power = ServerPhase::Failed;
            }
            status.reason = trouble.sentence();
        }
    }
    for double in &sight.doubles {
        let text = format!("; AWS has another server with our tags, {double}, which is billed too: delete it");
        status.reason.push_str(&text);
    }
    let Some(server) = &sight.server else { return };
    status.host_key_fingerprints = server.host_key_fingerprint.iter().cloned().collect();
    match sight.endpoint_for_clients(app, &record.intent.spec.network).await {
        Ok(endpoint) => status.endpoint = endpoint,
        Err(error) => tracing::warn!(%error, "the addresses could not be read"),
    }
    status.online_since = match (server.state, status.power) {
        (AwsState::Online, ServerPhase::Online) => status.online_since.or(Some(now)),
        (AwsState::Online, _) => status.online_since,
        _ => None,
    };
}

fn outcome(end: &End, rules: Option<&Trouble>, users: &accounts::Report) -> Outcome {
    let again = |step: String, slowly| Outcome::Again { step, slowly };
    match (end, rules) {
        (End::Plan(plan), Some(trouble)) if plan.step == Step::Settled => {
            again(trouble.sentence(), !trouble.is_temporary())
        }
        (End::Plan(plan), None) if plan.step == Step::Settled => match users {
            accounts::Report { left_over: true, .. } => again("users".into(), false),
            accounts::Report { waiting: 1.., .. } => again("users wait for AWS".into(), false),
            accounts::Report { failed: 1.., .. } => again("users fail".into(), true),
            _ => Outcome::Done,
        },
        (End::Plan(plan), _) => again(plan.reason.clone(), false),
        (End::Kept(_), _) => again("kept".into(), false),
        (End::Trouble(trouble), _) => again(trouble.sentence(), !trouble.is_temporary()),
    }
}

async fn write(app: &App, server: &ServerName, status: &ServerStatus) -> Result<(), StoreError> {
    match app.table.write_status(&servers::key(server), status).await {
        // Forgotten meanwhile.
        Err(StoreError::Conflict) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_server_whose_rules_are_refused_is_looked_at_again() {
        let settled = |phase| End::Plan(Plan { step: Step::Settled, phase, reason: "stopped by alice".into() });
        let refused = Trouble::Missing("the group is full".into());
        let users = accounts::Report::default();
        let again = Outcome::Again { step: "the group is full".into(), slowly: true };
        assert_eq!(outcome(&settled(ServerPhase::Stopped), Some(&refused), &users), again);
        assert_eq!(outcome(&settled(ServerPhase::Stopped), None, &users), Outcome::Done);
    }
}
