//! Clusters, and the tags of everything.

use serde_json::{Value, json};

use super::{
    Ecs, merge_tags,
    model::{ServiceStatus, State, TaskStatus, invalid},
    paged, refuse_unknown,
};
use crate::{
    error::AwsError,
    input::{list, text},
};

/// What a cluster may be told on AWS, and does not do here.
const SETTINGS: [&str; 5] =
    ["capacityProviders", "configuration", "defaultCapacityProviderStrategy", "serviceConnectDefaults", "settings"];

impl Ecs {
    pub(super) fn create_cluster(&self, input: &Value) -> Result<Value, AwsError> {
        let name = text(input, "clusterName").unwrap_or("default");
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) || name.len() > 255 {
            return Err(invalid("Cluster name contains invalid characters."));
        }
        refuse_unknown(input, &SETTINGS)?;
        let mut state = self.state();
        let cluster = state.clusters.entry(name.to_owned()).or_default();
        merge_tags(&mut cluster.tags, input);
        Ok(json!({"cluster": self.show_cluster(&state, name, true)}))
    }

    pub(super) fn list_clusters(&self, input: &Value) -> Result<Value, AwsError> {
        let arns = self.state().clusters.keys().map(|name| self.cluster_arn(name)).collect();
        paged("clusterArns", arns, input, 100)
    }

    pub(super) fn tag_resource(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        merge_tags(tags_of(&mut state, text(input, "resourceArn").unwrap_or_default())?, input);
        Ok(json!({}))
    }

    pub(super) fn untag_resource(&self, input: &Value) -> Result<Value, AwsError> {
        let keys = list(input, "tagKeys");
        let mut state = self.state();
        let tags = tags_of(&mut state, text(input, "resourceArn").unwrap_or_default())?;
        tags.retain(|tag| !keys.contains(&tag["key"]));
        Ok(json!({}))
    }

    pub(super) fn list_tags(&self, input: &Value) -> Result<Value, AwsError> {
        let mut state = self.state();
        let tags = tags_of(&mut state, text(input, "resourceArn").unwrap_or_default())?;
        Ok(json!({"tags": tags}))
    }

    pub(super) fn cluster_arn(&self, name: &str) -> String {
        self.context.arn("ecs", &format!("cluster/{name}"))
    }

    fn show_cluster(&self, state: &State, name: &str, tags: bool) -> Value {
        let tasks = |status| state.tasks.values().filter(|task| task.cluster == name && task.status == status).count();
        let active = |key: &&String| {
            state.services.get(*key).is_some_and(|one| one.cluster == name && one.status == ServiceStatus::Active)
        };
        let mut shown = json!({
            "clusterArn": self.cluster_arn(name), "clusterName": name, "status": "ACTIVE",
            "registeredContainerInstancesCount": 0, "runningTasksCount": tasks(TaskStatus::Running),
            "pendingTasksCount": tasks(TaskStatus::Pending), "statistics": [], "settings": [],
            "activeServicesCount": state.services.keys().filter(active).count(), "capacityProviders": [],
            "defaultCapacityProviderStrategy": [],
        });
        if tags {
            shown["tags"] = state.clusters.get(name).map(|cluster| json!(cluster.tags)).unwrap_or_default();
        }
        shown
    }
}

/// The tags of the resource with this ARN.
fn tags_of<'a>(state: &'a mut State, arn: &str) -> Result<&'a mut Vec<Value>, AwsError> {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let (kind, id) = resource.split_once('/').unwrap_or_default();
    let found = match kind {
        "cluster" => state.clusters.get_mut(id).map(|cluster| &mut cluster.tags),
        "service" => state.services.get_mut(id).map(|service| &mut service.tags),
        "task-definition" => {
            let (family, revision) = id.split_once(':').unwrap_or((id, ""));
            let mut revisions = state.families.get_mut(family).into_iter().flatten();
            revisions.find(|one| one.revision.to_string() == revision).map(|one| &mut one.tags)
        }
        _ => None,
    };
    found.ok_or_else(|| invalid("The specified resource could not be found. Check its ARN."))
}
