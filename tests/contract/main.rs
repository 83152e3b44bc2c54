//! The local region against what AWS documents: through its AWS endpoint with the AWS SDK, and over SFTP with an SSH
//! client.

mod dynamodb;
mod ec2;
mod ecs;
mod efs;
mod ground;
mod sftp;
mod transfer;
mod wharf;
mod wire;
