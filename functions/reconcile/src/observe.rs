//! A server as AWS shows it: independent answers, each of which may have failed. Only the steps that need a failed
//! answer wait for it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use wharfinger_aws::{
    ec2::{ElasticIp, VpcEndpoint},
    error::AwsError,
    preflight::{self, NewNetwork},
    transfer::Server,
};
use wharfinger_decisions::{
    deployment::OtherServer,
    ids::AllocationId,
    ingress::Rule,
    power::{self, AwsState, History, Observed, Placement, Recorded, Situation},
    preflight::Obstacle,
    server::{Endpoint, ServerSpec},
};

use crate::{
    memory::Memory,
    search::{Found, Others},
    visit::Visit,
};

/// How long AWS may take to show a new server. It gives no figure; some seconds are usual.
const SHOWN_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// What AWS shows of a server.
#[derive(Debug)]
pub(crate) struct Observation {
    /// The server, or `None` if AWS has none with its id, and none that bears our tags and is proven to be ours.
    pub(crate) server: Result<Option<Server>, AwsError>,
    /// The server with its id or our tags, if it is another deployment's, or may be ours and nothing proves it: AWS has
    /// none for us then. While no server can be observed, what was known last.
    pub(crate) other: Option<OtherServer>,
    /// Further servers with the same tags. `None` if there was no search.
    pub(crate) others: Option<Result<Others, AwsError>>,
    /// Its VPC endpoint, once there is one.
    pub(crate) endpoint: Result<Option<VpcEndpoint>, AwsError>,
    /// The wanted Elastic IPs that exist.
    pub(crate) elastic_ips: Result<BTreeMap<AllocationId, ElasticIp>, AwsError>,
    /// The ingress rules of the wanted groups and of the endpoint's groups.
    pub(crate) rules: Result<Vec<Rule>, AwsError>,
    /// The parts of a new network, or `None` if the network does not change.
    pub(crate) new_network: Option<NewNetwork>,
}

impl Visit<'_> {
    /// Observes the server, whose id is `known` if it has one, and its network.
    pub(crate) async fn observe(&self, known: Option<&str>, search: bool) -> Observation {
        let Found { server, other, others } = self.find(known, search).await;
        let found = server.as_ref().ok().and_then(Option::as_ref);
        let (elastic_ips, (endpoint, rules), new_network) =
            tokio::join!(self.elastic_ips(found), self.endpoint_and_rules(found), self.new_network(found));
        Observation { server, other, others, endpoint, elastic_ips, rules, new_network }
    }

    /// The wanted Elastic IPs, and those that the server has instead.
    async fn elastic_ips(&self, server: Option<&Server>) -> Result<BTreeMap<AllocationId, ElasticIp>, AwsError> {
        if self.record.deleting {
            return Ok(BTreeMap::new());
        }
        let attached = server.into_iter().flat_map(|server| &server.placement.addresses);
        let asked: BTreeSet<_> = self.network().address_allocation_ids.iter().chain(attached).cloned().collect();
        self.app.ec2.elastic_ips(&asked).await
    }

    async fn endpoint_and_rules(
        &self,
        server: Option<&Server>,
    ) -> (Result<Option<VpcEndpoint>, AwsError>, Result<Vec<Rule>, AwsError>) {
        let endpoint = match server.and_then(|server| server.vpc_endpoint_id.as_deref()) {
            Some(id) => self.app.ec2.endpoint(id).await,
            None => Ok(None),
        };
        let attached = endpoint.iter().flatten().flat_map(|endpoint| &endpoint.groups);
        let groups: BTreeSet<_> = self.network().security_group_ids.iter().chain(attached).cloned().collect();
        let rules = self.app.ec2.rules(&groups).await;
        (endpoint, rules)
    }

    async fn new_network(&self, server: Option<&Server>) -> Option<NewNetwork> {
        let changes = match server {
            Some(server) => server.placement != self.wanted.placement && !self.is_left_as_it_is(server),
            None => true,
        };
        if self.record.deleting || !changes {
            return None;
        }
        // Boxed: the calls that it holds side by side make it large.
        Some(Box::pin(NewNetwork::ask(&self.app.ec2, &self.app.file_systems, &self.record.intent.spec)).await)
    }

    /// Whether the placement of `server`, which somebody changed by hand, is told and not repaired.
    pub(crate) fn is_left_as_it_is(&self, server: &Server) -> bool {
        let history = self.completed(self.record.status.history.clone(), Some(server));
        server.state != AwsState::Offline && history.has_drifted(&self.wanted.placement, &server.placement)
    }

    /// Completes `history` by what the record tells of `server`.
    fn completed(&self, history: History, server: Option<&Server>) -> History {
        let spec = &self.record.intent.spec;
        let recorded = Recorded { spec, status: &self.record.status, version: self.record.version };
        recorded.complete(history, spec.drift(), server.map(|server| (server.id.as_str(), &server.placement)))
    }

    /// Returns what the next step is decided from.
    ///
    /// # Errors
    /// When the server itself could not be observed.
    pub(crate) fn situation<'a>(
        &self,
        observation: &'a Observation,
        memory: &Memory,
    ) -> Result<Situation, &'a AwsError> {
        let server = observation.server.as_ref()?.as_ref();
        let history = self.completed(memory.history.clone(), server);
        let obstacles = observation.obstacles(&self.record.intent.spec, &self.wanted.placement);
        let observed = |server: &Server| Observed {
            lacks_host_keys: !memory.has_keyed(&server.id),
            ..observation.observed(server)
        };
        let asked = self.record.status.making.map(|at| self.moment.present().duration_since(at));
        let making = asked.is_some_and(|passed| passed < SHOWN_WITHIN);
        let sleeps = memory.asleep.is_some();
        Ok(Situation { server: server.map(observed), making, sleeps, obstacles, history })
    }

    /// Returns where clients connect, or the last known endpoint if AWS can't be asked.
    pub(crate) async fn endpoint_for_clients(&self, observation: &Observation) -> Result<Option<Endpoint>, AwsError> {
        let Ok(Some(server)) = &observation.server else { return Ok(self.record.status.endpoint.clone()) };
        let (Ok(elastic_ips), Ok(endpoint)) = (&observation.elastic_ips, &observation.endpoint) else {
            return Ok(self.record.status.endpoint.clone());
        };
        let wanted = &self.network().address_allocation_ids;
        // In the order of the spec; somebody may have given it others by hand.
        let (first, attached) = (wanted.iter(), &server.placement.addresses);
        let others = attached.iter().filter(|id| !wanted.contains(id));
        let attached = first.filter(|id| attached.contains(*id)).chain(others);
        let mut addresses: Vec<String> =
            attached.filter_map(|id| elastic_ips.get(id)).map(|address| address.public_ip.clone()).collect();
        if wanted.is_empty()
            && let Some(endpoint) = endpoint
        {
            addresses = self.app.ec2.private_addresses(&endpoint.interfaces).await?;
        }
        let host = addresses.first().cloned();
        Ok(host.map(|host| Endpoint { host, port: self.app.sftp_port, addresses }))
    }
}

