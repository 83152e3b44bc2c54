//! How a region comes up: state, template, services, functions, listeners, in this order, so that whoever is let in
//! finds everything there.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wharfinger_emulator::{
    clock::Clock,
    cloudwatch::{CloudWatch, Metrics},
    context::{Context, Pace},
    dynamodb::Dynamodb,
    ec2::Ec2,
    ecs::Ecs,
    efs::Efs,
    endpoint::{
        front::{self, Services},
        traffic::Traffic,
    },
    events::bus::EventBus,
    logs::{CloudWatchLogs, LogGroups},
    secretsmanager::SecretsManager,
    service::Service,
    sqs::Sqs,
    transfer::{Partners, Transfer},
};

use super::{Addresses, Region, ports, roles};
use crate::{
    data_dir::DataDir,
    gateway,
    lambda::{Lambda, Runner, logs::Logs, mapping, process::Processes},
    options::Options,
    rules, seed,
    template::plan::Plan,
};

/// The template that a deployment uses.
pub(super) const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// Everything that listens, bound before anything runs, so that a taken port has no consequences.
struct Listeners {
    api: TcpListener,
    aws: TcpListener,
    site: TcpListener,
    sftp: ports::Reservation,
    addresses: Addresses,
}

pub(super) async fn region(options: Options, program: PathBuf) -> anyhow::Result<Region> {
    let keys = options.keys()?;
    let data_dir = DataDir::open(options.data.as_deref())?;
    let listeners = bind(&options).await?;
    let addresses = listeners.addresses;
    let endpoint = format!("http://{}", addresses.aws);
    let plan = read_plan(&options, addresses, &endpoint)?;
    let clock = Clock::system();
    let (bus, events) = EventBus::new(clock.clone());
    let context = context(&options, &plan, addresses, (clock, bus), &data_dir)?;
    let traffic = Traffic::new(&options.latency, &options.throttle);
    let built = build(&context, &plan, &data_dir, &endpoint, traffic)?;
    let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());

    let found_again = !data_dir.is_new();
    if !found_again {
        seed::plant(&built.ec2, &built.efs, &built.ecs).await.context("plant what a region begins with")?;
        data_dir.settle(built.services.iter())?;
    }
    built.ecs.start(Some(listeners.site), stopping.clone());
    // The AWS endpoint outlives the functions, which may still call it while they finish.
    let endpoint_open = CancellationToken::new();
    tasks.spawn(report("AWS endpoint", front::serve(listeners.aws, built.services.clone(), endpoint_open.clone())));

    let processes = Processes { program, endpoint, logs: Logs::Region };
    let lambda = Lambda::start(&context, plan.functions.clone(), Runner::Processes(processes))
        .with_destinations(Arc::clone(&built.sqs));
    mapping::start(&plan.functions, &built.sqs, &lambda, &stopping, &tasks);
    let delivery =
        rules::Delivery { sqs: Arc::clone(&built.sqs), lambda: lambda.clone(), clock: context.clock.clone() };
    rules::start(plan.rules.clone(), events, &delivery, &stopping, &tasks);
    let (functions, api_lambda, clock, accepted, open) =
        (plan.functions.clone(), lambda.clone(), context.clock.clone(), keys.clone(), stopping.clone());
    tasks.spawn(report("HTTP API", async move {
        gateway::serve(listeners.api, &functions, api_lambda, clock, accepted, open).await
    }));

    let kept: Vec<_> = built.services.iter().cloned().collect();
    let writing = CancellationToken::new();
    let keeper = tokio::spawn({
        let writing = writing.clone();
        async move { data_dir.keep(kept, writing).await }
    });
    Ok(Region {
        addresses,
        keys: keys.unwrap_or_default(),
        services: built.services,
        sqs: built.sqs,
        lambda,
        bus: context.bus,
        plan,
        keeper,
        writing,
        data: options.data,
        found_again,
        stopping,
        endpoint_open,
        tasks,
        _sftp_port: listeners.sftp,
    })
}

async fn bind(options: &Options) -> anyhow::Result<Listeners> {
    let api = ports::listen("--api", options.api).await?;
    let aws = ports::listen("--aws", options.aws).await?;
    let site = ports::listen("--site", options.site).await?;
    let (sftp, sftp_address) = ports::reserve("--sftp", options.sftp)?;
    let addresses = Addresses {
        api: api.local_addr().context("read the API's port")?,
        aws: aws.local_addr().context("read the AWS endpoint's port")?,
        sftp: sftp_address,
        site: site.local_addr().context("read the site's port")?,
    };
    Ok(Listeners { api, aws, site, sftp, addresses })
}

