//! EFS: file systems, mount targets and access points. A file system is a directory on this machine; mounting one
//! gives a handle that no path leaves.

mod access_points;
mod file_systems;
mod model;
mod mount;
mod mount_targets;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};

use self::model::{State, merge_tags};
pub use self::mount::{Mount, MountError};
use super::{
    ec2::Ec2,
    error::AwsError,
    input::{given, list, text, texts, whole},
    page::page,
    service::{Service, Unreadable, restore},
};
use crate::context::Context;

/// The EFS of the region.
#[derive(Debug)]
pub struct Efs {
    context: Context,
    ec2: Arc<Ec2>,
    state: Mutex<State>,
}

impl Efs {
    /// The service as it was saved, or empty. Mount targets live in subnets of `ec2`.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: Context, saved: Option<Value>, ec2: Arc<Ec2>) -> Result<Arc<Self>, Unreadable> {
        let state = restore("elasticfilesystem", saved)?;
        Ok(Arc::new(Self { context, ec2, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> f64 {
        self.context.clock.epoch_seconds()
    }

    /// When what is made now becomes available, in epoch seconds.
    fn available_later(&self) -> f64 {
        self.now() + self.context.pace.storage_transition.as_secs_f64()
    }

    fn tag_resource(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let tags = state.tags_of(text(input, "ResourceId").unwrap_or_default())?;
        merge_tags(tags, list(input, "Tags"));
        Ok(Value::Null)
    }

    fn untag_resource(&self, input: &Value) -> Result<Value, AwsError> {
        let keys = texts(input, "TagKeys");
        let mut state = self.state();
        let tags = state.tags_of(text(input, "ResourceId").unwrap_or_default())?;
        tags.retain(|tag| !keys.iter().any(|key| tag["Key"] == key.as_str()));
        Ok(Value::Null)
    }

    fn list_tags(&self, id: &str) -> Result<Value, AwsError> {
        Ok(json!({"Tags": self.state().tags_of(id)?.clone()}))
    }
}

#[async_trait]
impl Service for Efs {
    fn name(&self) -> &'static str {
        "elasticfilesystem"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let file_system = || text(&input, "FileSystemId").unwrap_or_default();
        match operation {
            "CreateFileSystem" => self.create_file_system(&input),
            "DescribeFileSystems" => self.describe_file_systems(&input),
            "DeleteFileSystem" => self.delete_file_system(file_system()),
            "DescribeFileSystemPolicy" => self.describe_policy(file_system()),
            "CreateMountTarget" => self.create_mount_target(&input),
            "DescribeMountTargets" => self.describe_mount_targets(&input),
            "DeleteMountTarget" => self.delete_mount_target(&input),
            "DescribeMountTargetSecurityGroups" => self.describe_mount_target_groups(&input),
            "CreateAccessPoint" => self.create_access_point(&input),
            "DescribeAccessPoints" => self.describe_access_points(&input),
            "DeleteAccessPoint" => self.delete_access_point(&input),
            "TagResource" => self.tag_resource(&input),
            "UntagResource" => self.untag_resource(&input),
            "ListTagsForResource" => self.list_tags(text(&input, "ResourceId").unwrap_or_default()),
            _ => Err(AwsError::unknown_operation("elasticfilesystem", operation).with_status(404)),
        }
    }

    fn resource(&self, id: &str) -> Option<Value> {
        let state = self.state();
        Some(json!({"FileSystemId": state.mount_target(id).ok()?.file_system}))
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&*self.state()).unwrap_or_default()
    }
}

/// Refuses members of the input that would do nothing here.
fn refuse_unknown(input: &Value, members: &[&str]) -> Result<(), AwsError> {
    match given(input, members) {
        Some(member) => Err(AwsError::client("BadRequest", format!("This region does not support {member}."))),
        None => Ok(()),
    }
}

/// One page of a list of resources by their ids, with EFS's names for token and limit: markers are of the older
/// operations.
fn paged(
    list: &str,
    items: impl Iterator<Item = (String, Value)>,
    input: &Value,
    names: (&str, &str, &str),
) -> Result<Value, AwsError> {
    let (token, limit, next_name) = names;
    let limit = whole(input, limit).map_or(100, |limit| usize::try_from(limit).unwrap_or(0).clamp(1, 1000));
    let page = page(items, text(input, token), limit)
        .ok_or_else(|| AwsError::client("BadRequest", format!("{token} is not valid.")))?;
    let mut answer = json!({list: page.items});
    if let Some(next) = page.next {
        answer[next_name] = next.into();
    }
    Ok(answer)
}

const MARKERS: (&str, &str, &str) = ("Marker", "MaxItems", "NextMarker");
const TOKENS: (&str, &str, &str) = ("NextToken", "MaxResults", "NextToken");
