//! Transfer Family: servers. Host keys and users have their own modules.

mod host_keys;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_transfer::{
    Client,
    config::{Config, retry::RetryConfig},
    types::{DescribedServer, Domain, EndpointDetails, EndpointType, IdentityProviderType, Protocol, State, Tag},
};
use wharfinger_decisions::{
    ids::{AllocationId, SecurityGroupId, SubnetId, VpcId},
    power::{AwsState, Placement},
    settings::{self, Lost, Settings},
};

use crate::{
    error::{AwsError, Kind},
    raw::{Answer, extend_body},
    secrets::Secret,
};

/// The security policy of new servers whose settings name none.
/// <https://docs.aws.amazon.com/transfer/latest/userguide/security-policies.html>
pub const SECURITY_POLICY: &str = "TransferSecurityPolicy-2024-01";

/// Transfer Family in this account and Region.
#[derive(Clone, Debug)]
pub struct Transfer {
    client: Client,
}

/// A server as AWS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// AWS's id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Its state.
    pub state: AwsState,
    /// Its VPC.
    pub vpc_id: Option<String>,
    /// Its subnets and Elastic IPs.
    pub placement: Placement,
    /// Its VPC endpoint, once there is one.
    pub vpc_endpoint_id: Option<String>,
    /// The SHA-256 fingerprint of its host key.
    pub host_key_fingerprint: Option<String>,
    /// How many users it has.
    pub user_count: i32,
    /// The ARN of the log group that takes its structured log.
    pub log_group_arn: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What a rebuilt server is to be given of what our spec does not name.
    pub settings: Settings,
    /// What a rebuilt server can't be given.
    pub lost: Vec<Lost>,
}

/// A server to create.
#[derive(Clone, Debug)]
pub struct NewServer<'a> {
    /// Its VPC.
    pub vpc_id: &'a VpcId,
    /// Its subnets.
    pub subnet_ids: &'a [SubnetId],
    /// Its security groups.
    pub security_group_ids: &'a [SecurityGroupId],
    /// Its private host key in OpenSSH's form.
    pub host_key: &'a Secret,
    /// Our tags.
    pub tags: &'a BTreeMap<String, String>,
    /// What it is given beside: of a rebuilt server, what was recorded of it.
    pub settings: &'a Settings,
}

impl Transfer {
    /// Transfer Family as `client` reaches it.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The same, but each call is sent once: for callers who try again at their own time.
    #[must_use]
    pub fn once(&self) -> Self {
        let once = self.client.config().to_builder().retry_config(RetryConfig::disabled());
        Self { client: Client::from_conf(once.build()) }
    }

    /// Reads the server `id`, or `None` if it does not exist.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn server(&self, id: &str) -> Result<Option<Server>, AwsError> {
        let raw = Answer::default();
        let call = self.client.describe_server().server_id(id).customize().interceptor(raw.clone());
        match call.send().await.map_err(|error| AwsError::sort(format!("describe server {id}"), error)) {
            Ok(answer) => answer.server.map(|server| seen(id, &server, &raw)).transpose(),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The ids of all servers.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn server_ids(&self) -> Result<Vec<String>, AwsError> {
        let mut listed = self.client.list_servers().into_paginator().items().send();
        let mut ids = Vec::new();
        while let Some(server) = listed.next().await {
            let server = server.map_err(|error| AwsError::sort("list servers", error))?;
            ids.extend(server.server_id().map(str::to_owned));
        }
        Ok(ids)
    }

    /// Creates a server for SFTP on EFS in a VPC and returns its id. AWS starts it at once.
    ///
    /// The call has no client token, so a repeat after a lost answer would create a second, billed server. It is sent
    /// only once, and a caller without an answer must search for the tags before the next try.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn create_server(&self, new: &NewServer<'_>) -> Result<String, AwsError> {
        let details = EndpointDetails::builder()
            .vpc_id(new.vpc_id.as_str())
            .set_subnet_ids(Some(new.subnet_ids.iter().map(|id| id.to_string()).collect()))
            .set_security_group_ids(Some(new.security_group_ids.iter().map(|id| id.to_string()).collect()))
            .build();
        let tags: BTreeMap<_, _> = new.settings.tags.iter().chain(new.tags).collect();
        let members = new.settings.members.clone();
        let call = self
            .client
            .create_server()
            .domain(Domain::Efs)
            .endpoint_type(EndpointType::Vpc)
            .endpoint_details(details)
            .identity_provider_type(IdentityProviderType::ServiceManaged)
            .protocols(Protocol::Sftp)
            .security_policy_name(SECURITY_POLICY)
            .host_key(new.host_key.reveal())
            .set_tags(Some(tag_list(tags)));
        let once = Config::builder().retry_config(RetryConfig::disabled());
        let call = call.customize().config_override(once).mutate_request(move |request| extend_body(request, &members));
        let answer = call.send().await;
        Ok(answer.map_err(|error| AwsError::sort("create a server", error))?.server_id)
    }

