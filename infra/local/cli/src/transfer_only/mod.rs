//! Transfer Family alone, beside another region: an emulator that has the rest but no SFTP, or none that people can
//! log in to. That region's network and file systems are described in a file; the events that Transfer Family would put
//! on that region's bus are written to standard output, one JSON text a line, for whoever carries them there. The VPC
//! endpoints of servers are made in that region's EC2, which is found as every AWS SDK finds it: by `AWS_ENDPOINT_URL`
//! or `AWS_ENDPOINT_URL_EC2`, a region and credentials.

mod mirrored;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use wharfinger_emulator::{
    clock::Clock,
    cloudwatch::{CloudWatch, Metrics},
    context::{Context, Pace},
    ec2::Ec2,
    efs::Efs,
    endpoint::front::{self, Services},
    events::bus::EventBus,
    logs::{CloudWatchLogs, LogGroups},
    secretsmanager::SecretsManager,
    service::Service,
    transfer::{Partners, Transfer},
};
use wharfinger_region::options::loopback;

/// The options of `wharfinger transfer`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// A JSON file with the other region's network and file systems, by that region's ids:
    /// {"vpc": "vpc-…", "subnets": ["subnet-…"], "security_groups": ["sg-…"], "addresses": ["eipalloc-…"],
    /// "file_systems": {"fs-…": ["/sites/blog"]}}.
    #[arg(long, value_name = "FILE")]
    pub(crate) beside: PathBuf,
    /// Where the AWS endpoint listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub(crate) aws: SocketAddr,
    /// Where SFTP servers listen: the first Elastic IP and the port of all.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2222", value_parser = loopback)]
    pub(crate) sftp: SocketAddr,
    /// The period of the metrics, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) metric_period: u64,
}

/// What the other region has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Surroundings {
    vpc: String,
    subnets: Vec<String>,
    /// They let clients on loopback in: the other region keeps their rules.
    security_groups: Vec<String>,
    /// Allocation ids of Elastic IPs.
    addresses: Vec<String>,
    /// The directories that exist on each file system, by its id.
    file_systems: std::collections::BTreeMap<String, Vec<String>>,
}

/// Runs until `ended`.
///
/// # Errors
/// A file that can't be read, ids that can't be, a taken address.
pub(crate) async fn run(options: Options, ended: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let surroundings = read(&options.beside)?;
    let listener = TcpListener::bind(options.aws).await.with_context(|| format!("listen on {}", options.aws))?;
    let files = tempfile::tempdir().context("make a directory for the file systems")?;
    let clock = Clock::system();
    let (bus, events) = EventBus::new(clock.clone());
    let context = context(&options, clock, bus, files.path().to_owned())?;
    let (ec2, efs) = settle(&context, &surroundings).await?;
    let metrics = Metrics::default();
    let cloudwatch = CloudWatch::new(context.clone(), None, metrics.clone())?;
    let there = aws_sdk_ec2::Client::new(&aws_config::load_from_env().await);
    let network = Arc::new(mirrored::MirroredEndpoints::new(there, Arc::clone(&ec2)));
    let secrets = SecretsManager::new(context.clone(), None)?;
    let groups = LogGroups::default();
    let logs = CloudWatchLogs::new(context.clone(), None, groups.clone())?;
    let partners = Partners { network, metrics, logs: groups, secrets: Arc::clone(&secrets) };
    let transfer = Transfer::new(context, None, partners)?;
    let services: [Arc<dyn Service>; 6] = [ec2, efs, cloudwatch, logs, secrets, transfer.clone()];

    println!("AWS endpoint  http://{}", listener.local_addr().context("read the port of the AWS endpoint")?);
    println!("SFTP          {}", options.sftp);
    println!("Files         {}", files.path().display());
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(front::serve(listener, Services::new(services), shutdown.clone()));
    let telling = tokio::spawn(tell(events));
    ended.await?;
    transfer.close().await;
    shutdown.cancel();
    telling.abort();
    serving.await.context("end the AWS endpoint")?.context("serve the AWS endpoint")
}

fn read(file: &std::path::Path) -> anyhow::Result<Surroundings> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} does not describe a region", file.display()))
}

fn context(options: &Options, clock: Clock, bus: EventBus, file_systems: PathBuf) -> anyhow::Result<Context> {
    let SocketAddr::V4(sftp) = options.sftp else { anyhow::bail!("--sftp takes an IPv4 address") };
    anyhow::ensure!(sftp.port() != 0, "--sftp needs a port here: several servers share it");
    Ok(Context {
        clock,
        bus,
        file_systems: Arc::new(file_systems),
        pace: Arc::new(Pace { metric_period: Duration::from_secs(options.metric_period), ..Pace::default() }),
        sftp_port: sftp.port(),
        sftp_host: *sftp.ip(),
        site: options.sftp,
    })
}

/// Gives the services the other region's network and file systems.
async fn settle(context: &Context, there: &Surroundings) -> anyhow::Result<(Arc<Ec2>, Arc<Efs>)> {
    let ec2 = Ec2::new(context.clone(), None)?;
    let efs = Efs::new(context.clone(), None, Arc::clone(&ec2))?;
    ec2.add_vpc(&there.vpc, "10.0.0.0/16", "other");
    for (subnet, zone) in there.subnets.iter().zip('a'..='z') {
        let third = u32::from(zone) - u32::from('a');
        ec2.add_subnet(subnet, &there.vpc, &format!("us-east-1{zone}"), &format!("10.0.{third}.0/24"));
    }
    for group in &there.security_groups {
        ec2.add_security_group(group, &there.vpc, group, "admits loopback");
        let rule = json!({
            "IpProtocol": "tcp", "FromPort": context.sftp_port, "ToPort": context.sftp_port,
            "IpRanges": [{ "CidrIp": "127.0.0.0/8" }],
        });
        let input = json!({ "GroupId": group, "IpPermissions": [rule] });
        ec2.call("AuthorizeSecurityGroupIngress", input).await.context("open the security groups")?;
    }
    for address in &there.addresses {
        ec2.add_address(address);
    }
    for (id, directories) in &there.file_systems {
        efs.add_file_system(id, &json!({ "CreationToken": id, "Encrypted": true }))
            .with_context(|| format!("make the file system {id}"))?;
        for directory in directories {
            efs.make_directory(id, directory).with_context(|| format!("make the directory {directory}"))?;
        }
    }
    Ok((ec2, efs))
}

async fn tell(mut events: mpsc::UnboundedReceiver<Value>) {
    while let Some(event) = events.recv().await {
        println!("{event}");
    }
}
