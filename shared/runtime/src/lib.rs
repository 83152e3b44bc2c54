//! How a function starts: configuration read once from the environment, clients built once, logs as JSON lines.

mod entropy;
mod environment;
mod http_client;
pub mod logs;
pub mod metrics;
mod moment;

use aws_config::{BehaviorVersion, SdkConfig};

pub use entropy::Entropy;
pub use environment::{Environment, EnvironmentError};
pub use moment::Moment;

/// Loads the SDK's configuration as it finds it: Region, credentials and endpoints from the environment. All clients
/// made from it share one HTTP client, which trusts Amazon's root certificates.
pub async fn sdk_config() -> SdkConfig {
    let http_client = http_client::http_client(&Environment::of_process());
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client).load().await
}