impl Observation {
    /// The server, if it could be observed and exists.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.server.as_ref().ok()?.as_ref()
    }

    fn observed(&self, server: &Server) -> Observed {
        let endpoint = match &self.endpoint {
            Err(_) => power::Endpoint::Unknown,
            Ok(None) => power::Endpoint::Absent,
            Ok(Some(endpoint)) => {
                power::Endpoint::Present { groups: endpoint.groups.clone(), available: endpoint.available }
            }
        };
        Observed { state: server.state, placement: server.placement.clone(), endpoint, lacks_host_keys: false }
    }

    /// Returns the obstacles to the `wanted` placement, which is that of `spec`.
    pub(crate) fn obstacles(&self, spec: &ServerSpec, wanted: &Placement) -> Vec<Obstacle> {
        let mut obstacles = preflight::addresses(&self.elastic_ips, &wanted.addresses, &self.server);
        obstacles.extend(self.endpoint.as_ref().err().map(preflight::unknown));
        obstacles.extend(self.new_network.iter().flat_map(|network| network.obstacles(spec)));
        obstacles
    }
}

#[cfg(test)]
mod tests {
    use wharfinger_decisions::power::AwsState;

    use super::*;
    use crate::testing::{self, refused};

    #[test]
    fn one_answer_that_is_missing_leaves_the_others() {
        let observation = Observation { elastic_ips: Err(refused()), ..testing::observation(AwsState::Online) };
        let obstacles = observation.obstacles(&testing::spec(), &testing::placement());
        assert!(matches!(&obstacles[..], [Obstacle::Unknown { temporary: false, .. }]), "{obstacles:?}");
        let endpoint = observation.observed(observation.server().unwrap()).endpoint;
        assert!(matches!(endpoint, power::Endpoint::Present { available: true, .. }));
    }

    #[test]
    fn an_address_that_is_gone_is_an_obstacle() {
        let observation = Observation { elastic_ips: Ok(BTreeMap::new()), ..testing::observation(AwsState::Online) };
        let obstacles = observation.obstacles(&testing::spec(), &testing::placement());
        assert!(matches!(&obstacles[..], [Obstacle::AddressMissing(_)]), "{obstacles:?}");
    }

    #[test]
    fn an_endpoint_that_cannot_be_seen_is_unknown_and_not_absent() {
        let observation = Observation { endpoint: Err(refused()), ..testing::observation(AwsState::Online) };
        let observed = observation.observed(observation.server().unwrap());
        assert_eq!(observed.endpoint, power::Endpoint::Unknown);
    }
}
