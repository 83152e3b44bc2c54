//! `sleep`, `sweep` and `users`: the functions in this process, on the local region's services at AWS's distance and with AWS's
//! throttling, on a paused clock. Times are the clock's: what calls and waits take, and not this computer's work.

pub(crate) mod sleep;
pub(crate) mod sweep;
pub(crate) mod users;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use simulation::program::Program;
use wharfinger_emulator::{
    clock::Clock,
    context::Pace,
    endpoint::traffic::{Latency, Rate, Traffic},
    ids::random_uuid,
};
use wharfinger_region::{
    lambda::{FunctionError, Handler},
    region::{
        TEMPLATE,
        world::{Beginning, ENDPOINT, World},
    },
    template::plan::Plan,
    wiring,
};
use wharfinger_runtime::Moment;

/// What an AWS service is like.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Aws {
    /// How long a service's calls take.
    #[arg(
        long,
        value_name = "SERVICE=TIME",
        value_delimiter = ',',
        default_value = "dynamodb=5ms,sqs=10ms,cloudwatch=100ms,ec2=100ms,efs=50ms,secretsmanager=50ms,transfer=150ms"
    )]
    latency: Vec<Latency>,
    /// How many calls a service lets in.
    #[arg(long, value_name = "SERVICE=RATE/s", value_delimiter = ',', default_value = "transfer=10/s")]
    throttle: Vec<Rate>,
}

/// Calls by service and operation.
pub(crate) type Calls = BTreeMap<(String, String), u64>;

/// A region in this process.
pub(crate) struct Scene {
    pub(crate) world: World,
    functions: Arc<Functions>,
}

/// Which functions run; what wakes the others is taken and forgotten.
#[derive(Default)]
struct Functions {
    running: Mutex<BTreeMap<String, Arc<Program>>>,
    clock: Mutex<Option<Clock>>,
    /// How often each ran.
    invocations: Mutex<BTreeMap<String, u64>>,
}

impl Scene {
    /// Opens a region in which the functions of these binaries run.
    pub(crate) async fn open(aws: &Aws, binaries: &[&str]) -> anyhow::Result<Self> {
        let parameters = [("LogLevel".to_owned(), "error".to_owned())].into();
        let plan = Plan::read(TEMPLATE, &parameters, ENDPOINT).context("read the template")?;
        let origin: Timestamp = "2026-03-02T08:00:00Z".parse().context("read the first day")?;
        let beginning = Beginning {
            plan: plan.clone(),
            origin,
            pace: Pace { server_transition: Duration::from_secs(75), ..Pace::default() },
            traffic: Traffic::new(&aws.latency, &aws.throttle),
            between: None,
            postman: None,
        };
        let functions = Arc::new(Functions::default());
        let (mut client, handler) = (None, Arc::clone(&functions));
        let world = World::start(beginning, |in_process, clock| {
            client = Some(SharedHttpClient::new(in_process));
            *lock(&handler.clock) = Some(clock.clone());
            handler
        });
        let world = world.await?;
        let client = client.context("the region hands out its client")?;
        for function in plan.functions.iter().filter(|function| binaries.contains(&function.binary.as_str())) {
            let program = Arc::new(Program::new(function, client.clone())?);
            lock(&functions.running).insert(function.binary.clone(), program);
        }
        Ok(Self { world, functions })
    }

    /// Runs a function on an event, as Lambda does.
    pub(crate) async fn run(&self, binary: &str, event: Value) -> anyhow::Result<()> {
        let mut functions = self.world.plan().functions.iter();
        let function = functions.find(|function| function.binary == binary).context("the template has the function")?;
        let run = self.functions.handle(function, Bytes::from(event.to_string()));
        let ran = tokio::time::timeout(function.timeout, run).await.context("it runs out of time")?;
        ran.map(drop).map_err(|error| anyhow::anyhow!("{binary}: {error:?}"))
    }

    /// The calls of a function so far, those that were refused included.
    pub(crate) fn calls(&self, binary: &str) -> Calls {
        let mut functions = self.world.plan().functions.iter();
        let caller = functions.find(|function| function.binary == binary).map(wiring::Function::access_key);
        let all = self.world.services().calls.all().into_iter();
        let own = all.filter(|(kind, _)| Some(&kind.caller) == caller.as_ref());
        own.map(|(kind, count)| ((kind.service, kind.operation), count)).collect()
    }

    /// How often a function ran.
    pub(crate) fn invocations(&self, binary: &str) -> u64 {
        lock(&self.functions.invocations).get(binary).copied().unwrap_or_default()
    }

    /// Puts an item into the table: `body` in plain JSON.
    pub(crate) async fn put(&self, pk: &str, sk: &str, mut body: Value) -> anyhow::Result<()> {
        (body["pk"], body["sk"]) = (pk.into(), sk.into());
        let table = &self.world.plan().tables.first().context("the template has a table")?.name;
        let item = json!({ "TableName": table, "Item": attribute(&body)["M"] });
        self.world.call("dynamodb", "PutItem", item).await?;
        Ok(())
    }
}

#[async_trait]
impl Handler for Functions {
    async fn handle(&self, function: &wiring::Function, event: Bytes) -> Result<Bytes, FunctionError> {
        let program = lock(&self.running).get(&function.binary).cloned();
        let Some(program) = program else { return Ok(Bytes::from_static(b"{\"batchItemFailures\":[]}")) };
        *lock(&self.invocations).entry(function.binary.clone()).or_default() += 1;
        let now = lock(&self.clock).as_ref().map(Clock::now).unwrap_or_default();
        program.run(&event, &random_uuid().to_string(), Moment::new(now, now + function.timeout)).await
    }
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Functions").finish_non_exhaustive()
    }
}

/// A value as DynamoDB writes it.
fn attribute(plain: &Value) -> Value {
    match plain {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(is) => json!({ "BOOL": is }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(items) => json!({ "L": items.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), attribute(member)));
            json!({ "M": members.collect::<serde_json::Map<_, _>>() })
        }
    }
}

/// What was called since `before`.
pub(crate) fn since(now: &Calls, before: &Calls) -> Calls {
    let less = |(kind, count): (&(String, String), &u64)| {
        let more = count - before.get(kind).copied().unwrap_or_default();
        (more > 0).then(|| (kind.clone(), more))
    };
    now.iter().filter_map(less).collect()
}

/// Calls of a service, or of all.
pub(crate) fn count(calls: &Calls, service: Option<&str>) -> u64 {
    let of = |kind: &(String, String)| service.is_none_or(|service| kind.0 == service);
    calls.iter().filter(|(kind, _)| of(kind)).map(|(_, count)| count).sum()
}

pub(crate) fn print(calls: &Calls) {
    for ((service, operation), count) in calls {
        println!("  {:<44}{count:>8}", format!("{service} {operation}"));
    }
}

fn lock<T>(one: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    one.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `bench` on a paused clock.
pub(crate) fn on_paused_clock(bench: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    fastrand::seed(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.context("start a paused runtime")?.block_on(bench)
}
