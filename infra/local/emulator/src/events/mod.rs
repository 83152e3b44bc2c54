//! EventBridge: the default event bus, patterns of events, and schedules.

pub mod bus;
pub mod pattern;
pub mod schedule;
