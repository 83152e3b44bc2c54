//! STS, as far as `aws sts get-caller-identity` goes: people try that first.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{error::AwsError, service::Service};
use crate::ids::ACCOUNT;

/// The security token service of the region.
#[derive(Debug)]
pub struct Sts;

#[async_trait]
impl Service for Sts {
    fn name(&self) -> &'static str {
        "sts"
    }

    async fn call(&self, operation: &str, _input: Value) -> Result<Value, AwsError> {
        match operation {
            "GetCallerIdentity" => Ok(json!({
                "Arn": format!("arn:aws:iam::{ACCOUNT}:root"),
                "UserId": ACCOUNT,
                "Account": ACCOUNT,
            })),
            _ => Err(AwsError::unknown_operation("sts", operation)),
        }
    }

    fn snapshot(&self) -> Value {
        Value::Null
    }
}
