//! What the unit tests of services share.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::Clock,
    context::{Context, Pace},
    events::bus::EventBus,
};

/// A context on the machine's time, for services that keep no files. Tasks start and stop in 10 ms.
pub(crate) fn context() -> Context {
    context_at(Clock::system())
}

/// The same on another clock.
pub(crate) fn context_at(clock: Clock) -> Context {
    let (bus, _) = EventBus::new(clock.clone());
    Context {
        clock,
        bus,
        file_systems: Arc::new(PathBuf::from("/nonexistent")),
        pace: Arc::new(Pace { task_transition: Duration::from_millis(10), ..Pace::default() }),
        sftp_port: 0,
        sftp_host: Ipv4Addr::LOCALHOST,
        site: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
