//! The server as AWS shows it: found by its id, or by our tags when its id is not known or leads nowhere.

use std::collections::{BTreeMap, BTreeSet};

use wharfinger_aws::{
    ec2::{ElasticIp, VpcEndpoint},
    transfer::Server,
};
use wharfinger_decisions::{
    ids::AllocationId,
    names::ServerName,
    power::Observed,
    server::{Endpoint, Network},
};
use wharfinger_store::servers::ServerRecord;

use crate::{app::App, trouble::Trouble};

/// The tag that says which server of ours it is.
pub(crate) const SERVER_TAG: &str = "wharfinger:server";

/// The tag that says which deployment it belongs to.
const DEPLOYMENT_TAG: &str = "wharfinger:deployment";

/// What AWS shows of a server.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The server.
    pub(crate) server: Option<Server>,
    /// Its VPC endpoint, once it can be seen.
    pub(crate) endpoint: Option<VpcEndpoint>,
    /// The wanted Elastic IPs.
    pub(crate) elastic_ips: BTreeMap<AllocationId, ElasticIp>,
    /// Further servers with the same tags: billed, and nobody's.
    pub(crate) doubles: Vec<String>,
}

/// The tags of `server` and its users.
pub(crate) fn tags(app: &App, server: &ServerName) -> BTreeMap<String, String> {
    let deployment = app.secret_prefix.trim_end_matches('/').to_owned();
    [(SERVER_TAG.to_owned(), server.to_string()), (DEPLOYMENT_TAG.to_owned(), deployment)].into()
}

/// Looks at `server`, whose id is `known` if it has one.
pub(crate) async fn look(
    app: &App,
    server: &ServerName,
    record: &ServerRecord,
    known: Option<&str>,
) -> Result<Sight, Trouble> {
    let (found, doubles) = find(app, server, known).await?;
    let wanted = &record.intent.spec.network.address_allocation_ids;
    let elastic_ips = async { if record.deleting { Ok(BTreeMap::new()) } else { app.ec2.elastic_ips(wanted).await } };
    let endpoint = async {
        match found.as_ref().and_then(|found| found.vpc_endpoint_id.as_deref()) {
            Some(id) => app.ec2.endpoint(id).await,
            None => Ok(None),
        }
    };
    let (elastic_ips, endpoint) = tokio::try_join!(elastic_ips, endpoint)?;
    Ok(Sight { server: found, endpoint, elastic_ips, doubles })
}

async fn find(app: &App, server: &ServerName, known: Option<&str>) -> Result<(Option<Server>, Vec<String>), Trouble> {
    if let Some(id) = known
        && let Some(found) = app.transfer.server(id).await?
    {
        return Ok((Some(found), Vec::new()));
    }
    let mut found = app.transfer.tagged_servers(&tags(app, server)).await?;
    // The one with users is the one in use; the order of ids makes the choice the same each time.
    found.sort_by(|one, other| other.user_count.cmp(&one.user_count).then_with(|| one.id.cmp(&other.id)));
    let mut found = found.into_iter();
    let kept = found.next();
    Ok((kept, found.map(|double| double.id).collect()))
}

impl Sight {
    /// What the plan needs.
    pub(crate) fn observed(&self) -> Option<Observed> {
        let server = self.server.as_ref()?;
        let held = |(allocation, address): (&AllocationId, &ElasticIp)| {
            (address.held && !server.addresses.contains(allocation)).then(|| allocation.clone())
        };
        Some(Observed {
            state: server.state,
            subnets: server.subnets.clone(),
            addresses: server.addresses.clone(),
            groups: self.endpoint.as_ref().map(|endpoint| endpoint.groups.clone()),
            held_elsewhere: self.elastic_ips.iter().filter_map(held).collect::<BTreeSet<_>>(),
        })
    }

    /// Where clients connect, as far as it is known.
    pub(crate) async fn endpoint_for_clients(&self, app: &App, network: &Network) -> Result<Option<Endpoint>, Trouble> {
        let Some(server) = &self.server else { return Ok(None) };
        let attached = network.address_allocation_ids.iter().filter(|id| server.addresses.contains(*id));
        let mut addresses: Vec<String> =
            attached.filter_map(|id| self.elastic_ips.get(id)).map(|address| address.public_ip.clone()).collect();
        if network.address_allocation_ids.is_empty()
            && let Some(endpoint) = &self.endpoint
        {
            addresses = app.ec2.private_addresses(&endpoint.interfaces).await?;
        }
        let host = addresses.first().cloned();
        Ok(host.map(|host| Endpoint { host, port: app.sftp_port, addresses }))
    }
}
