//! Keeps the rules that let trusted addresses in: added to the first security group before the server opens, taken
//! back wherever they are no longer wanted, also from groups that are about to leave the endpoint.

use std::collections::BTreeSet;

use wharfinger_decisions::{ids::SecurityGroupId, ingress, names::ServerName};
use wharfinger_store::servers::ServerRecord;

use crate::{app::App, sight::Sight, trouble::Trouble};

/// Brings the rules of `server` to what is wanted; every change is tried, and the first trouble is told.
pub(crate) async fn sync(app: &App, server: &ServerName, record: &ServerRecord, sight: &Sight) -> Result<(), Trouble> {
    let network = &record.intent.spec.network;
    let attached = sight.endpoint.iter().flat_map(|endpoint| &endpoint.groups);
    let groups: BTreeSet<SecurityGroupId> = network.security_group_ids.iter().chain(attached).cloned().collect();
    let Some(first) = network.security_group_ids.first() else { return Ok(()) };
    let cidrs = if record.deleting { &[][..] } else { &network.allowed_cidrs[..] };
    let rules = app.ec2.rules(&groups).await?;
    let changes = ingress::changes(server, first, app.sftp_port, cidrs, &rules);
    // What is no longer trusted goes first, and no refused rule holds up another.
    let mut trouble = None;
    for (group, rule) in &changes.revoke {
        tracing::info!(%server, %group, rule, "taking a rule back");
        if let Err(error) = app.ec2.revoke(group, rule).await {
            trouble.get_or_insert(error);
        }
    }
    for cidr in &changes.authorize {
        tracing::info!(%server, group = %first, %cidr, "letting an address block in");
        let description = ingress::description(server);
        if let Err(error) = app.ec2.authorize(first, cidr, app.sftp_port, &description).await {
            trouble.get_or_insert(error);
        }
    }
    trouble.map_or(Ok(()), |error| Err(error.into()))
}
