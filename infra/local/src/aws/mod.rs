//! The AWS endpoint: wire protocols in front, one module for each service behind.

pub mod between;
pub mod calls;
pub mod client;
pub mod cloudwatch;
pub mod dynamodb;
pub mod ec2;
pub mod efs;
pub mod error;
pub mod faults;
pub mod front;
pub mod input;
pub mod meter;
pub mod secretsmanager;
pub mod service;
pub mod sqs;
pub mod sts;
pub mod wire;
