//! The local region against what AWS documents: through its AWS endpoint with the AWS SDK, and over SFTP with an SSH
//! client.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod dynamodb;
mod ec2;
mod ecs;
mod efs;
mod ground;
mod sftp;
mod transfer;
mod wharf;
mod wire;
