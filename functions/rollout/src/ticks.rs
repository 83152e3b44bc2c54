//! Ticks: delayed messages that bring a site to be looked at.

use anyhow::Context as _;
use jiff::Timestamp;
use wharfinger_decisions::{messages::SiteTick, names::SiteName};

use crate::App;

/// Sends a tick for `site` that is due at `at`.
///
/// # Errors
/// When the queue does not take it.
pub(crate) async fn send_tick(app: &App, site: &SiteName, at: Timestamp, now: Timestamp) -> anyhow::Result<()> {
    let delay = at.duration_since(now).try_into().unwrap_or_default();
    let tick = SiteTick { site: site.clone() };
    app.ticks.send(&tick, delay).await.with_context(|| format!("arm a tick of {site}"))
}
