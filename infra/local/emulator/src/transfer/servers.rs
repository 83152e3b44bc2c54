//! The operations on servers, with AWS's rules on what can change when.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Transfer,
    endpoint::is_dual_stack,
    host_keys::{HostKey, SECRETS_MANAGER},
    page::page,
    state::{Phase, Server, VpcEndpoint, invalid, read_tags, text},
    tags::check_tags,
};
use crate::{error::AwsError, ids::random_id};

/// Members that are stored and shown as they were given.
const SETTINGS: [&str; 15] = [
    "Certificate",
    "Domain",
    "EndpointType",
    "IdentityProviderDetails",
    "IdentityProviderType",
    "IpAddressType",
    "LoggingRole",
    "PostAuthenticationLoginBanner",
    "PreAuthenticationLoginBanner",
    "ProtocolDetails",
    "Protocols",
    "S3StorageOptions",
    "SecurityPolicyName",
    "StructuredLogDestinations",
    "WorkflowDetails",
];

impl Transfer {
    pub(super) fn create_server(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let settings = with_defaults(input);
        self.check_settings(&settings)?;
        check_tags(&read_tags(input))?;
        let now = self.context.clock.epoch_seconds();
        let host_keys = match input.get("HostKey").and_then(Value::as_str) {
            Some(body) => vec![HostKey::parse(body, now)?],
            None => HostKey::generate(now)?,
        };
        let endpoint = self.create_endpoint(settings["EndpointType"].as_str().unwrap_or_default(), input)?;
        let mut server = Server {
            id: random_id("s-"),
            phase: Phase::Offline,
            transition: 0,
            fails: false,
            online_since: None,
            settings,
            endpoint,
            host_keys,
            users: BTreeMap::new(),
            tags: read_tags(input),
        };
        let id = server.id.clone();
        if text(input, "HostKeyStorageType") == SECRETS_MANAGER {
            server.host_keys.iter_mut().for_each(|key| self.export_host_key(&id, key));
        }
        self.state().servers.insert(id.clone(), server);
        self.begin_start(&id);
        Ok(json!({ "ServerId": id }))
    }

    pub(super) fn describe_server(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        Ok(json!({ "Server": self.state().server(text(input, "ServerId"))?.describe(&self.context) }))
    }

    pub(super) fn list_servers(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let state = self.state();
        let items = state.servers.iter().map(|(id, server)| (id.as_str(), server.list(&self.context)));
        Ok(page(input, "Servers", items)?.into())
    }

    pub(super) fn update_server(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let mut state = self.state();
        let server = state.server_mut(text(input, "ServerId"))?;
        let mut settings = server.settings.clone();
        settings.extend(given_settings(input));
        self.check_settings(&settings)?;
        check_address_type(server, &settings)?;
        let host_key = input.get("HostKey").and_then(Value::as_str).filter(|body| !body.is_empty());
        let host_key = host_key.map(|body| HostKey::parse(body, self.context.clock.epoch_seconds())).transpose()?;
        if input.contains_key("EndpointDetails") || settings.get("EndpointType") != server.settings.get("EndpointType")
        {
            self.update_endpoint(server, &settings, input)?;
        }
        server.settings = settings;
        if let Some(key) = host_key {
            self.replace_host_key(server, key);
        }
        let id = server.id.clone();
        drop(state);
        self.follow_endpoint(&id);
        Ok(json!({ "ServerId": id }))
    }

    pub(super) fn start_server(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let id = text(input, "ServerId");
        let phase = self.state().server(id)?.phase;
        match phase {
            Phase::Online | Phase::Starting => Ok(Value::Null),
            Phase::Offline | Phase::StartFailed | Phase::StopFailed => {
                self.begin_start(id);
                Ok(Value::Null)
            }
            Phase::Stopping => Err(invalid("Server not in required state: OFFLINE")),
        }
    }

    pub(super) fn stop_server(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let id = text(input, "ServerId");
        {
            let state = self.state();
            let server = state.server(id)?;
            if !matches!(server.phase, Phase::Online | Phase::StopFailed) {
                return Err(invalid("Server not in required state: ONLINE"));
            }
            self.endpoint_is_available(server)?;
        }
        self.begin_stop(id);
        Ok(Value::Null)
    }

    pub(super) fn delete_server(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let id = text(input, "ServerId");
        let mut state = self.state();
        let server = state.server(id)?;
        let starting = server.phase == Phase::Starting && server.endpoint.is_some();
        if starting || self.endpoint_is_available(server).is_err() {
            return Err(invalid("Unable to delete VPC endpoint"));
        }
        let deleted = state.servers.remove(id);
        drop(state);
        self.close(id);
        let Some(deleted) = deleted else { return Ok(Value::Null) };
        deleted.host_keys.iter().for_each(|key| self.forget_host_key(key));
        if let Some(endpoint) = deleted.endpoint {
            self.release_endpoint(endpoint.id);
        }
        Ok(Value::Null)
    }
}

fn given_settings(input: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> + '_ {
    SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), input.get(*name)?.clone())))
}

/// What AWS fills in for members that are not given.
fn with_defaults(input: &Map<String, Value>) -> Map<String, Value> {
    let defaults = json!({
        "Domain": "S3",
        "EndpointType": "PUBLIC",
        "IdentityProviderType": "SERVICE_MANAGED",
        "IpAddressType": "IPV4",
        "ProtocolDetails": { "PassiveIp": "AUTO", "SetStatOption": "DEFAULT", "TlsSessionResumptionMode": "ENFORCED" },
        "Protocols": ["SFTP"],
        "SecurityPolicyName": "TransferSecurityPolicy-2024-01",
    });
    let mut settings = defaults.as_object().cloned().unwrap_or_default();
    settings.extend(given_settings(input));
    settings
}

/// The kind of addresses changes while a server is OFFLINE, and IPv6 excludes Elastic IPs.
fn check_address_type(server: &Server, settings: &Map<String, Value>) -> Result<(), AwsError> {
    if settings.get("IpAddressType") == server.settings.get("IpAddressType") {
        return Ok(());
    }
    if server.phase != Phase::Offline {
        return Err(invalid("Server must be OFFLINE to change its IpAddressType"));
    }
    let has_addresses = |endpoint: &VpcEndpoint| !endpoint.address_allocation_ids.is_empty();
    if is_dual_stack(settings) && server.endpoint.as_ref().is_some_and(has_addresses) {
        return Err(invalid("IpAddressType cannot be DUALSTACK for a server with AddressAllocationIds"));
    }
    Ok(())
}
