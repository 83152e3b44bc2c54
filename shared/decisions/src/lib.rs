//! Wharfinger's domain types and decisions. Everything here is plain, synchronous Rust: time, ids and policy are
//! arguments, and each decision carries its reason. The terms of this crate are those of the API, the logs and the
//! table.

pub mod account;
pub mod check;
pub mod cidr;
pub mod condition;
pub mod deployment;
pub mod diff;
pub mod directory;
pub mod drain;
pub mod drift;
pub mod duration;
pub mod freeze;
pub mod gate;
pub mod idle;
pub mod ids;
pub mod ingress;
pub mod key;
pub mod messages;
pub mod names;
pub mod order;
pub mod pattern;
pub mod placement;
pub mod power;
pub mod preflight;
pub mod presence;
pub mod reach;
pub mod rebuild;
pub mod revision;
pub mod rollback;
pub mod rollout;
pub mod seen_events;
pub mod server;
pub mod settings;
pub mod sftp_event;
pub mod site;
pub mod summary;
pub mod text;
pub mod turns;
pub mod user;
pub mod verdict;
pub mod wakeup;
pub mod window;
pub mod wish;
