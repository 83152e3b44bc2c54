//! What the function works with.

use aws_config::SdkConfig;
use wharfinger_aws::{OnFirstUse, ecs::Ecs, logs::Logs, sqs::Queue};
use wharfinger_chance::Chance;
use wharfinger_decisions::reach::Reach;
use wharfinger_runtime::Environment;
use wharfinger_store::table::Table;

/// Clients, built once.
#[derive(Clone, Debug)]
pub struct App {
    /// What is wanted and known.
    pub table: Table,
    /// The queue that wakes this function for a site.
    pub ticks: Queue,
    /// The services.
    pub ecs: Ecs,
    /// What servers write about sessions.
    pub logs: Logs,
    /// The ARN of the group that they write it into.
    pub log_group: String,
    /// What this deployment may roll out.
    pub reach: Reach,
    /// The source of rollout ids and of the waits between retries.
    pub chance: Chance,
}

impl App {
    /// Builds the clients from `sdk`, for the table and queue that `environment` names. Everything random comes from
    /// `chance`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn new(sdk: &SdkConfig, environment: &Environment, chance: Chance) -> anyhow::Result<Self> {
        let (table, ticks): (String, String) =
            (environment.required("TABLE_NAME")?, environment.required("TICKS_QUEUE_URL")?);
        Ok(Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(sdk), table, chance.clone()),
            ticks: Queue::new(OnFirstUse::new(sdk, aws_sdk_sqs::Client::new), ticks),
            ecs: Ecs::new(OnFirstUse::new(sdk, aws_sdk_ecs::Client::new)),
            logs: Logs::new(OnFirstUse::new(sdk, aws_sdk_cloudwatchlogs::Client::new)),
            log_group: environment.required("SFTP_LOG_GROUP")?,
            reach: Reach { services: environment.required("SERVICES")?, roles: environment.required("TASK_ROLES")? },
            chance,
        })
    }

    /// Waits before the next try, after `conflicts` conflicting writes in a row.
    pub(crate) async fn back_off(&self, conflicts: u32) {
        tokio::time::sleep(self.chance.backoff(conflicts)).await;
    }
}
