//! AWS as Wharfinger uses it: one module for each service, with the calls in use, our types in and out, and one error
//! type that says what a caller can do about it.

pub mod cloudwatch;
#[cfg(feature = "ec2")]
pub mod ec2;
pub mod ecs;
pub mod efs;
pub mod error;
#[cfg(feature = "logs")]
pub mod logs;
mod on_first_use;
#[cfg(feature = "ec2")]
pub mod preflight;
mod raw;
pub mod secrets;
pub mod sqs;
pub mod transfer;

pub use on_first_use::OnFirstUse;
