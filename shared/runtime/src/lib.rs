//! What every function needs at its start: configuration from the environment, the SDK's configuration, logs, metrics
//! and time.

mod environment;
mod http_client;
pub mod logs;
pub mod metrics;
mod moment;

use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig, timeout::TimeoutConfig};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

pub use environment::{Environment, EnvironmentError};
pub use moment::Moment;

/// The longest that one try of a call may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a call may take, with all its tries: a second one fits in after a first without an answer. The
/// shortest time that a function has is that of two such calls.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);

/// Loads the SDK's configuration as it finds it: Region, credentials and endpoints from the environment. All clients
/// made from it share one HTTP client, which trusts Amazon's root certificates. A call ends after 12 s, whether or not
/// it was answered.
pub async fn sdk_config() -> SdkConfig {
    loader(http_client::http_client(&Environment::of_process())).load().await
}

fn loader(http_client: SharedHttpClient) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(TRY_TIMEOUT).operation_timeout(CALL_TIMEOUT);
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client).timeout_config(timeouts.build())
}

#[cfg(test)]
mod tests {
    use aws_config::Region;
    use aws_sdk_sqs::{
        Client,
        config::{Credentials, SharedCredentialsProvider},
        error::SdkError,
    };
    use aws_smithy_runtime_api::client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    };
    use tokio::time::Instant;

    use super::*;

    /// A service that takes every call and answers none.
    #[derive(Clone, Debug)]
    struct Mute;

    impl HttpConnector for Mute {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            HttpConnectorFuture::new(std::future::pending())
        }
    }

    impl HttpClient for Mute {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_answers_ends_in_time() {
        let credentials = Credentials::new("a", "b", None, None, "test");
        let loader = loader(SharedHttpClient::new(Mute)).region(Region::from_static("us-east-1"));
        let sdk = loader.credentials_provider(SharedCredentialsProvider::new(credentials)).load().await;
        let began = Instant::now();
        let call = Client::new(&sdk).send_message().queue_url("https://sqs.us-east-1.amazonaws.com/0/q");
        let answer = tokio::time::timeout(Duration::from_secs(30), call.message_body("{}").send()).await;
        let error = answer.expect("it ends before Lambda ends the function").unwrap_err();
        assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
        assert!(began.elapsed() > TRY_TIMEOUT, "it is tried twice");
    }
}
