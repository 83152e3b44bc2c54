//! x
pub mod sites;
