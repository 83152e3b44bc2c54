//! A server: what is wanted of it, and what is known of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    cidr::Cidr,
    duration::HumanDuration,
    ids::{AllocationId, FileSystemId, RoleArn, SecurityGroupId, SubnetId, VpcId},
    text::Invalid,
};

/// Transfer Family takes "up to three Elastic IPv4 addresses" at an endpoint.
/// <https://docs.aws.amazon.com/transfer/latest/APIReference/API_EndpointDetails.html>
const MOST_ADDRESSES: usize = 3;

/// What a person wants of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSpec {
    /// The file system that its users see. Fixed once the server exists.
    pub file_system_id: FileSystemId,
    /// Where it listens and who may reach it.
    pub network: Network,
    /// When it is stopped for want of use; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdlePolicy>,
    /// The IAM role that its users carry; absent: the role that the deployment was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_role_arn: Option<RoleArn>,
}

/// Where a server listens and who may reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The VPC of the endpoint. Fixed once the server exists.
    pub vpc_id: VpcId,
    /// The subnets of the endpoint: 1 to 16, one in each Availability Zone.
    pub subnet_ids: Vec<SubnetId>,
    /// The endpoint's security groups: 1 to 5. Rules for `allowed_cidrs` go into the first.
    pub security_group_ids: Vec<SecurityGroupId>,
    /// Elastic IPs, one for each subnet and at most 3; empty: the server is reached inside the VPC only.
    #[serde(default)]
    pub address_allocation_ids: Vec<AllocationId>,
    /// The addresses that may reach the SFTP port; rules made by others are left alone.
    #[serde(default)]
    pub allowed_cidrs: Vec<Cidr>,
}

/// When a server is idle, and what is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdlePolicy {
    /// How long nobody must have been there.
    pub after: HumanDuration,
    /// What is done then.
    pub action: IdleAction,
}

/// What is done with an idle server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleAction {
    /// The door is shut. AWS bills a stopped server like one that is online.
    Stop,
    /// The server is recorded and deleted, which stops the bill.
    Sleep,
}

impl ServerSpec {
    /// What no single field can say: counts that belong together, repeats.
    ///
    /// # Errors
    /// The JSON pointer of the field, and a sentence that says what is allowed.
    pub fn check(&self) -> Result<(), (&'static str, Invalid)> {
        let network = &self.network;
        count("/network/subnet_ids", &network.subnet_ids, 1, 16)?;
        count("/network/security_group_ids", &network.security_group_ids, 1, 5)?;
        count("/network/allowed_cidrs", &network.allowed_cidrs, 0, 50)?;
        count("/network/address_allocation_ids", &network.address_allocation_ids, 0, MOST_ADDRESSES)?;
        let (addresses, subnets) = (network.address_allocation_ids.len(), network.subnet_ids.len());
        if addresses != 0 && addresses != subnets {
            return Err((
                "/network/address_allocation_ids",
                Invalid(format!(
                    "there are {addresses} Elastic IPs for {subnets} subnets: give one for each subnet, or none"
                )),
            ));
        }
        if self.idle.is_some_and(|idle| idle.action == IdleAction::Sleep) {
            return Err(("/idle/action", Invalid("\"sleep\" is not yet supported: use \"stop\"".into())));
        }
        Ok(())
    }

    /// What a changed spec may not change while the server exists: AWS has no call for it.
    ///
    /// # Errors
    /// The JSON pointer of the field, and a sentence that says what to do.
    pub fn check_change(&self, from: &Self) -> Result<(), (&'static str, Invalid)> {
        let fixed = |field, what: &str| {
            Err((
                field,
                Invalid(format!("the {what} of a server can't be changed: delete the server and make it anew")),
            ))
        };
        if self.file_system_id != from.file_system_id {
            return fixed("/file_system_id", "file system");
        }
        if self.network.vpc_id != from.network.vpc_id {
            return fixed("/network/vpc_id", "VPC");
        }
        Ok(())
    }
}

fn count<T: PartialEq>(
    field: &'static str,
    list: &[T],
    least: usize,
    most: usize,
) -> Result<(), (&'static str, Invalid)> {
    if !(least..=most).contains(&list.len()) {
        return Err((field, Invalid(format!("there are {} entries: give {least} to {most}", list.len()))));
    }
    let repeated = list.iter().enumerate().any(|(index, item)| list[..index].contains(item));
    if repeated { Err((field, Invalid("an entry is given twice".into()))) } else { Ok(()) }
}

/// What is wanted of a server: its spec, and the power that a person or the schedule asked for last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerIntent {
    /// What it should be.
    pub spec: ServerSpec,
    /// Whether its door should be open.
    pub power: WantedPower,
}

/// A power that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedPower {
    /// The power.
    pub power: Power,
    /// Who asked.
    pub by: Asker,
    /// Why, in a sentence for people.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Who asked for a power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// A person or program over the API: the caller's ARN, or `anonymous` where the API asks for no identity.
    Person(String),
    /// The idle sweep.
    Autostop,
}

/// The power of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// The door is open.
    Online,
    /// The door is shut; AWS bills as before.
    Stopped,
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerPhase {
    /// It is being made; clients can't reach it yet.
    #[default]
    Creating,
    /// It is on its way to online.
    Starting,
    /// Clients can reach it.
    Online,
    /// It is on its way to stopped.
    Stopping,
    /// The door is shut; AWS bills as before.
    Stopped,
    /// It is being deleted.
    Deleting,
    /// AWS refuses a step; `reason` says which and what to do. It is tried again.
    Failed,
}

/// What is known of a server. Written by `reconcile` alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// What it is doing.
    pub power: ServerPhase,
    /// Why it is so, or what is waited for, in a sentence for people.
    pub reason: String,
    /// Transfer Family's id; it changes when the server is rebuilt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Fingerprints of the host keys, as clients show them.
    #[serde(default)]
    pub host_key_fingerprints: Vec<String>,
    /// Since when it is online without a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online_since: Option<Timestamp>,
    /// The version of the intent that was last brought about in full.
    #[serde(default)]
    pub settled_version: u64,
    /// When `reconcile` last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Timestamp>,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The first public address, or the endpoint's private address where it has no Elastic IP.
    pub host: String,
    /// The SFTP port.
    pub port: u16,
    /// All addresses.
    pub addresses: Vec<String>,
}
