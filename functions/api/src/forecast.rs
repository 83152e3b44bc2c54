//! What AWS would make of a server's new spec, told by a dry run: what stands in its way, and whether sessions are cut.
//!
//! It is decided by what `reconcile` goes by, from describe calls alone. What AWS does not tell is a condition of the
//! answer, which is then as good as what was known before.

use jiff::Timestamp;
use serde::Serialize;
use wharfinger_aws::{
    error::AwsError,
    preflight::{self, NewNetwork},
    transfer::Server,
};
use wharfinger_decisions::{
    condition::{Condition, Severity, carry_on, grouped},
    power::{self, AwsState, Endpoint, Interruption, Observed, Placement, Recorded, Situation, Wanted},
    preflight::Obstacle,
    server::{ServerPhase, ServerStatus},
};
use wharfinger_store::servers::{ServerItem, ServerRecord};

use crate::Aws;

/// What AWS would make of a spec.
#[derive(Debug, Serialize)]
pub(crate) struct Forecast {
    /// Sessions would be cut, and why, or why not.
    #[serde(flatten)]
    interruption: Interruption,
    /// What stands in the way of the spec, and what could not be asked.
    conditions: Vec<Condition>,
}

/// The server as AWS shows it, or `None` if AWS has none.
type Shown = Result<Option<Server>, AwsError>;

impl Aws {
    /// What would come of `next`, whose spec replaces that of `current`.
    pub(crate) async fn forecast(&self, current: Option<&ServerRecord>, next: &ServerItem, now: Timestamp) -> Forecast {
        let (spec, status) = (&next.record.intent.spec, &next.record.status);
        let placement = Placement::of(&spec.network);
        let (shown, addresses, network) = futures::join!(
            self.shown(status),
            self.ec2.elastic_ips(&placement.addresses),
            NewNetwork::ask(&self.ec2, &self.file_systems, spec),
        );
        let mut obstacles = preflight::addresses(&addresses, &placement.addresses, &shown);
        obstacles.extend(network.obstacles(spec));
        let mut conditions = grouped(obstacles.iter().map(|obstacle| obstacle.condition(now)));
        conditions.extend(network.warning(spec, now));
        conditions.extend(shown.as_ref().err().map(|error| unknown(error, now)));
        let wanted = Wanted::of(spec, next.wish(now), next.record.deleting);
        let interruption = power::interruption(&wanted, &situation(current, next, &shown, obstacles));
        Forecast { interruption, conditions: carry_on(&[], conditions) }
    }

    async fn shown(&self, status: &ServerStatus) -> Shown {
        match &status.server_id {
            Some(id) => self.transfer.server(id).await,
            None => Ok(None),
        }
    }
}

fn situation(current: Option<&ServerRecord>, next: &ServerItem, shown: &Shown, obstacles: Vec<Obstacle>) -> Situation {
    let status = &next.record.status;
    let server = match shown {
        Ok(server) => server.as_ref().map(|server| (server.id.clone(), server.state, server.placement.clone())),
        Err(_) => last_seen(current, status),
    };
    let same = server.as_ref().map(|(id, _, placement)| (id.as_str(), placement));
    let history = status.history.clone();
    let history = match current {
        Some(record) => {
            let recorded = Recorded { spec: &record.intent.spec, status, version: record.version };
            recorded.complete(history, next.record.intent.spec.drift(), same)
        }
        None => history,
    };
    let observed =
        |(_, state, placement)| Observed { state, placement, endpoint: Endpoint::Unknown, lacks_host_keys: false };
    let sleeps = next.asleep.is_some();
    Situation { server: server.map(observed), making: false, sleeps, obstacles, history }
}

/// The server as it was when `reconcile` last looked, if clients could reach it then.
fn last_seen(current: Option<&ServerRecord>, status: &ServerStatus) -> Option<(String, AwsState, Placement)> {
    let id = status.server_id.clone().filter(|_| status.power == ServerPhase::Online)?;
    let placement = match &status.history.in_service {
        Some(placement) => placement.clone(),
        None => Placement::of(&current?.intent.spec.network),
    };
    Some((id, AwsState::Online, placement))
}

fn unknown(error: &AwsError, now: Timestamp) -> Condition {
    Condition {
        code: "server_unknown".into(),
        severity: Severity::Warning,
        message: format!("AWS could not be asked about the server, so what was last seen counts: {error}"),
        remedy: if error.is_temporary() { "" } else { "look at the permissions of the API's role" }.into(),
        since: now,
    }
}
