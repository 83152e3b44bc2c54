//! A region without sockets and processes: everything that the template wires, in this process, on tokio's clock. Under
//! a paused clock a day passes as fast as its work is done.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::{body::Body, extract::ConnectInfo, response::Response};
use jiff::Timestamp;
use russh::keys::PublicKey;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;
use wharfinger_emulator::{
    clock::Clock,
    context::{Context, Pace},
    ec2::Ec2,
    endpoint::{between::Between, client::InProcess, front::Services, traffic::Traffic},
    error::AwsError,
    events::bus::EventBus,
    sqs::Sqs,
    transfer::{
        Transfer,
        sftp::{Shut, Visit},
    },
};

use super::start::{self, Built};
use crate::{
    data_dir::DataDir,
    gateway,
    lambda::{Handler, Lambda, Runner, mapping},
    rules, seed,
    template::plan::Plan,
};

/// The address of the AWS endpoint, as queues' addresses have it. Nothing listens there.
pub const ENDPOINT: &str = "http://127.0.0.1:4566";

/// The first Elastic IP: an address that this machine does not have, so that no listener opens.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// From where requests to the HTTP API come.
const PERSON: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50_000);

/// Takes the bus's events on their way to the rules: what it sends on is what the rules see.
pub type Postman = Box<dyn FnOnce(UnboundedReceiver<Value>) -> UnboundedReceiver<Value> + Send>;

/// How a world begins.
pub struct Beginning {
    /// The template, read with [`ENDPOINT`].
    pub plan: Plan,
    /// What the clock says at the start.
    pub origin: Timestamp,
    /// How long transitions take.
    pub pace: Pace,
    /// How far away and how busy the services are.
    pub traffic: Traffic,
    /// What stands before the services.
    pub between: Option<Arc<dyn Between>>,
    /// What stands between the bus and the rules.
    pub postman: Option<Postman>,
}

/// A region in this process.
pub struct World {
    built: Built,
    lambda: Lambda,
    bus: EventBus,
    clock: Clock,
    plan: Plan,
    routes: axum::Router,
    stopping: CancellationToken,
    tasks: TaskTracker,
    _data_dir: DataDir,
}

impl World {
    /// Starts a region, seeded as a new one is, on the functions that `functions` makes of the AWS client.
    ///
    /// # Errors
    /// When the region's directory can't be made, or the plan names what the services refuse.
    pub async fn start(
        beginning: Beginning,
        functions: impl FnOnce(InProcess, &Clock) -> Arc<dyn Handler>,
    ) -> anyhow::Result<Self> {
        let Beginning { plan, origin, pace, traffic, between, postman } = beginning;
        let data_dir = DataDir::open(None)?;
        let clock = Clock::starting_at(origin);
        let (bus, events) = EventBus::new(clock.clone());
        let context = context(&plan, &data_dir, pace, (clock.clone(), bus.clone()))?;
        let mut built = start::build(&context, &plan, &data_dir, ENDPOINT, traffic)?;
        if let Some(between) = between {
            built.services = built.services.with_between(between);
        }
        seed::plant(&built.ec2, &built.efs, &built.ecs).await.context("plant what a region begins with")?;
        let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
        built.ecs.start(None, stopping.clone());

        let runner = Runner::InProcess(functions(InProcess::new(built.services.clone()), &clock));
        let lambda = Lambda::start(&context, plan.functions.clone(), runner).with_destinations(Arc::clone(&built.sqs));
        mapping::start(&plan.functions, &built.sqs, &lambda, &stopping, &tasks);
        let events = match postman {
            Some(postman) => postman(events),
            None => events,
        };
        let delivery = rules::Delivery { sqs: Arc::clone(&built.sqs), lambda: lambda.clone(), clock: clock.clone() };
        rules::start(plan.rules.clone(), events, &delivery, &stopping, &tasks);
        let routes = gateway::router(&plan.functions, lambda.clone(), clock.clone(), None);
        Ok(Self { built, lambda, bus, clock, plan, routes, stopping, tasks, _data_dir: data_dir })
    }

    /// Asks the HTTP API.
    pub async fn ask(&self, mut request: http::Request<Body>) -> Response {
        request.extensions_mut().insert(ConnectInfo(PERSON));
        let Ok(answer) = self.routes.clone().oneshot(request).await;
        answer
    }

    /// Asks a service, with nothing between.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value, AwsError> {
        match self.built.services.get(service) {
            Some(found) => found.call(operation, input).await,
            None => Err(AwsError::client("UnknownService", format!("there is no service {service}"))),
        }
    }

    /// Lets an SFTP client at `client` in as `user` of a server.
    ///
    /// # Errors
    /// Why it is not let in.
    pub fn log_in(&self, server_id: &str, user: &str, key: &PublicKey, client: IpAddr) -> Result<Visit, Shut> {
        self.transfer().log_in(server_id, user, key, client)
    }

    /// The services behind the endpoint.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.built.services
    }

    /// The queues.
    #[must_use]
    pub fn queues(&self) -> &Arc<Sqs> {
        &self.built.sqs
    }

    /// Transfer Family.
    #[must_use]
    pub fn transfer(&self) -> &Arc<Transfer> {
        &self.built.transfer
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Arc<Ec2> {
        &self.built.ec2
    }

    /// The event bus.
    #[must_use]
    pub fn bus(&self) -> &EventBus {
        &self.bus
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The functions.
    #[must_use]
    pub fn lambda(&self) -> &Lambda {
        &self.lambda
    }

    /// The template as it was read.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes a directory of the seeded file system.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn make_directory(&self, path: &str) -> std::io::Result<()> {
        self.built.efs.make_directory(seed::FILE_SYSTEM, path)
    }

    /// The bodies of the messages that queues, rules or functions have given up on.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<String> {
        let dead = self.plan.queues.iter().filter(|queue| self.plan.takes_dead_letters(&queue.arn));
        dead.flat_map(|queue| self.built.sqs.bodies(&queue.declaration.name)).collect()
    }

    /// Ends the region, at once.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.lambda.stop(Duration::ZERO).await;
        for service in self.built.services.iter() {
            service.close().await;
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").field("now", &self.clock.now()).finish_non_exhaustive()
    }
}

fn context(plan: &Plan, data_dir: &DataDir, pace: Pace, (clock, bus): (Clock, EventBus)) -> anyhow::Result<Context> {
    let parameter = |name: &str| plan.parameters.get(name).with_context(|| format!("the template has no {name}"));
    let seconds = parameter("MetricPeriodSeconds")?.parse().context("MetricPeriodSeconds is not a whole number")?;
    Ok(Context {
        clock,
        bus,
        file_systems: Arc::new(data_dir.file_systems()),
        pace: Arc::new(Pace { metric_period: Duration::from_secs(seconds), ..pace }),
        sftp_port: parameter("SftpPort")?.parse().context("SftpPort is no port")?,
        sftp_host: FIRST_ADDRESS,
        site: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    })
}
