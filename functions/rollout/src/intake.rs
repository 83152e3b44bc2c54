//! Takes a batch of events in: one write for each site that they touch, and an armed tick. Only then are the messages
//! acknowledged.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use wharfinger_decisions::{
    names::SiteName,
    sftp_event::{Change, SftpEvent},
    site::SiteSpec,
    wakeup,
    window::{Absorbed, Decision},
};
use wharfinger_store::{
    signs::UnknownSite,
    table::{StoreError, Table},
    windows::WindowRecord,
};

use crate::{
    App,
    batch::{Batch, MessageId, WakeUp, is_service},
    placing,
    ticks::send_tick,
};

/// How often a write is tried again because another writer was first: batches of one site are taken in side by side.
/// A batch that never comes first is delivered again.
pub(crate) const MOST_TRIES: u32 = 12;

/// What the batch's messages change at one site.
#[derive(Default)]
struct Share {
    changes: Vec<Change>,
    messages: Vec<MessageId>,
}

/// Takes in the uploads of `batch`, and adds to `awake` the sites on whose services a deployment has ended. Messages that could
/// not be taken in are marked as failed.
pub(crate) async fn gather(app: &App, batch: &mut Batch, awake: &mut BTreeMap<SiteName, WakeUp>, now: Timestamp) {
    note_activity(app, batch).await;
    placing::place(app, batch, now).await;
    // A download changes nothing.
    let changes = batch.uploads.iter().any(|(_, event)| event.is_on(None));
    if !changes && batch.deployments.is_empty() {
        return;
    }
    let (sites, unknown) = match read_sites(&app.table, changes).await {
        Ok(sites) => sites,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the sites can't be read; the batch comes again");
            return batch.put_back();
        }
    };
    put_back(batch, &unknown);
    for (site, share) in shares(batch, &owners(&sites, &unknown)) {
        let Some((_, spec)) = sites.iter().find(|(name, _)| *name == site) else {
            batch.failed.extend(share.messages);
            continue;
        };
        if let Err(error) = take_in(app, &site, spec, &share.changes, now).await {
            tracing::error!(%site, error = format!("{error:#}"), "the changes can't be taken in; they come again");
            batch.failed.extend(share.messages);
        }
    }
    // A rollout of a site that can't be read is followed all the same.
    let owners = owners(&sites, &unknown);
    for (id, arn) in &batch.deployments {
        let of_it = |spec: &SiteSpec| is_service(arn, spec.cluster.as_str(), spec.service.as_str());
        for (site, spec) in owners.iter().filter(|(_, spec)| of_it(spec)) {
            let wake_up = awake.entry(site.clone()).or_default();
            wake_up.messages.push(id.clone());
            wake_up.ended_on = Some(spec.clone());
        }
    }
}

/// The sites that this version can read, and the others. An upload may follow right upon its site's first `PUT`, so
/// where there are `changes` the present is read; a deployment has taken longer than any replica lags behind.
async fn read_sites(table: &Table, changes: bool) -> anyhow::Result<(Vec<(SiteName, SiteSpec)>, Vec<UnknownSite>)> {
    let (mut sites, mut unknown) = (Vec::new(), Vec::new());
    let read = if changes { table.sites().await } else { table.sites_may_lag().await };
    for site in read.context("list the sites")? {
        match site {
            Ok((_, record)) if record.deleting => {}
            Ok((name, record)) => sites.push((name, record.intent)),
            Err(site) => unknown.push(site),
        }
    }
    Ok((sites, unknown))
}

/// The sites that uploads may belong to: also those that can't be read, where it is known what is theirs. Else the site
/// around them would take their uploads.
fn owners(sites: &[(SiteName, SiteSpec)], unknown: &[UnknownSite]) -> Vec<(SiteName, SiteSpec)> {
    let remains = unknown.iter().filter_map(|site| Some((&site.name, site.remains.as_deref()?)));
    let remains = remains.map(|(name, spec)| (SiteName::from_stored(name), spec.clone()));
    sites.iter().cloned().chain(remains).collect()
}

