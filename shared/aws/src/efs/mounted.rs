//! What a mount of a file system depends on.

use aws_sdk_efs::types::{AccessPointDescription, LifeCycleState, MountTargetDescription};
use serde_json::Value;
use wharfinger_decisions::{
    check::{AccessPoint, Target},
    ids::{AccessPointId, FileSystemId},
};

use super::FileSystems;
use crate::error::AwsError;

impl FileSystems {
    /// The mount targets of `file_system` with their security groups, or `None` if there is no such file system.
    ///
    /// # Errors
    /// When EFS fails or refuses.
    pub async fn targets(&self, file_system: &FileSystemId) -> Result<Option<Vec<Target>>, AwsError> {
        let call = self.client.describe_mount_targets().file_system_id(file_system.as_str());
        let listed: Result<Vec<_>, _> = call.into_paginator().items().send().collect().await;
        let listed = listed.map_err(|error| AwsError::sort(format!("list the mount targets of {file_system}"), error));
        match listed {
            Ok(listed) => futures::future::try_join_all(listed.into_iter().map(|one| self.target(one))).await.map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn target(&self, target: MountTargetDescription) -> Result<Target, AwsError> {
        let id = target.mount_target_id();
        let answer = self.client.describe_mount_target_security_groups().mount_target_id(id).send().await;
        let action = || format!("read the security groups of the mount target {id}");
        let groups = answer.map_err(|error| AwsError::sort(action(), error))?.security_groups;
        let available = matches!(target.life_cycle_state(), LifeCycleState::Available | LifeCycleState::Updating);
        Ok(Target {
            groups,
            available,
            vpc: target.vpc_id.unwrap_or_default(),
            zone: target.availability_zone_name.unwrap_or_default(),
            address: target.ip_address.unwrap_or_default(),
        })
    }

    /// An access point, or `None` if it does not exist.
    ///
    /// # Errors
    /// When EFS fails or refuses.
    pub async fn access_point(&self, id: &AccessPointId) -> Result<Option<AccessPoint>, AwsError> {
        let answer = self.client.describe_access_points().access_point_id(id.as_str()).send().await;
        match answer.map_err(|error| AwsError::sort(format!("describe the access point {id}"), error)) {
            Ok(answer) => Ok(answer.access_points.unwrap_or_default().into_iter().next().map(access_point)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The policy of `file_system`, or `None` if it has none.
    ///
    /// # Errors
    /// When EFS fails or refuses, or the policy is no JSON.
    pub async fn policy(&self, file_system: &FileSystemId) -> Result<Option<Value>, AwsError> {
        let answer = self.client.describe_file_system_policy().file_system_id(file_system.as_str()).send().await;
        let action = || format!("read the policy of {file_system}");
        match answer.map_err(|error| AwsError::sort(action(), error)) {
            Ok(answer) => Ok(answer.policy.as_deref().and_then(|policy| serde_json::from_str(policy).ok())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn access_point(point: AccessPointDescription) -> AccessPoint {
    let id = |number: i64| u32::try_from(number).ok();
    AccessPoint {
        owner: point.posix_user().and_then(|user| Some((id(user.uid())?, id(user.gid())?))),
        available: matches!(point.life_cycle_state(), Some(LifeCycleState::Available | LifeCycleState::Updating)),
        path: point.root_directory().and_then(|root| root.path()).unwrap_or("/").to_owned(),
        arn: point.access_point_arn.unwrap_or_default(),
        file_system: point.file_system_id.unwrap_or_default(),
    }
}
