//! The local region against what AWS documents: through its AWS endpoint with the AWS SDK, and over SFTP with an SSH
//! client.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod dynamodb;
mod ec2;
mod ecs;
mod efs;
mod emulated_region;
mod sftp;
mod transfer;
mod transfer_family;
mod wire;
