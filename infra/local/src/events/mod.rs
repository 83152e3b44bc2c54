//! EventBridge: the default event bus, rules with patterns, and schedules.

pub mod bus;
pub mod pattern;
pub mod rules;
pub mod schedule;
