//! Logs as JSON lines on standard output, where Lambda takes them.

use std::sync::Once;

use tracing_subscriber::EnvFilter;

static INSTALL: Once = Once::new();

/// Starts logging at the level that `LOG_LEVEL` names (`info` where it is not set). Later calls change nothing.
pub fn start() {
    INSTALL.call_once(|| {
        let level = std::env::var("LOG_LEVEL").unwrap_or_else(|_| "info".into());
        // The SDK's and the HTTP client's own lines only matter when something is looked for.
        let filter = EnvFilter::try_new(format!("warn,wharfinger={level},bootstrap={level}"))
            .unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_env_filter(filter)
            .with_ansi(false)
            .init();
    });
}

/// Whether logging has been started.
pub(crate) fn started() -> bool {
    INSTALL.is_completed()
}
