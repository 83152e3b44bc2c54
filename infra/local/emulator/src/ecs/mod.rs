//! ECS: task definitions, services with deployments of all strategies, and tasks that are real as far as HTTP goes: a running
//! task serves the directory that its container mounts, and a service's address balances over its running tasks.

mod balancer;
mod clusters;
mod configuration;
mod controllers;
mod definitions;
mod deployments;
mod fargate;
mod history;
mod model;
mod pages;
mod scheduler;
mod service_deployment;
mod services;
mod stages;
mod tasks;
#[cfg(test)]
mod tests;
mod validation;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

use self::model::State;
use crate::{
    context::Context,
    efs::{Efs, Mount},
    error::AwsError,
    input::{given, list, text, texts, whole},
    page::page,
    service::{Service, Unreadable, restore},
};

/// The ECS of the region.
#[derive(Debug)]
pub struct Ecs {
    context: Context,
    efs: Arc<Efs>,
    state: Mutex<State>,
    /// What the running tasks mount, by task id. A handle is not kept over a restart, but taken again.
    mounts: Mutex<HashMap<String, Option<Mount>>>,
    /// Where the services are served, by `cluster/service`.
    addresses: Mutex<HashMap<String, SocketAddr>>,
    /// Wakes the scheduler.
    changed: Notify,
    /// Counts requests, so that a service's tasks answer by turns.
    turn: AtomicUsize,
}

impl Ecs {
    /// The service as it was saved, or empty. Its tasks mount file systems of `efs`.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: Context, saved: Option<Value>, efs: Arc<Efs>) -> Result<Arc<Self>, Unreadable> {
        let state = restore("ecs", saved)?;
        Ok(Arc::new(Self {
            context,
            efs,
            state: Mutex::new(state),
            mounts: Mutex::default(),
            addresses: Mutex::default(),
            changed: Notify::new(),
            turn: AtomicUsize::new(0),
        }))
    }

    /// Starts the scheduler, and serves the services until `shutdown`: `web` of the cluster `local` on `site`, any
    /// other on a free loopback port. Without `site` nothing listens.
    pub fn start(self: &Arc<Self>, site: Option<TcpListener>, shutdown: CancellationToken) {
        let listens = site.is_some();
        if let Some(site) = site {
            self.listen("local/web".to_owned(), site, &shutdown);
        }
        let ecs = Arc::clone(self);
        tokio::spawn(async move {
            shutdown.clone().run_until_cancelled_owned(ecs.run(listens, shutdown)).await;
        });
    }

    /// Where a service is served.
    #[must_use]
    pub fn service_address(&self, cluster: &str, service: &str) -> Option<SocketAddr> {
        self.addresses().get(&format!("{cluster}/{service}")).copied()
    }

    /// Sets whether a CloudWatch alarm is in ALARM. Services that watch it fail their deployment when it is.
    pub fn set_alarm(&self, name: &str, rings: bool) {
        let mut state = self.state();
        if rings {
            state.ringing.insert(name.to_owned());
        } else {
            state.ringing.remove(name);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Makes a service one whose resources ECS manages, as CreateExpressGatewayService would.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn manage(&self, cluster: &str, service: &str) -> Result<(), AwsError> {
        self.state().service_mut(cluster, service)?.express = true;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mounts(&self) -> MutexGuard<'_, HashMap<String, Option<Mount>>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<String, SocketAddr>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> f64 {
        self.context.clock.epoch_seconds()
    }
}

#[async_trait]
impl Service for Ecs {
    fn name(&self) -> &'static str {
        "ecs"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let answer = match operation {
            "CreateCluster" => self.create_cluster(&input),
            "ListClusters" => self.list_clusters(&input),
            "RegisterTaskDefinition" => self.register_task_definition(input),
            "DescribeTaskDefinition" => self.describe_task_definition(&input),
            "DeregisterTaskDefinition" => self.deregister_task_definition(&input),
            "ListTaskDefinitions" => self.list_task_definitions(&input),
            "CreateService" => self.create_service(input),
            "UpdateService" => self.update_service(input),
            "DeleteService" => self.delete_service(&input),
            "DescribeServices" => self.describe_services(&input),
            "ListServiceDeployments" => self.list_service_deployments(&input),
            "DescribeServiceDeployments" => self.describe_service_deployments(&input),
            "StopServiceDeployment" => self.stop_service_deployment(&input),
            "ContinueServiceDeployment" => self.continue_service_deployment(&input),
            "DescribeServiceRevisions" => self.describe_service_revisions(&input),
            "ListTasks" => self.list_tasks(&input),
            "DescribeTasks" => self.describe_tasks(&input),
            "StopTask" => self.stop_task(&input),
            "TagResource" => self.tag_resource(&input),
            "UntagResource" => self.untag_resource(&input),
            "ListTagsForResource" => self.list_tags(&input),
            _ => Err(AwsError::unknown_operation("ecs", operation)),
        };
        self.changed.notify_one();
        answer
    }

    fn resource(&self, id: &str) -> Option<Value> {
        let key = id.splitn(6, ':').nth(5)?.strip_prefix("service/")?;
        Some(json!({"Tags": self.state().services.get(key)?.tags}))
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&*self.state()).unwrap_or_default()
    }
}

/// One page of a list of ARNs.
fn paged(member: &str, items: Vec<String>, input: &Value, default: usize) -> Result<Value, AwsError> {
    let limit = whole(input, "maxResults").map_or(default, |limit| usize::try_from(limit).unwrap_or(0).clamp(1, 100));
    let keyed = items.into_iter().map(|item| (item.clone(), item));
    let page = page(keyed, text(input, "nextToken"), limit)
        .ok_or_else(|| model::invalid("Invalid token. It is not one that this operation has given."))?;
    let mut answer = json!({member: page.items});
    if let Some(next) = page.next {
        answer["nextToken"] = next.into();
    }
    Ok(answer)
}

/// Refuses members of the input that would do nothing here.
fn refuse_unknown(input: &Value, members: &[&str]) -> Result<(), AwsError> {
    match given(input, members) {
        Some(member) => Err(model::invalid(format!("This region does not support {member}."))),
        None => Ok(()),
    }
}

/// Whether the caller asks for tags, which ECS shows only then.
fn wants_tags(input: &Value) -> bool {
    texts(input, "include").iter().any(|include| include == "TAGS")
}

/// Puts tags over those with the same keys.
fn merge_tags(tags: &mut Vec<Value>, input: &Value) {
    for tag in list(input, "tags") {
        tags.retain(|old| old["key"] != tag["key"]);
        tags.push(tag.clone());
    }
}