/// Marks as failed the uploads that may be those of a site whose directory is not known. Where another site owns them,
/// it takes them in all the same: it can wait for no other.
fn put_back(batch: &mut Batch, unknown: &[UnknownSite]) {
    for site in unknown {
        tracing::error!(site = site.name, reason = site.reason, "the site can't be read; its uploads come again");
        let may_own = |event: &SftpEvent| site.remains.is_none() && event.is_on(site.file_system.as_deref());
        batch.failed.extend(batch.uploads.iter().filter(|(_, event)| may_own(event)).map(|(id, _)| id.clone()));
    }
}

/// Notes when each server was last heard of.
async fn note_activity(app: &App, batch: &mut Batch) {
    let mut latest: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for (_, event) in &batch.uploads {
        if let Some(server) = &event.server_id {
            let known = latest.entry(server).or_insert(event.at);
            *known = event.at.max(*known);
        }
    }
    for (server, at) in latest {
        if let Err(error) = app.table.note_activity(server, at).await {
            tracing::error!(server, %error, "the server's activity can't be noted; its events come again");
            let of_it = batch.uploads.iter().filter(|(_, event)| event.server_id.as_deref() == Some(server));
            batch.failed.extend(of_it.map(|(id, _)| id.clone()));
        }
    }
}

fn shares(batch: &Batch, sites: &[(SiteName, SiteSpec)]) -> BTreeMap<SiteName, Share> {
    let mut shares: BTreeMap<SiteName, Share> = BTreeMap::new();
    for (id, event) in &batch.uploads {
        for (site, change) in event.changes(sites) {
            let share = shares.entry(site.clone()).or_default();
            share.changes.push(change);
            share.messages.push(id.clone());
        }
    }
    shares
}

async fn take_in(
    app: &App,
    site: &SiteName,
    spec: &SiteSpec,
    changes: &[Change],
    now: Timestamp,
) -> anyhow::Result<()> {
    for conflicts in 1..=MOST_TRIES {
        match try_take_in(app, site, spec, changes, now).await {
            Err(error) if is_conflict(&error) => app.back_off(conflicts).await,
            done => return done,
        }
    }
    anyhow::bail!("{MOST_TRIES} other writers were first")
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Conflict))
}

async fn try_take_in(
    app: &App,
    site: &SiteName,
    spec: &SiteSpec,
    changes: &[Change],
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut record = app.table.window_to_change(site, now).await.context("read the window")?;
    let seen = app.table.seen_events(site, &record, changes, now).await.context("read the events that were seen")?;
    let absorbed = record.window.absorb(&seen, changes, now);
    let due = due(&record, spec, now);
    let rearm = due.and_then(|due| wakeup::rearm(record.armed_until, due, now));
    record.armed_until = rearm.or(record.armed_until);
    if !absorbed.events.is_empty() || rearm.is_some() {
        app.table.count(site, &record, &absorbed.events, now).await.context("write the window")?;
    }
    // Known changes come again when the last delivery was not acknowledged: its tick may never have been sent.
    let wake = if absorbed.repeated > 0 { due.map(|due| wakeup::within_reach(due, now)) } else { rearm };
    if let Some(wake) = wake {
        send_tick(app, site, wake, now).await?;
    }
    let Absorbed { new, repeated, covered, .. } = absorbed;
    let seq = record.window.seq;
    tracing::info!(%site, new, repeated, covered, seq, tick_at = wake.map(tracing::field::display), "changes taken in");
    Ok(())
}

/// When the window is to be looked at. While a rollout is in flight, its end looks at the window.
fn due(record: &WindowRecord, spec: &SiteSpec, now: Timestamp) -> Option<Timestamp> {
    if record.rollout.is_some() {
        return None;
    }
    match record.decide(spec, now) {
        Decision::Nothing | Decision::Ask { .. } => None,
        Decision::Wait { until, .. } => Some(until),
        Decision::Claim { .. } => Some(now),
    }
}
