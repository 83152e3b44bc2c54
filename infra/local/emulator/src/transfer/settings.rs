//! What the settings of a server may be.

use serde_json::{Map, Value};

use super::{
    Transfer,
    state::{invalid, text},
};
use crate::error::AwsError;

/// <https://docs.aws.amazon.com/transfer/latest/userguide/security-policies.html>
const SECURITY_POLICIES: [&str; 18] = [
    "TransferSecurityPolicy-2018-11",
    "TransferSecurityPolicy-2020-06",
    "TransferSecurityPolicy-2022-03",
    "TransferSecurityPolicy-2023-05",
    "TransferSecurityPolicy-2024-01",
    "TransferSecurityPolicy-2025-03",
    "TransferSecurityPolicy-AS2Restricted-2025-07",
    "TransferSecurityPolicy-FIPS-2020-06",
    "TransferSecurityPolicy-FIPS-2023-05",
    "TransferSecurityPolicy-FIPS-2024-01",
    "TransferSecurityPolicy-FIPS-2024-05",
    "TransferSecurityPolicy-FIPS-2025-03",
    "TransferSecurityPolicy-PQ-SSH-Experimental-2023-04",
    "TransferSecurityPolicy-PQ-SSH-FIPS-Experimental-2023-04",
    "TransferSecurityPolicy-Restricted-2018-11",
    "TransferSecurityPolicy-Restricted-2020-06",
    "TransferSecurityPolicy-Restricted-2024-06",
    "TransferSecurityPolicy-SshAuditCompliant-2025-02",
];

impl Transfer {
    pub(super) fn check_settings(&self, settings: &Map<String, Value>) -> Result<(), AwsError> {
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
        let policy = text(settings, "SecurityPolicyName");
        if !SECURITY_POLICIES.contains(&policy) {
            return Err(invalid(format!("Security policy {policy} does not exist")));
        }
        check_protocol_details(settings)?;
        self.check_log_destinations(settings)
    }

    /// Structured logs go to one log group, which is there.
    fn check_log_destinations(&self, settings: &Map<String, Value>) -> Result<(), AwsError> {
        let Some(arn) = log_destination(settings) else { return Ok(()) };
        if self.logs.find(arn).is_some() {
            return Ok(());
        }
        Err(invalid(format!("The log group {arn} of StructuredLogDestinations does not exist")))
    }
}

/// The ARN of the log group that takes a server's structured logs.
pub(super) fn log_destination(settings: &Map<String, Value>) -> Option<&str> {
    settings.get("StructuredLogDestinations")?.as_array()?.first()?.as_str()
}

/// Refuses what this region does not do: other ports than its own, and what proxies say of clients.
fn check_protocol_details(settings: &Map<String, Value>) -> Result<(), AwsError> {
    let details = &settings["ProtocolDetails"];
    if details.get("SftpPorts").is_some() {
        return Err(invalid("SftpPorts can only be set for EndpointType PUBLIC, and not in this region"));
    }
    match details["ProxyConfig"]["SftpMode"].as_str() {
        None | Some("NONE") => Ok(()),
        Some(_) => Err(invalid("This region reads no PROXY protocol headers: SftpMode of ProxyConfig must be NONE")),
    }
}
