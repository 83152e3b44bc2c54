//! Mount targets: where a VPC reaches a file system.

use serde_json::{Value, json};

use super::{
    Efs, MARKERS,
    model::{MountTarget, bare, lifecycle},
    paged, refuse_unknown,
};
use crate::{
    ec2::zone_id,
    error::AwsError,
    ids::{ACCOUNT, random_id},
    input::{text, texts},
};

impl Efs {
    /// Adds a mount target with an id of one's own, that is available at once.
    ///
    /// # Errors
    /// EFS's errors for a file system, subnet or security group that does not exist, for a second mount target in an
    /// Availability Zone, and for one in another VPC.
    pub fn add_mount_target(
        &self,
        id: &str,
        file_system: &str,
        subnet: &str,
        groups: &[String],
    ) -> Result<Value, AwsError> {
        self.make_mount_target(MountTarget { available: 0.0, ..named(id, file_system) }, subnet, groups)
    }

    fn make_mount_target(&self, target: MountTarget, subnet: &str, groups: &[String]) -> Result<Value, AwsError> {
        let file_system = self.state().usable_file_system(&target.file_system, self.now())?.id.clone();
        let (vpc, zone) = self
            .ec2
            .subnet(subnet)
            .ok_or_else(|| AwsError::client("SubnetNotFound", format!("The subnet ID '{subnet}' does not exist")))?;
        let present: Vec<_> =
            self.state().mount_targets_of(&file_system).filter_map(|one| self.ec2.interface(&one.interface)).collect();
        if present.iter().any(|interface| interface.vpc != vpc) {
            return Err(conflict(
                "requested subnet for new mount target is not in the same VPC as existing mount targets",
            ));
        }
        if present.iter().any(|interface| interface.zone == zone) {
            return Err(conflict("mount target already exists in this AZ"));
        }
        let description = format!("EFS mount target for {file_system} ({})", target.id);
        let interface = self.ec2.create_interface(subnet, groups, &description).map_err(group_error)?;
        let target = MountTarget { file_system, interface: interface.id, ..target };
        let shown = self.show_mount_target(&target);
        self.state().mount_targets.insert(target.id.clone(), target);
        Ok(shown)
    }

    pub(super) fn create_mount_target(&self, input: &Value) -> Result<Value, AwsError> {
        let file_system = text(input, "FileSystemId").unwrap_or_default();
        let subnet = text(input, "SubnetId").unwrap_or_default();
        refuse_unknown(input, &["IpAddress", "IpAddressType", "Ipv6Address"])?;
        let target = MountTarget { available: self.available_later(), ..named(&random_id("fsmt-"), file_system) };
        self.make_mount_target(target, subnet, &texts(input, "SecurityGroups"))
    }

    pub(super) fn describe_mount_targets(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let mut file_system = text(input, "FileSystemId").map(|id| bare(id).to_owned());
        if let Some(id) = &file_system {
            state.file_system(id)?;
        }
        if let Some(id) = text(input, "AccessPointId") {
            file_system = Some(state.access_point(id)?.file_system.clone());
        }
        let wanted = text(input, "MountTargetId");
        if let Some(id) = wanted {
            state.mount_target(id)?;
        }
        if file_system.is_none() && wanted.is_none() {
            return Err(AwsError::client("BadRequest", "A file system, access point or mount target must be given."));
        }
        let chosen = state.mount_targets.values().filter(|target| {
            wanted.is_none_or(|id| id == target.id) && file_system.as_ref().is_none_or(|id| *id == target.file_system)
        });
        let shown = chosen.map(|target| (target.id.clone(), self.show_mount_target(target)));
        paged("MountTargets", shown, input, MARKERS)
    }

    pub(super) fn delete_mount_target(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let target = state.mount_target(text(input, "MountTargetId").unwrap_or_default())?.clone();
        self.ec2.delete_interface(&target.interface);
        state.mount_targets.remove(&target.id);
        Ok(Value::Null)
    }

    pub(super) fn describe_mount_target_groups(&self, input: &Value) -> Result<Value, AwsError> {
        let state = self.state();
        let target = state.mount_target(text(input, "MountTargetId").unwrap_or_default())?;
        let groups = self.ec2.interface(&target.interface).map(|interface| interface.groups).unwrap_or_default();
        Ok(json!({"SecurityGroups": groups}))
    }

    fn show_mount_target(&self, target: &MountTarget) -> Value {
        let mut shown = json!({
            "MountTargetId": target.id, "FileSystemId": target.file_system, "OwnerId": ACCOUNT,
            "LifeCycleState": lifecycle(target.available, self.now()), "NetworkInterfaceId": target.interface,
        });
        if let Some(interface) = self.ec2.interface(&target.interface) {
            shown["SubnetId"] = interface.subnet.into();
            shown["VpcId"] = interface.vpc.into();
            shown["AvailabilityZoneId"] = zone_id(&interface.zone).into();
            shown["AvailabilityZoneName"] = interface.zone.into();
            shown["IpAddress"] = interface.private_address.to_string().into();
        }
        shown
    }
}

/// A mount target that has no network interface yet.
fn named(id: &str, file_system: &str) -> MountTarget {
    let (id, file_system) = (id.to_owned(), file_system.to_owned());
    MountTarget { id, file_system, interface: String::new(), available: 0.0 }
}

fn conflict(why: &str) -> AwsError {
    AwsError::client("MountTargetConflict", why).with_status(409)
}

/// EFS's own code for security groups that EC2 refuses.
fn group_error(error: AwsError) -> AwsError {
    let code = match error.code.as_str() {
        "InvalidGroup.NotFound" | "InvalidGroupId.Malformed" => "SecurityGroupNotFound",
        "SecurityGroupsPerInterfaceLimitExceeded" => "SecurityGroupLimitExceeded",
        _ => "BadRequest",
    };
    AwsError { code: code.to_owned(), ..error }
}
