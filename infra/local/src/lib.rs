//! Wharfinger's region on a laptop. It runs the real functions, wired as `infra/template.yaml` says, on services that
//! speak AWS's wire protocols: the same SDKs, the `aws` CLI and `sftp` work against it unchanged.

pub mod aws;
mod beside;
pub mod bill;
pub mod cli;
pub mod client;
pub mod clock;
pub mod context;
pub mod ecs;
pub mod events;
pub mod gateway;
mod guard;
pub mod iam;
pub mod lambda;
pub mod options;
pub mod region;
pub mod seed;
pub mod sftp;
pub mod state;
pub mod template;
pub mod tour;
pub mod transfer;
pub mod welcome;
