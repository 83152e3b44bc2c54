//! The region's AWS endpoint, as the AWS SDK for Rust sees it.

mod dynamodb;
mod ec2;
mod ecs;
mod efs;
mod ground;
mod wire;
