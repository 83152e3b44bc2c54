//! How a function starts: configuration read once from the environment, clients built once, logs as JSON lines.

mod entropy;
mod environment;
pub mod logs;
pub mod metrics;
mod moment;

use aws_config::{BehaviorVersion, SdkConfig};

pub use entropy::Entropy;
pub use environment::{Environment, EnvironmentError};
pub use moment::Moment;

/// Loads the SDK's configuration as it finds it: Region, credentials and endpoints from the environment.
pub async fn sdk_config() -> SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}
