//! AWS Transfer Family: servers, users, keys and tags by AWS's rules, and a real SFTP server for each one that is
//! ONLINE. Operations check their input against AWS's model first; what takes AWS minutes takes the region's pace.

mod keys;
mod lifecycle;
pub mod network;
mod page;
mod servers;
pub mod sftp;
mod shape;
mod shapes;
mod state;
mod tags;
mod throttle;
mod users;
mod visit;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio_util::task::TaskTracker;

use self::{network::Network, state::State, throttle::Throttle};
use crate::{
    cloudwatch::Metrics,
    context::Context,
    error::AwsError,
    service::{Service, Unreadable, restore},
    transfer::sftp::{Listener, Meter},
};

/// The service.
pub struct Transfer {
    context: Context,
    network: Arc<dyn Network>,
    metrics: Metrics,
    throttle: Throttle,
    state: Mutex<State>,
    /// The open doors, by server id; dropping one closes it and cuts its sessions.
    listeners: Mutex<HashMap<String, Listener>>,
    /// What serves the open doors and their sessions.
    connections: TaskTracker,
    meters: Mutex<HashMap<String, Arc<Meter>>>,
    /// How many of the next starts fail.
    failing_starts: AtomicU32,
    itself: Weak<Self>,
}

impl Transfer {
    /// The service, going on where `saved` was. Must be called inside a tokio runtime: transitions, listeners and the
    /// metrics' clock run on it until the service is dropped.
    ///
    /// # Errors
    /// When the saved state is not one.
    pub fn new(
        context: Context,
        saved: Option<Value>,
        network: Arc<dyn Network>,
        metrics: Metrics,
    ) -> Result<Arc<Self>, Unreadable> {
        let state = restore("transfer", saved)?;
        let transfer = Arc::new_cyclic(|itself| Self {
            context,
            network,
            metrics,
            throttle: Throttle::new(),
            state: Mutex::new(state),
            listeners: Mutex::default(),
            connections: TaskTracker::new(),
            meters: Mutex::default(),
            failing_starts: AtomicU32::new(0),
            itself: itself.clone(),
        });
        transfer.resume();
        transfer.emit_metrics();
        Ok(transfer)
    }

    /// The next `times` starts of servers end as START_FAILED, a fault that a test asks for.
    pub fn fail_starts(&self, times: u32) {
        self.failing_starts.store(times, Ordering::Relaxed);
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
            "ListHostKeys" => self.list_host_keys(input),
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

    fn resource(&self, id: &str) -> Option<Value> {
        let state = self.state();
        match id.rsplit(':').next()?.split('/').collect::<Vec<_>>()[..] {
            ["server", server] => Some(state.server(server).ok()?.describe(&self.context)),
            ["user", server, user] => {
                let tags = state::show_tags(&state.server(server).ok()?.user(user).ok()?.tags);
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
