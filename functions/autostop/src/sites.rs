//! The sites in the sweep: repairs lost wake-ups of windows and rollouts, and says which sites are busy, since a server
//! must not be stopped under them.

use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use wharfinger_aws::sqs::Queue;
use wharfinger_decisions::{ids::FileSystemId, names::SiteName, site::SiteSpec, wake::SiteTick};
use wharfinger_store::{sites, sites::SiteRecord, table::Table, unreadable::readable, windows::WindowRecord};

use crate::leave_alone;

/// How late an armed tick may be before it is taken as lost: queues deliver late now and then.
const TICK_GRACE: SignedDuration = SignedDuration::from_secs(30);

/// What goes on at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteActivity {
    /// Which.
    pub site: SiteName,
    /// The file system that holds it.
    pub file_system_id: FileSystemId,
    /// Changes wait for a rollout.
    pub window_open: bool,
    /// A rollout is not over.
    pub rollout_in_flight: bool,
    /// When the last change was made that waits for a rollout.
    pub last_change: Option<Timestamp>,
}

/// Looks at every site: arms the lost tick of a window anew, and wakes the rollouts in flight, so that they come to
/// their verdict even when ECS's events are lost.
///
/// # Errors
/// When the table or the queue fails.
pub async fn sweep(table: &Table, ticks: &Queue, now: Timestamp) -> anyhow::Result<Vec<SiteActivity>> {
    let sites = table.all::<SiteRecord>(sites::PARTITION).await.context("list the sites")?;
    let sites = readable(sites, |item| leave_alone(item, now));
    let mut activity = Vec::with_capacity(sites.len());
    for (name, record) in sites.into_iter().filter(|(_, record)| !record.deleting) {
        let site = SiteName::from_stored(name);
        let window = table.window(&site).await.with_context(|| format!("read the window of {site}"))?;
        if needs_tick(&window, now) {
            tracing::info!(%site, rollout = window.rollout, "waking the site");
            let tick = SiteTick { site: site.clone() };
            ticks.send(&tick, Duration::ZERO).await.with_context(|| format!("wake the site {site}"))?;
        }
        activity.push(describe(site, &record.intent, &window));
    }
    Ok(activity)
}

fn needs_tick(record: &WindowRecord, now: Timestamp) -> bool {
    let armed = record.armed_until.is_some_and(|until| now.duration_since(until) <= TICK_GRACE);
    record.rollout.is_some() || (record.window.is_open() && !armed)
}

fn describe(site: SiteName, spec: &SiteSpec, record: &WindowRecord) -> SiteActivity {
    SiteActivity {
        site,
        file_system_id: spec.file_system_id.clone(),
        window_open: record.window.is_open(),
        rollout_in_flight: record.rollout.is_some(),
        last_change: record.window.last_change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(armed_until: Option<&str>) -> WindowRecord {
        let mut record = WindowRecord::default();
        record.window.seq = 1;
        record.armed_until = armed_until.map(|at| at.parse().unwrap());
        record
    }

    #[test]
    fn a_window_whose_tick_was_lost_is_woken() {
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        assert!(needs_tick(&open(None), now));
        assert!(needs_tick(&open(Some("2026-01-01T11:59:29Z")), now));
        assert!(!needs_tick(&open(Some("2026-01-01T11:59:31Z")), now), "it may still be on its way");
        assert!(!needs_tick(&open(Some("2026-01-01T12:05:00Z")), now));
        assert!(!needs_tick(&WindowRecord::default(), now), "nothing has changed");
    }

    #[test]
    fn a_rollout_in_flight_is_always_woken() {
        let record = WindowRecord { rollout: Some("id".into()), ..WindowRecord::default() };
        assert!(needs_tick(&record, "2026-01-01T12:00:00Z".parse().unwrap()));
    }
}
