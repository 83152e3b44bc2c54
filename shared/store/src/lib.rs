//! Wharfinger's table: the source of truth for the intents and statuses of servers, users and sites. It is one DynamoDB
//! table; each kind of record has its module, its partition, and its rules for who may write what.

pub mod activity;
pub mod deployment;
mod error;
#[cfg(test)]
mod fixtures;
mod guard;
pub mod host_keys;
mod item;
pub mod lease;
pub mod page;
pub mod record;
pub mod rollouts;
pub mod servers;
pub mod signs;
pub mod sites;
pub mod stored;
pub mod table;
mod transaction;
pub mod turns;
pub mod unique;
pub mod unreadable;
pub mod users;
pub mod windows;
