//! AWS Transfer Family: servers, users, keys and tags by AWS's rules, and a real SFTP server for each one that is
//! ONLINE. Operations check their input against AWS's model first; what takes AWS minutes takes the region's pace.

mod endpoint;
mod host_keys;
mod keys;
mod lifecycle;
pub mod network;
mod page;
mod servers;
mod settings;
pub mod sftp;
mod shape;
mod shapes;
mod state;
mod tags;
#[cfg(test)]
mod tests;
mod throttle;
mod users;
mod visit;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio_util::task::TaskTracker;

use self::{network::Network, state::State, throttle::Throttle};
use crate::{
    cloudwatch::Metrics,
    context::Context,
    error::AwsError,
    logs::LogGroups,
    secretsmanager::SecretsManager,
    service::{Service, Unreadable, restore},
    transfer::sftp::{Listener, Meter},
};

/// The services that Transfer Family uses.
#[derive(Clone)]
pub struct Partners {
    /// Where servers' VPC endpoints are.
    pub network: Arc<dyn Network>,
    /// Where servers' metrics go.
    pub metrics: Metrics,
    /// Where structured logs go.
    pub logs: LogGroups,
    /// Where host keys are stored that the service does not store.
    pub secrets: Arc<SecretsManager>,
}

/// The service.
pub struct Transfer {
    context: Context,
    network: Arc<dyn Network>,
    metrics: Metrics,
    logs: LogGroups,
    secrets: Arc<SecretsManager>,
    throttle: Throttle,
    state: Mutex<State>,
    /// The open doors, by server id; dropping one closes it and cuts its sessions.
    listeners: Mutex<HashMap<String, Listener>>,
    /// What serves the open doors and their sessions.
    connections: TaskTracker,
    meters: Mutex<HashMap<String, Arc<Meter>>>,
    itself: Weak<Self>,
}

impl Transfer {
    /// The service, going on where `saved` was. Must be called inside a tokio runtime: transitions, listeners and the
    /// metrics' clock run on it until the service is dropped.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(context: Context, saved: Option<Value>, partners: Partners) -> Result<Arc<Self>, Unreadable> {
        let state = restore("transfer", saved)?;
        let Partners { network, metrics, logs, secrets } = partners;
        let transfer = Arc::new_cyclic(|itself| Self {
            context,
            network,
            metrics,
            logs,
            secrets,
            throttle: Throttle::new(),
            state: Mutex::new(state),
            listeners: Mutex::default(),
            connections: TaskTracker::new(),
            meters: Mutex::default(),
            itself: itself.clone(),
        });
        transfer.resume();
        transfer.emit_metrics();
        Ok(transfer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, operation: &str, input: &Map<String, Value>) -> Result<Value, AwsError> {
        match operation {
            "CreateServer" => self.create_server(input),
            "DescribeServer" => self.describe_server(input),
            "UpdateServer" => self.update_server(input),
            "DeleteServer" => self.delete_server(input),
            "ListServers" => self.list_servers(input),
            "StartServer" => self.start_server(input),
            "StopServer" => self.stop_server(input),
            "CreateUser" => self.create_user(input),
            "DescribeUser" => self.describe_user(input),
            "UpdateUser" => self.update_user(input),
            "DeleteUser" => self.delete_user(input),
            "ListUsers" => self.list_users(input),
            "ImportSshPublicKey" => self.import_public_key(input),
            "DeleteSshPublicKey" => self.delete_public_key(input),
            "ImportHostKey" => self.import_host_key(input),
            "DescribeHostKey" => self.describe_host_key(input),
            "ListHostKeys" => self.list_host_keys(input),
            "UpdateHostKey" => self.update_host_key(input),
            "DeleteHostKey" => self.delete_host_key(input),
            "TagResource" => self.tag_resource(input),
            "UntagResource" => self.untag_resource(input),
            "ListTagsForResource" => self.list_tags(input),
            _ => Err(AwsError::unknown_operation("transfer", operation)),
        }
    }
}

#[async_trait]
impl Service for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let shape = shapes::of(operation).ok_or_else(|| AwsError::unknown_operation("transfer", operation))?;
        self.throttle.admit(operation)?;
        self.answer(operation, &shape::check(input, shape)?)
    }

    async fn call_to_fail(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let asked = input["ServerId"].as_str().map(str::to_owned);
        let answer = self.call(operation, input).await?;
        if let Some(id) = answer["ServerId"].as_str().map(str::to_owned).or(asked) {
            self.doom(&id);
        }
        Ok(answer)
    }

    fn resource(&self, id: &str) -> Option<Value> {
        let state = self.state();
        match id.rsplit(':').next()?.split('/').collect::<Vec<_>>()[..] {
            ["server", server] => Some(state.server(server).ok()?.describe(&self.context)),
            ["user", server, user] => {
                let tags = state::show_tags(&state.server(server).ok()?.user(user).ok()?.tags);
                Some(serde_json::json!({ "Tags": tags }))
            }
            ["host-key", server, key] => {
                let tags = state::show_tags(&state.server(server).ok()?.host_key(key).ok()?.tags);
                Some(serde_json::json!({ "Tags": tags }))
            }
            _ => None,
        }
    }

    fn snapshot(&self) -> Value {
        serde_json::to_value(&*self.state()).expect("the state is made of strings, numbers, lists and maps")
    }

    async fn close(&self) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.connections.close();
        self.connections.wait().await;
    }
}
