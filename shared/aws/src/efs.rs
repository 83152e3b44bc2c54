//! EFS: whether a file system can be reached from a server's VPC.

use aws_sdk_efs::{Client, types::LifeCycleState};
use wharfinger_decisions::ids::{FileSystemId, VpcId};

use crate::{OnFirstUse, error::AwsError};

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

    /// What is missing before a server in `vpc` can serve `file_system`, as a sentence that says what to do, or `None`.
    ///
    /// # Errors
    /// When EFS fails or refuses.
    pub async fn missing(&self, file_system: &FileSystemId, vpc: &VpcId) -> Result<Option<String>, AwsError> {
        let action = || format!("describe file system {file_system}");
        let described = self.client.describe_file_systems().file_system_id(file_system.as_str()).send().await;
        let found = match described.map_err(|error| AwsError::sort(action(), error)) {
            Ok(answer) => answer.file_systems.unwrap_or_default().into_iter().next(),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let Some(found) = found else {
            return Ok(Some(format!(
                "there is no EFS file system {file_system} in this account and Region: give the id of one that is"
            )));
        };
        if !matches!(found.life_cycle_state(), LifeCycleState::Available | LifeCycleState::Updating) {
            let state = found.life_cycle_state().as_str();
            return Ok(Some(format!("the file system {file_system} is {state}: it must be available")));
        }
        self.missing_mount_target(file_system, vpc).await
    }

    async fn missing_mount_target(&self, file_system: &FileSystemId, vpc: &VpcId) -> Result<Option<String>, AwsError> {
        let mut pages =
            self.client.describe_mount_targets().file_system_id(file_system.as_str()).into_paginator().items().send();
        let mut others = Vec::new();
        while let Some(target) = pages.next().await {
            let action = || format!("list the mount targets of {file_system}");
            let target = target.map_err(|error| AwsError::sort(action(), error))?;
            if target.vpc_id().is_none_or(|there| there == vpc.as_str()) {
                return Ok(None);
            }
            others.extend(target.vpc_id().map(str::to_owned));
        }
        let elsewhere = match others.first() {
            Some(there) => format!(" (it has some in {there})"),
            None => String::new(),
        };
        Ok(Some(format!(
            "the file system {file_system} has no mount target in {vpc}{elsewhere}: make one in each subnet of the server"
        )))
    }
}