    /// Sets subnets and Elastic IPs of an offline server. AWS can't change both in one call.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn set_network(
        &self,
        id: &str,
        subnets: &BTreeSet<SubnetId>,
        addresses: Option<&[AllocationId]>,
    ) -> Result<(), AwsError> {
        let addresses = addresses.map(|addresses| addresses.iter().map(|id| id.to_string()).collect());
        let details = EndpointDetails::builder()
            .set_subnet_ids(Some(subnets.iter().map(|id| id.to_string()).collect()))
            .set_address_allocation_ids(addresses)
            .build();
        let answer = self.client.update_server().server_id(id).endpoint_details(details).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("set subnets and Elastic IPs of server {id}"), error))
    }

    /// Sends the structured log of a server to the log group `arn`, which ends with `:*`. Sessions go on.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn set_log_destination(&self, id: &str, arn: &str) -> Result<(), AwsError> {
        let answer = self.client.update_server().server_id(id).structured_log_destinations(arn).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("set the log group of server {id}"), error))
    }

    /// Gives the server or user with this ARN `tags`, beside those that it has under other keys.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        let answer = self.client.tag_resource().arn(arn).set_tags(Some(tag_list(tags))).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("tag {arn}"), error))
    }

    /// Starts a server. Has no effect on one that is online.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn start_server(&self, id: &str) -> Result<(), AwsError> {
        let answer = self.client.start_server().server_id(id).send().await;
        answer.map(drop).map_err(|error| AwsError::sort(format!("start server {id}"), error))
    }

    /// Stops a server: it refuses clients, and is billed as before. Succeeds if AWS is stopping it already: when an answer
    /// is lost the SDK asks again, which AWS refuses.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn stop_server(&self, id: &str) -> Result<(), AwsError> {
        let answer = self.client.stop_server().server_id(id).send().await;
        match answer.map_err(|error| AwsError::sort(format!("stop server {id}"), error)) {
            Err(error) if error.is_temporary() || !self.is_shut(id).await => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether a server is known to be shut, or to be on the way.
    async fn is_shut(&self, id: &str) -> bool {
        let server = self.server(id).await.ok().flatten();
        server.is_some_and(|server| matches!(server.state, AwsState::Stopping | AwsState::Offline))
    }

    /// Deletes a server and its users. Succeeds if it does not exist.
    ///
    /// # Errors
    /// When AWS fails or refuses.
    pub async fn delete_server(&self, id: &str) -> Result<(), AwsError> {
        let answer = self.client.delete_server().server_id(id).send().await;
        match answer.map_err(|error| AwsError::sort(format!("delete server {id}"), error)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

fn seen(id: &str, server: &DescribedServer, raw: &Answer) -> Result<Server, AwsError> {
    let details = server.endpoint_details();
    let (settings, lost) = settings::read(&raw.json().unwrap_or_default()["Server"]);
    let ids = |list: Option<&[String]>| list.unwrap_or_default().to_vec();
    Ok(Server {
        id: id.to_owned(),
        arn: server.arn().to_owned(),
        state: state(id, server.state())?,
        vpc_id: details.and_then(EndpointDetails::vpc_id).map(str::to_owned),
        placement: Placement {
            subnets: parsed(ids(details.map(EndpointDetails::subnet_ids)), SubnetId::parse),
            addresses: parsed(ids(details.map(EndpointDetails::address_allocation_ids)), AllocationId::parse),
        },
        vpc_endpoint_id: details.and_then(EndpointDetails::vpc_endpoint_id).map(str::to_owned),
        host_key_fingerprint: server.host_key_fingerprint().map(fingerprint),
        user_count: server.user_count().unwrap_or_default(),
        log_group_arn: server.structured_log_destinations().first().cloned(),
        tags: tag_map(server.tags()),
        settings,
        lost,
    })
}

fn state(id: &str, state: Option<&State>) -> Result<AwsState, AwsError> {
    match state {
        Some(State::Offline) => Ok(AwsState::Offline),
        Some(State::Online) => Ok(AwsState::Online),
        Some(State::Starting) => Ok(AwsState::Starting),
        Some(State::Stopping) => Ok(AwsState::Stopping),
        Some(State::StartFailed) => Ok(AwsState::StartFailed),
        Some(State::StopFailed) => Ok(AwsState::StopFailed),
        other => Err(AwsError {
            action: format!("describe server {id}"),
            kind: Kind::Unanswered(format!("its state is {other:?}, which this version does not know")),
        }),
    }
}

/// Ids of an unknown form are dropped: they can't be ones that we asked for.
fn parsed<T: Ord, E>(ids: Vec<String>, parse: impl Fn(String) -> Result<T, E>) -> BTreeSet<T> {
    ids.into_iter().filter_map(|id| parse(id).ok()).collect()
}

/// As clients show it: `SHA256:…` without padding.
fn fingerprint(text: &str) -> String {
    let body = text.strip_prefix("SHA256:").unwrap_or(text);
    format!("SHA256:{}", body.trim_end_matches('='))
}

fn tag_map(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
}

fn tag_list<'a>(tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| {
        Tag::builder().key(key).value(value).build().expect("key and value are given")
    };
    tags.into_iter().map(tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_as_clients_show_it() {
        assert_eq!(fingerprint("SHA256:abc="), "SHA256:abc");
        assert_eq!(fingerprint("abc"), "SHA256:abc");
    }
}
