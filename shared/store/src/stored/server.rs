//! What is wanted of a server, in the table.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use wharfinger_decisions::{
    cidr::Cidr,
    duration::HumanDuration,
    ids::{AllocationId, FileSystemId, RoleArn, SecurityGroupId, SubnetId, VpcId},
    placement::DriftPolicy,
    server::{Asker, IdleAction, IdlePolicy, Network, Power, ServerIntent, ServerSpec, WantedPower},
};

use super::{Intent, part, read};

#[derive(Deserialize)]
struct StoredIntent {
    spec: StoredSpec,
    power: StoredPower,
}

#[derive(Deserialize)]
struct StoredSpec {
    file_system_id: String,
    network: StoredNetwork,
    #[serde(default)]
    idle: Option<StoredIdle>,
    #[serde(default)]
    user_role_arn: Option<String>,
    #[serde(default)]
    manual_keep: Option<String>,
    #[serde(default)]
    drain_for: Option<String>,
    #[serde(default)]
    drift: Value,
}

#[derive(Default, Deserialize)]
struct StoredNetwork {
    vpc_id: String,
    subnet_ids: Vec<String>,
    security_group_ids: Vec<String>,
    #[serde(default)]
    address_allocation_ids: Vec<String>,
    #[serde(default)]
    allowed_cidrs: Vec<String>,
}

#[derive(Deserialize)]
struct StoredIdle {
    after: String,
    action: Value,
}

#[derive(Deserialize)]
struct StoredPower {
    power: Power,
    #[serde(default)]
    by: Value,
    #[serde(default)]
    reason: String,
    at: Timestamp,
}

impl Intent for ServerIntent {
    /// A power that this version does not know makes the server unreadable: whatever it did, it might open a door that
    /// is to stay shut, or make and bill a server that is to sleep.
    fn from_stored(value: &Value) -> Result<Self, String> {
        let StoredIntent { spec, power } = read(value)?;
        Ok(Self { spec: spec.into(), power: power.into() })
    }

    fn remains(value: &Value) -> Self {
        let network = StoredNetwork {
            vpc_id: part(value, "/spec/network/vpc_id"),
            subnet_ids: part(value, "/spec/network/subnet_ids"),
            security_group_ids: part(value, "/spec/network/security_group_ids"),
            address_allocation_ids: part(value, "/spec/network/address_allocation_ids"),
            allowed_cidrs: part(value, "/spec/network/allowed_cidrs"),
        };
        let spec = ServerSpec {
            file_system_id: FileSystemId::from_stored(part::<String>(value, "/spec/file_system_id")),
            network: network.into(),
            idle: None,
            user_role_arn: None,
            manual_keep: None,
            drain_for: None,
            drift: None,
        };
        let power = value.pointer("/power").and_then(|power| StoredPower::deserialize(power).ok());
        let unknown = || WantedPower {
            power: Power::Stopped,
            by: Asker::Person("unknown".into()),
            reason: "what was wanted can't be read".into(),
            at: Timestamp::UNIX_EPOCH,
        };
        Self { spec, power: power.map_or_else(unknown, Into::into) }
    }
}

impl From<StoredSpec> for ServerSpec {
    fn from(stored: StoredSpec) -> Self {
        Self {
            file_system_id: FileSystemId::from_stored(stored.file_system_id),
            network: stored.network.into(),
            idle: stored.idle.and_then(StoredIdle::policy),
            user_role_arn: stored.user_role_arn.map(RoleArn::from_stored),
            manual_keep: stored.manual_keep.as_deref().and_then(HumanDuration::from_stored),
            drain_for: stored.drain_for.as_deref().and_then(HumanDuration::from_stored),
            // What this version does not know interrupts nobody.
            drift: DriftPolicy::deserialize(&stored.drift).ok(),
        }
    }
}

impl From<StoredNetwork> for Network {
    fn from(stored: StoredNetwork) -> Self {
        Self {
            vpc_id: VpcId::from_stored(stored.vpc_id),
            subnet_ids: all(stored.subnet_ids, SubnetId::from_stored),
            security_group_ids: all(stored.security_group_ids, SecurityGroupId::from_stored),
            address_allocation_ids: all(stored.address_allocation_ids, AllocationId::from_stored),
            allowed_cidrs: all(stored.allowed_cidrs, Cidr::from_stored),
        }
    }
}

fn all<T>(texts: Vec<String>, from_stored: fn(String) -> T) -> Vec<T> {
    texts.into_iter().map(from_stored).collect()
}

impl StoredIdle {
    /// `None` for a policy that this version does not know: it leaves such a server as it is.
    fn policy(self) -> Option<IdlePolicy> {
        let action = IdleAction::deserialize(&self.action).ok()?;
        Some(IdlePolicy { after: HumanDuration::from_stored(&self.after)?, action })
    }
}

impl From<StoredPower> for WantedPower {
    fn from(stored: StoredPower) -> Self {
        // Whoever asked counts as a person, whose wish the idle sweep respects longest.
        let by = Asker::deserialize(&stored.by).unwrap_or_else(|_| Asker::Person("unknown".into()));
        Self { power: stored.power, by, reason: stored.reason, at: stored.at }
    }
}
