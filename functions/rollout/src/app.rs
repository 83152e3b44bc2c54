//! What the function works with.

use aws_config::SdkConfig;
use wharfinger_aws::{ecs::Ecs, sqs::Queue};
use wharfinger_chance::Chance;
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
    /// What the ids of rollouts and waits are drawn from.
    pub chance: Chance,
}

impl App {
    /// Clients over `sdk`, for the table and the queue that the template names in `environment`. All that is random is
    /// drawn from `chance`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn new(sdk: &SdkConfig, environment: &Environment, chance: Chance) -> anyhow::Result<Self> {
        let (table, ticks): (String, String) =
            (environment.required("TABLE_NAME")?, environment.required("TICKS_QUEUE_URL")?);
        Ok(Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(sdk), table, chance.clone()),
            ticks: Queue::new(aws_sdk_sqs::Client::new(sdk), ticks),
            ecs: Ecs::new(aws_sdk_ecs::Client::new(sdk)),
            chance,
        })
    }

    /// Waits, since `conflicts` writes in a row, from 1, met another writer.
    pub(crate) async fn back_off(&self, conflicts: u32) {
        tokio::time::sleep(self.chance.backoff(conflicts)).await;
    }
}
