//! The program `wharfinger`: a region on a laptop, the tour through it, and what it would cost on AWS.

pub mod bill;
pub mod cli;
pub mod client;
pub mod tour;
mod transfer_only;
pub mod welcome;
