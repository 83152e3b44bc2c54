//! AWS's services as far as Wharfinger uses them, on AWS's wire protocols: the same SDKs, the `aws` CLI and `sftp` work
//! against them unchanged. Nothing here knows a template or a function: whoever starts the services wires them.

pub mod clock;
pub mod cloudwatch;
pub mod context;
pub mod dynamodb;
pub mod ec2;
pub mod ecs;
pub mod efs;
pub mod endpoint;
pub mod error;
pub mod events;
pub mod guard;
pub mod iam;
pub mod ids;
pub mod input;
pub mod logs;
pub mod page;
pub mod query_code;
pub mod secretsmanager;
pub mod service;
pub mod sqs;
pub mod sts;
#[cfg(test)]
mod testing;
pub mod throttle;
pub mod transfer;
mod wildcard;
