//! The operations on servers, with AWS's rules on what can change when.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Transfer,
    keys::HostKey,
    page::page,
    state::{Phase, Server, VpcEndpoint, invalid, read_tags, text},
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
        check_settings(&settings)?;
        let now = self.context.clock.epoch_seconds();
        let host_keys = match input.get("HostKey").and_then(Value::as_str) {
            Some(body) => vec![HostKey::parse(body, now)?],
            None => HostKey::generate(now)?,
        };
        let endpoint = self.create_endpoint(settings["EndpointType"].as_str().unwrap_or_default(), input)?;
        let server = Server {
            id: random_id("s-"),
            phase: Phase::Offline,
            transition: 0,
            online_since: None,
            settings,
            endpoint,
            host_keys,
            users: BTreeMap::new(),
            tags: read_tags(input),
        };
        let id = server.id.clone();
        self.state().servers.insert(id.clone(), server);
        self.begin_start(&id);
        Ok(json!({ "ServerId": id }))
    }

    /// The VPC endpoint of a server of `endpoint_type`; none for a public one.
    fn create_endpoint(
        &self,
        endpoint_type: &str,
        input: &Map<String, Value>,
    ) -> Result<Option<VpcEndpoint>, AwsError> {
        let no_details = Map::new();
        let details = input.get("EndpointDetails").and_then(Value::as_object).unwrap_or(&no_details);
        if endpoint_type == "PUBLIC" {
            let public = details.is_empty();
            return if public {
                Ok(None)
            } else {
                Err(invalid("EndpointDetails cannot be set for EndpointType PUBLIC"))
            };
        }
        if endpoint_type == "VPC_ENDPOINT" {
            return Err(invalid("EndpointType VPC_ENDPOINT is deprecated: use VPC"));
        }
        if !ids(details, "AddressAllocationIds").is_empty() {
            return Err(invalid("AddressAllocationIds cannot be set in CreateServer"));
        }
        if details.contains_key("VpcEndpointId") {
            return Err(invalid("VpcEndpointId cannot be set for EndpointType VPC"));
        }
        let (vpc_id, subnet_ids) = (text(details, "VpcId"), ids(details, "SubnetIds"));
        if vpc_id.is_empty() || subnet_ids.is_empty() {
            return Err(invalid("EndpointType VPC must have VpcId and SubnetIds in EndpointDetails"));
        }
        let groups = ids(details, "SecurityGroupIds");
        let made = self.network.create_endpoint(vpc_id, &subnet_ids, &groups).map_err(of_transfer)?;
        let vpc_id = vpc_id.to_owned();
        Ok(Some(VpcEndpoint { id: made.id, vpc_id, subnet_ids, address_allocation_ids: Vec::new() }))
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
        check_settings(&settings)?;
        let host_key = input.get("HostKey").and_then(Value::as_str).filter(|body| !body.is_empty());
        let host_key = host_key.map(|body| HostKey::parse(body, self.context.clock.epoch_seconds())).transpose()?;
        if input.contains_key("EndpointDetails") || settings.get("EndpointType") != server.settings.get("EndpointType")
        {
            self.update_endpoint(server, &settings, input)?;
        }
        server.settings = settings;
        if let Some(key) = host_key {
            match server.host_keys.iter_mut().find(|known| known.algorithm == key.algorithm) {
                Some(known) => *known = key,
                None => server.host_keys.insert(0, key),
            }
        }
        Ok(json!({ "ServerId": server.id }))
    }

    fn update_endpoint(
        &self,
        server: &mut Server,
        settings: &Map<String, Value>,
        input: &Map<String, Value>,
    ) -> Result<(), AwsError> {
        self.endpoint_is_available(server)?;
        let offline = server.phase == Phase::Offline;
        let endpoint_type = settings["EndpointType"].as_str().unwrap_or_default();
        if endpoint_type != server.setting("EndpointType") {
            if !offline {
                return Err(invalid("Server must be OFFLINE to change its EndpointType"));
            }
            let old = server.endpoint.take();
            server.endpoint = self.create_endpoint(endpoint_type, input)?;
            if let Some(old) = old {
                self.network.delete_endpoint(&old.id);
            }
            return Ok(());
        }
        let Some(endpoint) = &mut server.endpoint else {
            return Err(invalid("EndpointDetails cannot be set for EndpointType PUBLIC"));
        };
        let dual_stack = settings.get("IpAddressType").is_some_and(|kind| kind == "DUALSTACK");
        self.update_details(endpoint, offline, dual_stack, &input["EndpointDetails"])
    }

    fn update_details(
        &self,
        endpoint: &mut VpcEndpoint,
        offline: bool,
        dual_stack: bool,
        details: &Value,
    ) -> Result<(), AwsError> {
        let Some(details) = details.as_object() else { return Ok(()) };
        if !ids(details, "SecurityGroupIds").is_empty() {
            return Err(invalid("SecurityGroupIds of a VPC endpoint are changed with EC2's ModifyVpcEndpoint"));
        }
        if details.get("VpcId").is_some_and(|vpc| *vpc != endpoint.vpc_id.as_str()) {
            return Err(invalid("VpcId of a VPC-hosted server cannot be changed"));
        }
        let mut subnets = ids(details, "SubnetIds");
        subnets.sort();
        let mut known = endpoint.subnet_ids.clone();
        known.sort();
        if !subnets.is_empty() && subnets != known {
            return Err(invalid("This region cannot move a server to other subnets: delete it and create it there"));
        }
        let Some(_) = details.get("AddressAllocationIds") else { return Ok(()) };
        let addresses = ids(details, "AddressAllocationIds");
        if !offline {
            return Err(invalid("Server must be OFFLINE to change AddressAllocationIds"));
        }
        if dual_stack && !addresses.is_empty() {
            return Err(invalid("AddressAllocationIds cannot be set for IpAddressType DUALSTACK"));
        }
        if !addresses.is_empty() && addresses.len() != endpoint.subnet_ids.len() {
            return Err(invalid("The number of AddressAllocationIds must be that of SubnetIds"));
        }
        self.network.attach_addresses(&endpoint.id, &addresses).map_err(of_transfer)?;
        endpoint.address_allocation_ids = addresses;
        Ok(())
    }

    pub(super) fn start_server(&self, input: &Map<String, Value>) -> Result<Value, AwsError> {
        let id = text(input, "ServerId");
        let phase = self.state().server(id)?.phase;
        match phase {
            Phase::Online | Phase::Starting => Ok(Value::Null),
            Phase::Offline | Phase::StartFailed => {
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
            if server.phase != Phase::Online {
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
        if let Some(endpoint) = deleted.and_then(|server| server.endpoint) {
            self.release_endpoint(endpoint.id);
        }
        Ok(Value::Null)
    }

    /// ONLINE is reported some time before the VPC endpoint can be used.
    fn endpoint_is_available(&self, server: &Server) -> Result<(), AwsError> {
        let (Some(_), Phase::Online, Some(since)) = (&server.endpoint, server.phase, server.online_since) else {
            return Ok(());
        };
        let age = self.context.clock.now().duration_since(since);
        if age.unsigned_abs() >= self.context.pace.endpoint_lag {
            return Ok(());
        }
        Err(AwsError::client("ConflictException", "VPC Endpoint state is not yet available"))
    }
}

/// What EC2 refuses to Transfer Family, which passes on the sentence but not the code.
fn of_transfer(error: AwsError) -> AwsError {
    invalid(error.message)
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
        "SecurityPolicyName": "TransferSecurityPolicy-2018-11",
    });
    let mut settings = defaults.as_object().cloned().unwrap_or_default();
    settings.extend(given_settings(input));
    settings
}

fn check_settings(settings: &Map<String, Value>) -> Result<(), AwsError> {
    if settings["Protocols"].as_array().is_some_and(|list| list.iter().any(|protocol| protocol != "SFTP")) {
        return Err(invalid("This region speaks SFTP alone: Protocols must be [\"SFTP\"]"));
    }
    let managed = settings["IdentityProviderType"] == "SERVICE_MANAGED";
    if managed && settings.contains_key("IdentityProviderDetails") {
        return Err(invalid("IdentityProviderDetails cannot be set for IdentityProviderType SERVICE_MANAGED"));
    }
    if !managed && !settings.contains_key("IdentityProviderDetails") {
        return Err(invalid("Must specify IdentityProviderType with IdentityProviderDetails"));
    }
    Ok(())
}

fn ids(details: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = details.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
