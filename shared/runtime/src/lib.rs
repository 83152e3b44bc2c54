//! What every function needs at its start: configuration from the environment, the SDK's configuration, logs, metrics
//! and time.

mod environment;
mod http_client;
pub mod logs;
pub mod metrics;
mod moment;
mod sdk;

pub use environment::{Environment, EnvironmentError};
pub use moment::Moment;
pub use sdk::sdk_config;
