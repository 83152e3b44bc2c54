//! What the function works with.

use aws_config::SdkConfig;
use wharfinger_aws::{ecs::Ecs, sqs::Queue};
use wharfinger_runtime::{Entropy, Environment};
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
    /// What rollout ids and waits are drawn from.
    pub entropy: Entropy,
}

impl App {
    /// The same, with ids and waits that are drawn from `entropy`.
    #[must_use]
    pub fn with_entropy(self, entropy: Entropy) -> Self {
        Self { entropy, ..self }
    }

    /// Waits, since `conflicts` writes in a row, from 1, met another writer.
    pub(crate) async fn back_off(&self, conflicts: u32) {
        tokio::time::sleep(self.entropy.backoff(conflicts)).await;
    }

    /// Clients over `sdk`, for the table and the queue that the template names in `environment`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn new(sdk: &SdkConfig, environment: &Environment) -> anyhow::Result<Self> {
        let (table, ticks): (String, String) =
            (environment.required("TABLE_NAME")?, environment.required("TICKS_QUEUE_URL")?);
        Ok(Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(sdk), table),
            ticks: Queue::new(aws_sdk_sqs::Client::new(sdk), ticks),
            ecs: Ecs::new(aws_sdk_ecs::Client::new(sdk)),
            entropy: Entropy::system(),
        })
    }
}
