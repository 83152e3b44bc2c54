//! Does one step of a plan.

use jiff::Timestamp;
use wharfinger_aws::transfer::{NewServer, Server};
use wharfinger_decisions::{
    idle::Action,
    names::ServerName,
    power::Step,
    server::{Asker, Power, WantedPower},
};
use wharfinger_store::{servers::ServerRecord, table::StoreError};

use crate::{
    app::App,
    host_key, presence,
    sight::{Sight, tags},
    trouble::Trouble,
};

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was asked of AWS, or there was nothing to ask.
    Asked,
    /// A server was made: its id.
    Made(String),
    /// Somebody is there after all: the server stays online, and the sentence says why.
    Kept(String),
}

/// Does `step` for `server`, which was just seen as `sight`.
pub(crate) async fn act(
    app: &App,
    server: &ServerName,
    record: &ServerRecord,
    sight: &Sight,
    step: &Step,
    now: Timestamp,
) -> Result<Done, Trouble> {
    let transfer = &app.transfer;
    if *step == Step::Create {
        return create(app, server, record).await.map(Done::Made);
    }
    let Some(seen) = &sight.server else { return Ok(Done::Asked) };
    match step {
        Step::Stop { if_idle: true } => return stop_if_idle(app, server, record, seen, now).await,
        Step::Stop { if_idle: false } => transfer.stop_server(&seen.id).await?,
        Step::Start => transfer.start_server(&seen.id).await?,
        Step::Delete => transfer.delete_server(&seen.id).await?,
        Step::Readdress { subnets, addresses } => {
            // In the order of the spec, which pairs addresses with subnets; not named where they stay.
            let ordered = &record.intent.spec.network.address_allocation_ids;
            let listed: Vec<_> = ordered.iter().filter(|id| addresses.contains(*id)).cloned().collect();
            let changed = (*addresses != seen.addresses).then_some(&listed[..]);
            transfer.set_network(&seen.id, subnets, changed).await?;
        }
        Step::Regroup { add, remove } => {
            if let Some(endpoint) = &seen.vpc_endpoint_id {
                app.ec2.regroup(endpoint, add, remove).await?;
            }
        }
        Step::Create | Step::Wait | Step::Forget | Step::Settled => {}
    }
    Ok(Done::Asked)
}

async fn create(app: &App, server: &ServerName, record: &ServerRecord) -> Result<String, Trouble> {
    let spec = &record.intent.spec;
    let network = &spec.network;
    if let Some(missing) = app.file_systems.missing(&spec.file_system_id, &network.vpc_id).await? {
        return Err(Trouble::Missing(missing));
    }
    let host_key = host_key::obtain(app, server).await?;
    let new = NewServer {
        vpc_id: &network.vpc_id,
        subnet_ids: &network.subnet_ids,
        security_group_ids: &network.security_group_ids,
        host_key: &host_key,
        tags: &tags(app, server),
    };
    Ok(app.transfer.create_server(&new).await?)
}

async fn stop_if_idle(
    app: &App,
    server: &ServerName,
    record: &ServerRecord,
    seen: &Server,
    now: Timestamp,
) -> Result<Done, Trouble> {
    let decision = presence::decide(app, record, &seen.id, now).await;
    if decision.action == Action::Stop {
        app.transfer.stop_server(&seen.id).await?;
        return Ok(Done::Asked);
    }
    let reason = format!("it was to be stopped, but stays online: {}", decision.reason);
    let power = WantedPower { power: Power::Online, by: Asker::Autostop, reason: reason.clone(), at: now };
    match app.table.want_power(server, &power, record.version, now).await {
        // A conflict: a person was faster, and the next look reads what they want.
        Ok(_) | Err(StoreError::Conflict) => {}
        Err(error) => return Err(error.into()),
    }
    app.table.note_decision(server, &decision).await?;
    Ok(Done::Kept(reason))
}