/// Reads the template with the parameters that were set, as a deployment would. The port that SFTP servers listen on
/// is set from the address that was asked for.
fn read_plan(options: &Options, addresses: Addresses, endpoint: &str) -> anyhow::Result<Plan> {
    let mut parameters = options.parameters();
    let port = addresses.sftp.port().to_string();
    if let Some(asked) = parameters.insert("SftpPort".into(), port.clone())
        && asked != port
    {
        anyhow::bail!("SftpPort is the port of --sftp here, {port}: give another with --sftp 127.0.0.1:{asked}");
    }
    let template = options.template.as_deref().unwrap_or(TEMPLATE);
    Ok(Plan::read(template, &parameters, endpoint)?)
}

fn context(
    options: &Options,
    plan: &Plan,
    addresses: Addresses,
    (clock, bus): (Clock, EventBus),
    data_dir: &DataDir,
) -> anyhow::Result<Context> {
    let seconds = plan.parameters.get("MetricPeriodSeconds").context("the template has no MetricPeriodSeconds")?;
    let metric_period = Duration::from_secs(seconds.parse().context("MetricPeriodSeconds is not a whole number")?);
    let IpAddr::V4(sftp_host) = addresses.sftp.ip() else { anyhow::bail!("--sftp takes an IPv4 address") };
    Ok(Context {
        clock,
        bus,
        file_systems: Arc::new(data_dir.file_systems()),
        pace: Arc::new(Pace { metric_period, ..options.pace.clone() }),
        sftp_port: addresses.sftp.port(),
        sftp_host,
        site: addresses.site,
    })
}

/// The services of one region.
pub(super) struct Built {
    pub(super) services: Services,
    pub(super) ec2: Arc<Ec2>,
    pub(super) efs: Arc<Efs>,
    pub(super) ecs: Arc<Ecs>,
    pub(super) sqs: Arc<Sqs>,
    pub(super) transfer: Arc<Transfer>,
}

pub(super) fn build(
    context: &Context,
    plan: &Plan,
    data_dir: &DataDir,
    endpoint: &str,
    traffic: Traffic,
) -> anyhow::Result<Built> {
    let ec2 = Ec2::new(context.clone(), data_dir.saved("ec2")?)?;
    let efs = Efs::new(context.clone(), data_dir.saved("elasticfilesystem")?, Arc::clone(&ec2))?;
    let ecs = Ecs::new(context.clone(), data_dir.saved("ecs")?, Arc::clone(&efs))?;
    let sqs = Sqs::new(context, data_dir.saved("sqs")?, endpoint)?;
    sqs.declare(plan.queues.iter().map(|queue| &queue.declaration));
    let metrics = Metrics::default();
    let tables: Vec<_> = plan.tables.iter().map(|table| table.create.clone()).collect();
    let dynamodb = Dynamodb::new(data_dir.database().as_deref(), &tables)?;
    let cloudwatch = CloudWatch::new(context.clone(), data_dir.saved("monitoring")?, metrics.clone())?;
    let secrets = SecretsManager::new(context.clone(), data_dir.saved("secretsmanager")?)?;
    let groups = LogGroups::default();
    let logs = CloudWatchLogs::new(context.clone(), data_dir.saved("logs")?, groups.clone())?;
    for group in &plan.log_groups {
        groups.declare(&group.name, group.retention_days, context.clock.now().as_millisecond());
    }
    let partners = Partners { network: Arc::clone(&ec2) as _, metrics, logs: groups, secrets: Arc::clone(&secrets) };
    let transfer = Transfer::new(context.clone(), data_dir.saved("transfer")?, partners)?;
    let all: [Arc<dyn Service>; 9] =
        [ec2.clone(), efs.clone(), ecs.clone(), sqs.clone(), dynamodb, cloudwatch, logs, secrets, transfer.clone()];
    let services = Services::new(all).with_roles(roles::of(&plan.functions)).with_traffic(traffic);
    Ok(Built { services, ec2, efs, ecs, sqs, transfer })
}

async fn report(what: &'static str, serving: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(%error, "the {what} has ended");
    }
}
