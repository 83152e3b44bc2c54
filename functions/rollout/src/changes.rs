//! Takes a batch of events in: one write for each site that they touch, and an armed tick. Only then are the messages
//! acknowledged.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use wharfinger_decisions::{
    change::Change,
    names::SiteName,
    site::SiteSpec,
    wake::SiteTick,
    window::{Decision, decide},
};
use wharfinger_runtime::metrics;
use wharfinger_store::{
    sites::{self, SiteRecord},
    table::{StoreError, Table},
    unreadable::Unreadable,
    windows::WindowRecord,
};

use crate::{
    App, arming,
    message::{Batch, MessageId, is_service},
};

/// How often a write is tried again because another writer was first. At most five batches are taken in at once.
pub const MOST_TRIES: u32 = 20;

/// What the batch's messages change at one site.
#[derive(Default)]
struct Share {
    changes: Vec<Change>,
    messages: Vec<MessageId>,
}

/// Takes in the uploads of `batch`, and adds to `awake` the sites whose deployments came further. Messages that could
/// not be taken in are marked as failed.
pub async fn gather(app: &App, batch: &mut Batch, awake: &mut BTreeMap<SiteName, Vec<MessageId>>, now: Timestamp) {
    let sites = match read_sites(&app.table, now).await {
        Ok(sites) => sites,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the sites can't be read; the batch comes again");
            batch.failed.extend(batch.uploads.iter().map(|(id, _)| id.clone()));
            return batch.failed.extend(batch.deployments.iter().map(|(id, _)| id.clone()));
        }
    };
    note_activity(app, batch).await;
    for (site, share) in shares(batch, &sites) {
        let spec = &sites.iter().find(|(name, _)| *name == site).expect("shares are made from these sites").1;
        if let Err(error) = take_in(app, &site, spec, &share.changes, now).await {
            tracing::error!(%site, error = format!("{error:#}"), "the changes can't be taken in; they come again");
            batch.failed.extend(share.messages);
        }
    }
    for (id, arn) in &batch.deployments {
        let of_it = |spec: &SiteSpec| is_service(arn, spec.cluster.as_str(), spec.service.as_str());
        for (site, _) in sites.iter().filter(|(_, spec)| of_it(spec)) {
            awake.entry(site.clone()).or_default().push(id.clone());
        }
    }
}

/// The sites. One whose record can't be read gathers its changes as far as its directory is known; they wait in its
/// window until the record can be read.
async fn read_sites(table: &Table, now: Timestamp) -> anyhow::Result<Vec<(SiteName, SiteSpec)>> {
    let records = table.all::<SiteRecord>(sites::PARTITION).await.context("list the sites")?;
    let records = records.into_iter().map(|(name, read)| {
        let record = read.unwrap_or_else(|unreadable| {
            leave_alone(&unreadable, now);
            unreadable.remains()
        });
        (SiteName::from_stored(name), record)
    });
    let there = records.filter(|(_, record)| !record.deleting && !record.intent.directory.as_str().is_empty());
    Ok(there.map(|(name, record)| (name, record.intent)).collect())
}

/// Tells of an item that can't be read, which is left as it is.
pub(crate) fn leave_alone(item: &Unreadable, now: Timestamp) {
    tracing::error!(%item, "a record can't be read and is left alone");
    metrics::trouble(metrics::Trouble::UnreadableRecord, &item.to_string(), now);
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
    for _ in 0..MOST_TRIES {
        let mut record = app.table.window(site).await.context("read the window")?;
        let absorbed = record.window.absorb(&mut record.memory, changes);
        let due = due(&record, spec, now);
        let rearm = due.and_then(|due| arming::rearm(record.armed_until, due, now));
        record.armed_until = rearm.or(record.armed_until);
        if absorbed.new > 0 || rearm.is_some() {
            match app.table.write_window(site, &record).await {
                Err(StoreError::Conflict) => continue,
                written => written.context("write the window")?,
            };
        }
        // Known changes come again when the last delivery was not acknowledged: its tick may never have been sent.
        let wake = if absorbed.repeated > 0 { due.map(|due| arming::within_reach(due, now)) } else { rearm };
        if let Some(wake) = wake {
            send_tick(app, site, wake, now).await?;
        }
        let (new, repeated, seq) = (absorbed.new, absorbed.repeated, record.window.seq);
        tracing::info!(%site, new, repeated, seq, tick_at = wake.map(tracing::field::display), "changes taken in");
        return Ok(());
    }
    anyhow::bail!("{MOST_TRIES} other writers were first")
}

/// When the window is to be looked at. While a rollout is in flight, its end looks at the window.
fn due(record: &WindowRecord, spec: &SiteSpec, now: Timestamp) -> Option<Timestamp> {
    if record.rollout.is_some() {
        return None;
    }
    match decide(&record.window, &spec.finish, now) {
        Decision::Nothing => None,
        Decision::Wait { until, .. } => Some(until),
        Decision::Claim { .. } => Some(now),
    }
}

/// Sends a tick for `site` that is due at `at`.
///
/// # Errors
/// When the queue does not take it.
pub async fn send_tick(app: &App, site: &SiteName, at: Timestamp, now: Timestamp) -> anyhow::Result<()> {
    let delay = at.duration_since(now).try_into().unwrap_or_default();
    let tick = SiteTick { site: site.clone() };
    app.ticks.send(&tick, delay).await.with_context(|| format!("arm a tick of {site}"))
}
