//! The AWS endpoint: one port for all services, wire protocols in front, and what is counted, refused and broken on the
//! way to a service.

pub mod between;
pub mod calls;
pub mod client;
pub mod faults;
pub mod front;
pub mod meter;
pub mod traffic;
pub mod wire;
