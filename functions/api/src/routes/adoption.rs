//! `POST /v1/servers/{server}/adopt`: a person takes over a server that another deployment has.

use axum::{extract::State, response::Response};
use wharfinger_decisions::{deployment::Adoption, names::ServerName};

use super::servers::{existing, resource, what};
use crate::{
    App,
    call::Call,
    change::settle,
    found::Found,
    problem::{Kind, Problem, Refused},
    resource::Would,
};

/// `POST /v1/servers/{server}/adopt`
pub(crate) async fn adopt(State(api): State<App>, call: Call) -> Result<Response, Refused> {
    let name = call.known_server()?;
    let dry_run = call.query(&["dry_run"])?.flag("dry_run")?;
    call.no_body()?;
    settle(api.table.chance(), || order(&api, &call, &name, dry_run)).await
}

/// Orders that the server be taken over which the status shows: no other that has its name by then.
async fn order(api: &App, call: &Call, name: &ServerName, dry_run: bool) -> Result<Response, Refused> {
    let found = existing(api, name).await?;
    let seen = found.thing.record.version;
    call.preconditions()?.check(&what(name), Some(seen))?;
    if found.thing.record.deleting {
        return Err(Problem::deleting(&what(name)));
    }
    let item = found.whole(&what(name))?;
    let Some(server) = item.record.status.other_deployment.clone() else {
        let detail = format!("{} is no other deployment's, as far as is known: look at its conditions", what(name));
        return Err(Problem::new(Kind::NothingToAdopt, detail));
    };
    let found = Found::from(item);
    let shown = resource(name.as_str(), &found, call.now);
    if dry_run {
        return Ok(shown.preview(Would::Change));
    }
    let adoption = Adoption { server, by: call.caller.clone(), at: call.now };
    api.table.give_adoption(name, &adoption, seen).await?;
    api.wake_server(name).await;
    Ok(shown.accepted())
}
