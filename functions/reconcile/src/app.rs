//! The function's configuration, and its clients, which are built once.

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::SignedDuration;
use wharfinger_aws::{
    OnFirstUse, cloudwatch::Metrics, ec2::Ec2, efs::FileSystems, logs::Logs, secrets::Secrets, sqs::Queue,
    transfer::Transfer,
};
use wharfinger_chance::Chance;
use wharfinger_decisions::{deployment::Deployment, ids::RoleArn};
use wharfinger_runtime::Environment;
use wharfinger_store::table::Table;

use crate::{owners::Owners, rate::Rate, seen_tags::SeenTags};

/// The function's clients and configuration.
#[derive(Debug)]
pub struct App {
    pub(crate) table: Table,
    pub(crate) queue: Queue,
    pub(crate) transfer: Transfer,
    /// For calls about accounts: each is sent once, at [`rate`](Self::rate).
    pub(crate) accounts: Transfer,
    pub(crate) rate: Rate,
    pub(crate) owners: Owners,
    pub(crate) seen_tags: SeenTags,
    pub(crate) ec2: Ec2,
    pub(crate) file_systems: FileSystems,
    pub(crate) secrets: Secrets,
    pub(crate) metrics: Metrics,
    pub(crate) logs: Logs,
    /// The SFTP port.
    pub(crate) sftp_port: u16,
    /// The IAM role of users whose server names none.
    pub(crate) user_role: RoleArn,
    /// The ARN of the log group that takes the servers' structured logs.
    pub(crate) log_group: String,
    /// The prefix of the secrets' names. It is unique to the deployment within an AWS account.
    pub(crate) secret_prefix: String,
    /// What host keys are drawn from.
    pub(crate) chance: Chance,
}

impl App {
    /// Builds the clients from `sdk` and reads the configuration from `environment`. Everything random comes from
    /// `chance`.
    ///
    /// # Errors
    /// When a variable is missing or can't be read.
    pub fn new(sdk: &SdkConfig, environment: &Environment, chance: Chance) -> anyhow::Result<Self> {
        let role: String = environment.required("TRANSFER_USER_ROLE_ARN")?;
        let user_role = RoleArn::parse(role).context("read TRANSFER_USER_ROLE_ARN")?;
        let period = SignedDuration::from_secs(environment.required::<u32>("METRIC_PERIOD_SECONDS")?.into());
        let transfer = Transfer::new(aws_sdk_transfer::Client::new(sdk));
        Ok(Self {
            table: Table::new(
                aws_sdk_dynamodb::Client::new(sdk),
                environment.required::<String>("TABLE_NAME")?,
                chance.clone(),
            ),
            queue: Queue::new(
                OnFirstUse::new(sdk, aws_sdk_sqs::Client::new),
                environment.required::<String>("SERVERS_QUEUE_URL")?,
            ),
            accounts: transfer.once(),
            transfer,
            rate: Rate::default(),
            owners: Owners::default(),
            seen_tags: SeenTags::default(),
            ec2: Ec2::new(OnFirstUse::new(sdk, aws_sdk_ec2::Client::new)),
            file_systems: FileSystems::new(OnFirstUse::new(sdk, aws_sdk_efs::Client::new)),
            secrets: Secrets::new(OnFirstUse::new(sdk, aws_sdk_secretsmanager::Client::new)),
            metrics: Metrics::new(OnFirstUse::new(sdk, aws_sdk_cloudwatch::Client::new), period),
            logs: Logs::new(OnFirstUse::new(sdk, aws_sdk_cloudwatchlogs::Client::new)),
            sftp_port: environment.required("SFTP_PORT")?,
            user_role,
            log_group: environment.required("SFTP_LOG_GROUP")?,
            secret_prefix: environment.required("SECRET_PREFIX")?,
            chance,
        })
    }

    /// This deployment, whose table has the id `id`.
    pub(crate) fn deployment(&self, id: Option<String>) -> Deployment {
        Deployment { name: self.secret_prefix.trim_end_matches('/').to_owned(), id }
    }
}
