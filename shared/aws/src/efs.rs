//! EFS: where a file system can be reached.

use aws_sdk_efs::{
    Client,
    types::{LifeCycleState, MountTargetDescription},
};
use wharfinger_decisions::{
    ids::FileSystemId,
    preflight::{MountTarget, MountTargetState},
};

use crate::{OnFirstUse, error::AwsError};

mod mounted;

/// The file systems of this account.
#[derive(Clone, Debug)]
pub struct FileSystems {
    client: OnFirstUse<Client>,
}

impl FileSystems {
    /// The file systems that `client` reaches.
    #[must_use]
    pub fn new(client: OnFirstUse<Client>) -> Self {
        Self { client }
    }

    /// The mount targets of `file_system`, or `None` if there is no such file system.
    ///
    /// # Errors
    /// When EFS fails or refuses.
    pub async fn mount_targets(&self, file_system: &FileSystemId) -> Result<Option<Vec<MountTarget>>, AwsError> {
        let call = self.client.describe_mount_targets().file_system_id(file_system.as_str());
        let mut pages = call.into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(target) = pages.next().await {
            let action = || format!("list the mount targets of {file_system}");
            match target.map_err(|error| AwsError::sort(action(), error)) {
                Ok(target) => found.push(mount_target(target)),
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(found))
    }
}

fn mount_target(target: MountTargetDescription) -> MountTarget {
    let state = match target.life_cycle_state() {
        LifeCycleState::Available | LifeCycleState::Updating => MountTargetState::Available,
        LifeCycleState::Creating => MountTargetState::Creating,
        _ => MountTargetState::Unusable,
    };
    MountTarget { vpc: target.vpc_id, zone: target.availability_zone_name, state }
}
