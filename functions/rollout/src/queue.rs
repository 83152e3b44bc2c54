//! The sites that wait for their turn on a service.

use anyhow::Context as _;
use jiff::Timestamp;
use wharfinger_decisions::{names::SiteName, site::SiteSpec, window::Decision};
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::StoreError,
};

use crate::App;

/// The first of `waiting` that is ready to be rolled out to the service of `spec`. One whose window has been filled again,
/// or that is gone or has moved, holds up nobody.
///
/// # Errors
/// When the table fails.
pub(crate) async fn next(
    app: &App,
    spec: &SiteSpec,
    waiting: Vec<SiteName>,
    now: Timestamp,
) -> anyhow::Result<Option<SiteName>> {
    for site in waiting {
        if is_ready(app, spec, &site, now).await? {
            return Ok(Some(site));
        }
    }
    Ok(None)
}

async fn is_ready(app: &App, spec: &SiteSpec, site: &SiteName, now: Timestamp) -> anyhow::Result<bool> {
    let record = app.table.read::<SiteRecord>(&sites::key(site)).await.context("read a site that waits")?;
    let Some(Ok(record)) = record else { return Ok(false) };
    if record.deleting || !record.intent.shares_service_with(spec) {
        return Ok(false);
    }
    match app.table.window(site).await {
        Ok(window) => {
            let is_over = matches!(window.decide(&record.intent, now), Decision::Claim { .. });
            Ok(is_over && window.rollout.is_none())
        }
        Err(StoreError::Unreadable(_)) => Ok(false),
        Err(error) => Err(error).context("read the window of a site that waits"),
    }
}
