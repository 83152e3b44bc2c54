//! The sites in the sweep: repairs lost wake-ups of windows and rollouts, and says which sites are busy, since a server
//! must not be stopped under them.

use std::time::Duration;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use wharfinger_aws::sqs::Queue;
use wharfinger_chance::Chance;
use wharfinger_decisions::{idle::SiteSign, messages::SiteTick, names::SiteName, wakeup};
use wharfinger_runtime::{Moment, metrics};
use wharfinger_store::{
    signs::{ReadSite, SiteSigns, UnknownSite, site_sign},
    sites::SiteRecord,
    table::{StoreError, Table},
    windows::{WindowRecord, old_place::OldPlaces},
};

use crate::work::{AT_ONCE, Undone};

/// Looks at each of `sites`: arms the lost tick of a window anew, and wakes the rollouts in flight, so that they come to
/// their verdict even when ECS's events are lost. `old_places` were read before, and stale copies in them are closed.
///
/// No look is begun after half of the time that is left, because servers are decided after it; it begins at a site that
/// is drawn from `chance`, so that lack of time never leaves the same sites over.
pub(crate) async fn sweep(
    (table, ticks, chance): (&Table, &Queue, &Chance),
    mut sites: Vec<ReadSite>,
    old_places: &OldPlaces,
    moment: Moment,
) -> (SiteSigns, Undone) {
    sites.retain(|site| !site.as_ref().is_ok_and(|(_, record)| record.deleting));
    let first = chance.index(sites.len());
    sites.rotate_left(first);
    let (end, now) = (moment.elapsed() + moment.left() / 2, moment.now);
    let looks = sites.into_iter().map(|site| async move {
        match site {
            Ok((site, record)) if moment.elapsed() >= end => Look::left(site, record),
            Ok((site, record)) => look(table, ticks, site, record, old_places, now).await,
            Err(unknown) => {
                let woken = follow(table, ticks, &unknown, old_places).await;
                Look::unknown(unknown, now).after(woken)
            }
        }
    });
    let (mut signs, mut undone) = (SiteSigns::default(), Undone::default());
    let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
    while let Some(look) = looks.next().await {
        undone = undone.and(look.undone);
        match look.sign {
            Ok(sign) => signs.known.push(sign),
            Err(unknown) => signs.unknown.push(unknown),
        }
    }
    (signs, undone)
}

/// What a look at a site came to.
struct Look {
    /// What the site is at.
    sign: Result<SiteSign, UnknownSite>,
    /// What kept it from being looked at or woken, or its copy from being closed.
    undone: Undone,
}

impl Look {
    fn unknown(unknown: UnknownSite, now: Timestamp) -> Self {
        let trouble = format!("site {}: {}", unknown.name, unknown.reason);
        let undone = if unknown.unreadable {
            metrics::unreadable_record(&trouble, now);
            Undone::default()
        } else {
            Undone::trouble(trouble)
        };
        Self { sign: Err(unknown), undone }
    }

    fn after(mut self, woken: anyhow::Result<()>) -> Self {
        if let Err(error) = woken {
            self.undone = self.undone.and(Undone::trouble(format!("{error:#}")));
        }
        self
    }

    fn left(site: SiteName, record: SiteRecord) -> Self {
        let unknown = unknown(&site, record, false, "there was no time to look at it".into());
        Self { sign: Err(unknown), undone: Undone { left: 1, ..Undone::default() } }
    }
}

fn unknown(site: &SiteName, record: SiteRecord, unreadable: bool, reason: String) -> UnknownSite {
    let file_system = Some(record.intent.file_system_id.to_string());
    UnknownSite { name: site.to_string(), file_system, remains: Some(Box::new(record.intent)), unreadable, reason }
}

