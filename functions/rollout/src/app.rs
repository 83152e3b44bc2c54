//! What the function works with.

use aws_config::SdkConfig;
use wharfinger_aws::{ecs::Ecs, sqs::Queue};
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
}

impl App {
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
        })
    }
}
