//! One whole region: the services, the functions on them, and the way in for people. It is a library first: a test
//! starts as many as it likes, side by side, on free ports.

mod ports;
mod roles;
mod start;
pub mod world;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharfinger_emulator::{
    endpoint::{calls::Calls, faults::Faults, front::Services, meter::Meter},
    error::AwsError,
    events::bus::EventBus,
    sqs::Sqs,
};

use crate::{gateway::auth::keys::AccessKey, lambda::Lambda, options::Options, template::plan::Plan};

/// How long functions may go on with their events when the region ends.
const GRACE: Duration = Duration::from_secs(5);

/// Where a region listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The HTTP API.
    pub api: SocketAddr,
    /// The AWS endpoint.
    pub aws: SocketAddr,
    /// SFTP, on the first Elastic IP.
    pub sftp: SocketAddr,
    /// The ECS service `web`.
    pub site: SocketAddr,
}

/// The text of the template that a deployment uses.
pub const TEMPLATE: &str = start::TEMPLATE;

/// A running region. It ends with [`Region::stop`].
pub struct Region {
    addresses: Addresses,
    keys: Vec<AccessKey>,
    services: Services,
    sqs: Arc<Sqs>,
    lambda: Lambda,
    bus: EventBus,
    plan: Plan,
    /// Writes down what changes, until `writing` ends it, and once more then.
    keeper: JoinHandle<()>,
    writing: CancellationToken,
    data: Option<PathBuf>,
    found_again: bool,
    /// Ends what lets work in: listeners, rules, pollers.
    stopping: CancellationToken,
    /// Ends the AWS endpoint, once no function needs it any more.
    endpoint_open: CancellationToken,
    tasks: TaskTracker,
    /// Held for as long as the region runs, so that no other takes the SFTP port while no server is online.
    _sftp_port: ports::Reservation,
}

impl Region {
    /// Starts a region, with `program` as its functions.
    ///
    /// # Errors
    /// When an address is taken, a parameter is refused or the data directory can't be used.
    pub async fn start(options: Options, program: PathBuf) -> anyhow::Result<Self> {
        start::region(options, program).await
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The access keys that its HTTP API asks for. None is there when nobody has to sign.
    #[must_use]
    pub fn keys(&self) -> &[AccessKey] {
        &self.keys
    }

    /// The directory that keeps its state, if it is kept.
    #[must_use]
    pub fn kept_in(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// Whether it went on where an earlier region with the same data directory ended.
    #[must_use]
    pub fn found_again(&self) -> bool {
        self.found_again
    }

    /// Its functions.
    #[must_use]
    pub fn lambda(&self) -> &Lambda {
        &self.lambda
    }

    /// What was asked of its services over the AWS endpoint.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.services.calls
    }

    /// What those calls consumed, in the units that AWS bills.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.services.meter
    }

    /// The queues.
    #[must_use]
    pub fn queues(&self) -> &Sqs {
        &self.sqs
    }

    /// The template as it was read.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The last events of its bus, the oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.bus.recent()
    }

    /// Faults that the AWS endpoint answers with.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.services.faults
    }

    /// Asks a service in-process; the call is not counted.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value, AwsError> {
        let Some(found) = self.services.get(service) else {
            return Err(AwsError::client("UnknownService", format!("there is no service {service}")));
        };
        found.call(operation, input).await
    }

    /// An ECS service as `DescribeServices` shows it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn service(&self, cluster: &str, service: &str) -> Result<Value, AwsError> {
        let input = json!({ "cluster": cluster, "services": [service] });
        let answer = self.call("ecs", "DescribeServices", input).await?;
        Ok(answer["services"][0].clone())
    }

    /// A task definition as `DescribeTaskDefinition` shows it.
    ///
    /// # Errors
    /// When there is none.
    pub async fn task_definition(&self, name: &str) -> Result<Value, AwsError> {
        let answer = self.call("ecs", "DescribeTaskDefinition", json!({ "taskDefinition": name })).await?;
        Ok(answer["taskDefinition"].clone())
    }

    /// The bodies of the messages that queues, rules or functions have given up on.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<String> {
        let dead = self.plan.queues.iter().filter(|queue| self.plan.takes_dead_letters(&queue.arn));
        dead.flat_map(|queue| self.sqs.bodies(&queue.declaration.name)).collect()
    }

    /// Ends the region: nothing more is let in, functions finish their events, and the state is written.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.lambda.stop(GRACE).await;
        self.endpoint_open.cancel();
        for service in self.services.iter() {
            service.close().await;
        }
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait()).await.is_err() {
            tracing::debug!("some connections were still open");
        }
        self.writing.cancel();
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the region's state may not be written");
        }
    }
}
