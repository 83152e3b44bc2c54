//! How a function's clients reach AWS: Region, credentials and endpoints are those that its environment names.
//!
//! The SDK's own loader looks for them in profile files, and sets up calls to STS, ECS and EC2 for credentials too. On
//! Lambda they are always in the environment, so a start does without it, and the packages without what it needs.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider, identity::IdentityCache,
    retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::{Environment, http_client::http_client};

/// The longest that a connection may take to be made: the SDK's default.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// The longest that one try of a call may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that a call may take, with all its tries: a second one fits in after a first without an answer. The
/// shortest time that a function has is that of two such calls.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);

/// The SDK's configuration, of the variables `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`,
/// `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` in `environment`, and the process's credentials. All other
/// settings are the SDK's defaults. All clients made from it share one HTTP client, which trusts Amazon's root
/// certificates. A call ends after 12 s, whether or not it was answered.
#[must_use]
pub fn sdk_config(environment: &Environment) -> SdkConfig {
    with_client(environment, http_client(environment))
}

fn with_client(environment: &Environment, http_client: SharedHttpClient) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
    let timeouts = timeouts.operation_attempt_timeout(TRY_TIMEOUT).operation_timeout(CALL_TIMEOUT);
    let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| environment.optional(name));
    let set = |name| environment.optional(name).map(|value| value.eq_ignore_ascii_case("true"));
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.map(|region| Region::new(region.to_owned())))
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .identity_cache(IdentityCache::lazy().build())
        .retry_config(RetryConfig::standard())
        .timeout_config(timeouts.build())
        .service_config(Endpoints(environment.clone()))
        .http_client(http_client);
    config.set_use_fips(set("AWS_USE_FIPS_ENDPOINT")).set_use_dual_stack(set("AWS_USE_DUALSTACK_ENDPOINT"));
    config.build()
}

/// Endpoints that the environment names, for a service or for all.
#[derive(Debug)]
struct Endpoints(Environment);

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        let own = self.0.optional(&format!("{}_{service}", key.env()));
        own.or_else(|| self.0.optional(key.env())).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::{Client, config::Credentials, error::SdkError};
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

    fn config(variables: &[(&str, &str)]) -> SdkConfig {
        with_client(&variables.iter().copied().collect(), SharedHttpClient::new(Mute))
    }

    /// The endpoint that a client of `service` takes from `config`.
    fn endpoint(config: &SdkConfig, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        config.service_config()?.load_config(key.build().unwrap())
    }

    #[test]
    fn a_service_has_its_own_endpoint_or_that_of_all() {
        let (all, own) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
        let config = config(&[("AWS_ENDPOINT_URL", all), ("AWS_ENDPOINT_URL_SECRETS_MANAGER", own)]);
        assert_eq!(endpoint(&config, "SQS").as_deref(), Some(all));
        assert_eq!(endpoint(&config, "Secrets Manager").as_deref(), Some(own));
    }

    #[test]
    fn endpoints_are_awss_where_no_variable_names_one() {
        for variables in [&[][..], &[("AWS_ENDPOINT_URL", "")], &[("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:1")]] {
            assert_eq!(endpoint(&config(variables), "SQS"), None, "{variables:?}");
        }
    }

    #[test]
    fn the_region_and_the_kind_of_endpoint_are_the_environments() {
        let config = config(&[("AWS_REGION", "us-gov-west-1"), ("AWS_USE_FIPS_ENDPOINT", "true")]);
        assert_eq!(config.region().map(AsRef::as_ref), Some("us-gov-west-1"));
        assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(true), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_answers_ends_in_time() {
        let credentials = Credentials::new("a", "b", None, None, "test");
        let sdk = config(&[("AWS_REGION", "us-east-1")]).into_builder();
        let sdk = sdk.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        let began = Instant::now();
        let call = Client::new(&sdk).send_message().queue_url("https://sqs.us-east-1.amazonaws.com/0/q");
        let answer = tokio::time::timeout(Duration::from_secs(30), call.message_body("{}").send()).await;
        let error = answer.expect("it ends before Lambda ends the function").unwrap_err();
        assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
        assert!(began.elapsed() > TRY_TIMEOUT, "it is tried twice");
    }
}
