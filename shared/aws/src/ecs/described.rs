//! A service as ECS describes it, for what only looks at it.

use aws_sdk_ecs::types::ServiceField;
use serde_json::Value;

use super::Ecs;
use crate::{error::AwsError, raw::Answer};

impl Ecs {
    /// A service as the JSON of DescribeServices, with its tags, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`Kind::NotFound`](crate::error::Kind::NotFound) when the cluster does not exist.
    pub async fn described_service(&self, cluster: &str, service: &str) -> Result<Option<Value>, AwsError> {
        let answer = Answer::default();
        let call = self.client.describe_services().cluster(cluster).services(service).include(ServiceField::Tags);
        let sent = call.customize().interceptor(answer.clone()).send().await;
        sent.map_err(|error| AwsError::sort(format!("describe service {cluster}/{service}"), error))?;
        Ok(answer.json().and_then(|mut json| json["services"].get_mut(0).map(Value::take)))
    }
}
