//! The VPC endpoint of a server, and AWS's rules on what of it can change when.

use serde_json::{Map, Value};

use super::{
    Transfer,
    state::{Phase, Server, VpcEndpoint, invalid, text},
};
use crate::error::AwsError;

/// Subnets that a server can be in.
const SUBNETS: usize = 3;

impl Transfer {
    /// The VPC endpoint of a server of `endpoint_type`; none for a public one.
    pub(super) fn create_endpoint(
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
        check_subnets(&subnet_ids)?;
        let groups = ids(details, "SecurityGroupIds");
        let made = self.network.create_endpoint(vpc_id, &subnet_ids, &groups).map_err(of_transfer)?;
        let (vpc_id, changed) = (vpc_id.to_owned(), None);
        Ok(Some(VpcEndpoint { id: made.id, vpc_id, subnet_ids, address_allocation_ids: Vec::new(), changed }))
    }

    pub(super) fn update_endpoint(
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
        let Some(details) = input.get("EndpointDetails").and_then(Value::as_object) else { return Ok(()) };
        let subnets = new_subnets(endpoint, details)?;
        let addresses = new_addresses(endpoint, subnets.as_deref(), details)?;
        if addresses.is_some() && !offline {
            return Err(invalid("Server must be OFFLINE to change AddressAllocationIds"));
        }
        if addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()) && is_dual_stack(settings) {
            return Err(invalid("AddressAllocationIds cannot be set for IpAddressType DUALSTACK"));
        }
        self.change_endpoint(endpoint, subnets, addresses)
    }

    fn change_endpoint(
        &self,
        endpoint: &mut VpcEndpoint,
        subnets: Option<Vec<String>>,
        addresses: Option<Vec<String>>,
    ) -> Result<(), AwsError> {
        if let Some(subnets) = subnets {
            self.network.move_endpoint(&endpoint.id, &subnets).map_err(of_transfer)?;
            endpoint.subnet_ids = subnets;
            endpoint.changed = Some(self.context.clock.now());
        }
        if let Some(addresses) = addresses {
            self.network.attach_addresses(&endpoint.id, &addresses).map_err(of_transfer)?;
            endpoint.address_allocation_ids = addresses;
        }
        Ok(())
    }

    /// The VPC endpoint can be used some time after ONLINE is reported, and some time after its subnets have changed.
    pub(super) fn endpoint_is_available(&self, server: &Server) -> Result<(), AwsError> {
        let Some(endpoint) = &server.endpoint else { return Ok(()) };
        let now = self.context.clock.now();
        let recent = |since: jiff::Timestamp| now.duration_since(since).unsigned_abs() < self.context.pace.endpoint_lag;
        let online_since = server.online_since.filter(|_| server.phase == Phase::Online);
        if online_since.is_some_and(recent) || endpoint.changed.is_some_and(recent) {
            return Err(AwsError::client("ConflictException", "VPC Endpoint state is not yet available"));
        }
        Ok(())
    }
}

/// Whether a server with these settings has IPv6 addresses, too.
pub(super) fn is_dual_stack(settings: &Map<String, Value>) -> bool {
    text(settings, "IpAddressType") == "DUALSTACK"
}

/// The subnets that an update moves an endpoint to; none if they stay.
fn new_subnets(endpoint: &VpcEndpoint, details: &Map<String, Value>) -> Result<Option<Vec<String>>, AwsError> {
    if !ids(details, "SecurityGroupIds").is_empty() {
        return Err(invalid("SecurityGroupIds of a VPC endpoint are changed with EC2's ModifyVpcEndpoint"));
    }
    if details.get("VpcId").is_some_and(|vpc| *vpc != endpoint.vpc_id.as_str()) {
        return Err(invalid("VpcId of a VPC-hosted server cannot be changed"));
    }
    let subnets = ids(details, "SubnetIds");
    check_subnets(&subnets)?;
    let stays = subnets.len() == endpoint.subnet_ids.len() && subnets.iter().all(|id| endpoint.subnet_ids.contains(id));
    if subnets.is_empty() || stays {
        return Ok(None);
    }
    if !endpoint.address_allocation_ids.is_empty() {
        return Err(invalid("AddressAllocationIds must be removed before SubnetIds can be modified"));
    }
    Ok(Some(subnets))
}

/// The Elastic IPs that an update gives an endpoint; none if it does not say.
fn new_addresses(
    endpoint: &VpcEndpoint,
    subnets: Option<&[String]>,
    details: &Map<String, Value>,
) -> Result<Option<Vec<String>>, AwsError> {
    if !details.contains_key("AddressAllocationIds") {
        return Ok(None);
    }
    let addresses = ids(details, "AddressAllocationIds");
    if addresses.is_empty() {
        return Ok(Some(addresses));
    }
    if subnets.is_some() {
        return Err(invalid("Specified SubnetIds must exist in the server before attaching AddressAllocationIds"));
    }
    if addresses.len() != endpoint.subnet_ids.len() {
        return Err(invalid("The number of AddressAllocationIds must be that of SubnetIds"));
    }
    if has_doubles(&addresses) {
        return Err(invalid("AddressAllocationIds must not have duplicates"));
    }
    Ok(Some(addresses))
}

fn check_subnets(subnets: &[String]) -> Result<(), AwsError> {
    if subnets.len() > SUBNETS {
        return Err(invalid(format!("A server can have at most {SUBNETS} SubnetIds")));
    }
    if has_doubles(subnets) {
        return Err(invalid("SubnetIds must not have duplicates"));
    }
    Ok(())
}

fn has_doubles(ids: &[String]) -> bool {
    ids.iter().enumerate().any(|(index, id)| ids[..index].contains(id))
}

/// What EC2 refuses to Transfer Family, which passes on the sentence but not the code.
fn of_transfer(error: AwsError) -> AwsError {
    invalid(error.message)
}

fn ids(details: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = details.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