async fn look(
    table: &Table,
    ticks: &Queue,
    site: SiteName,
    record: SiteRecord,
    old_places: &OldPlaces,
    now: Timestamp,
) -> Look {
    let window = match table.window_beside(old_places, &site).await {
        Ok(window) => window,
        Err(error) => {
            let unreadable = matches!(error, StoreError::Unreadable(_));
            let reason = format!("{:#}", anyhow::Error::from(error).context("its window can't be read"));
            return Look::unknown(unknown(&site, record, unreadable, reason), now);
        }
    };
    let repaired = repair(table, ticks, (&site, record.version), &window, now).await;
    let undone = repaired.map_or_else(|error| Undone::trouble(format!("{error:#}")), |()| Undone::default());
    Look { sign: Ok(site_sign(site, &record, &window, now)), undone }
}

/// Wakes the rollout in flight of a site that can't be read: other sites of its service wait for its end.
async fn follow(table: &Table, ticks: &Queue, unknown: &UnknownSite, old_places: &OldPlaces) -> anyhow::Result<()> {
    let site = SiteName::from_stored(&unknown.name);
    match table.window_beside(old_places, &site).await {
        Ok(WindowRecord { rollout: Some(rollout), .. }) => wake(ticks, &site, Some(&rollout)).await,
        Ok(_) | Err(StoreError::Unreadable(_)) => Ok(()),
        Err(error) => Err(anyhow::Error::from(error).context(format!("read the window of {site}"))),
    }
}

async fn wake(ticks: &Queue, site: &SiteName, rollout: Option<&String>) -> anyhow::Result<()> {
    tracing::info!(%site, rollout, "waking the site");
    let tick = SiteTick { site: site.clone() };
    ticks.send(&tick, Duration::ZERO).await.with_context(|| format!("wake the site {site}"))
}

async fn repair(
    table: &Table,
    ticks: &Queue,
    (site, version): (&SiteName, u64),
    window: &WindowRecord,
    now: Timestamp,
) -> anyhow::Result<()> {
    if needs_tick(window, version, now) {
        wake(ticks, site, window.rollout.as_ref()).await?;
    }
    if window.has_stale_copy() {
        table.close_copy(site, window).await.with_context(|| format!("close the copy of the window of {site}"))?;
    }
    Ok(())
}

fn needs_tick(record: &WindowRecord, version: u64, now: Timestamp) -> bool {
    let armed = wakeup::is_pending(record.armed_until, now, wakeup::GRACE);
    let rests = !record.wants() && record.is_to_be_compared(version, now);
    record.rollout.is_some() || ((record.wants() || rests) && !armed)
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
        assert!(needs_tick(&open(None), 1, now));
        assert!(needs_tick(&open(Some("2026-01-01T11:59:29Z")), 1, now));
        assert!(!needs_tick(&open(Some("2026-01-01T11:59:31Z")), 1, now), "it may still be on its way");
        assert!(!needs_tick(&open(Some("2026-01-01T12:05:00Z")), 1, now));
        assert!(!needs_tick(&WindowRecord::default(), 1, now), "nothing has changed");
    }

    #[test]
    fn a_site_that_rests_is_compared_with_what_runs_every_ten_minutes_and_when_it_was_changed() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut record = WindowRecord::default();
        record.window.seq = 1;
        record.window.claimed_seq = 1;
        assert!(needs_tick(&record, 1, at("2026-01-01T12:00:00Z")), "an earlier version compared nothing");
        record.compared = Some(record.compared_anew(1, at("2026-01-01T12:00:00Z")));
        assert!(!needs_tick(&record, 1, at("2026-01-01T12:09:59Z")));
        assert!(needs_tick(&record, 1, at("2026-01-01T12:10:00Z")));
        assert!(needs_tick(&record, 2, at("2026-01-01T12:00:00Z")));
    }

    #[test]
    fn a_rollout_in_flight_is_always_woken() {
        let record = WindowRecord { rollout: Some("id".into()), ..WindowRecord::default() };
        assert!(needs_tick(&record, 1, "2026-01-01T12:00:00Z".parse().unwrap()));
    }
}
