//! Logs as JSON lines on standard output, where Lambda takes them.

use std::sync::Once;

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

static INSTALL: Once = Once::new();

/// Starts logging at the level that `LOG_LEVEL` names (`info` where it names none). Later calls change nothing.
pub fn start() {
    INSTALL.call_once(|| {
        let level = std::env::var("LOG_LEVEL").ok().and_then(|level| level.parse().ok());
        let level: LevelFilter = level.unwrap_or(LevelFilter::INFO);
        // The SDK's and the HTTP client's own lines only matter when something is looked for.
        let filter = Targets::new().with_default(LevelFilter::WARN);
        let filter = filter.with_target("wharfinger", level).with_target("bootstrap", level);
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
        let lines = lines.with_current_span(false).with_span_list(false).with_ansi(false);
        tracing_subscriber::registry().with(lines).with(filter).init();
    });
}

/// Whether logging has been started.
pub(crate) fn started() -> bool {
    INSTALL.is_completed()
}
