//! Old revisions: those of a site beyond its `keep_revisions` are deregistered. Never one that the service uses, never
//! one to roll back to, never one that Wharfinger did not make. What fails here is done by the next rollout.

use std::collections::BTreeSet;

use anyhow::Context as _;
use wharfinger_aws::ecs::family_and_revision;
use wharfinger_decisions::{
    names::SiteName,
    revision,
    rollout::{Rollout, State},
    site::SiteSpec,
};
use wharfinger_store::{page::PageRequest, table::StoreError};

use crate::App;

/// How many of the latest good revisions stay whatever else there is: the present one and the one to go back to.
const GOOD_KEPT: usize = 2;

/// How many rollouts are read at once, and how often: the revisions of others are never found in the history.
const PAGE: u16 = 200;
const MOST_PAGES: u32 = 10;

/// Deregisters the old revisions of the site, after `rollout` succeeded.
pub(crate) async fn deregister(app: &App, spec: &SiteSpec, rollout: &Rollout) {
    if let Err(error) = try_deregister(app, spec, rollout).await {
        tracing::warn!(site = %rollout.site, error = format!("{error:#}"), "old revisions stay until the next rollout");
    }
}

async fn try_deregister(app: &App, spec: &SiteSpec, rollout: &Rollout) -> anyhow::Result<()> {
    let arn = rollout.task_definition.after.as_deref().context("a rollout without a revision")?;
    let (family, _) = family_and_revision(arn).context("an ARN without family and revision")?;
    let active = app.ecs.revisions(family).await?;
    let history = history(app, &rollout.site, &active).await?;
    let keep = usize::try_from(spec.keep_revisions).unwrap_or(usize::MAX);
    let candidates = beyond(&active, &history, keep);
    if candidates.is_empty() {
        return Ok(());
    }
    let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await?.context("no service")?;
    let used: BTreeSet<&String> =
        service.deployments.iter().map(|it| &it.task_definition).chain(&service.task_definition).collect();
    for arn in candidates.into_iter().filter(|arn| !used.contains(arn)) {
        if revision::is_of_site(&app.ecs.task_definition(arn).await?, &rollout.site) {
            app.ecs.deregister(arn).await?;
            tracing::info!(site = %rollout.site, revision = arn, "an old revision is deregistered");
        }
    }
    Ok(())
}

/// The site's rollouts, the latest first, as far back as they made one of the revisions `active`.
async fn history(app: &App, site: &SiteName, active: &[String]) -> anyhow::Result<Vec<Rollout>> {
    let mut unknown: BTreeSet<&String> = active.iter().collect();
    let (mut history, mut request) = (Vec::new(), PageRequest::first(PAGE));
    for _ in 0..MOST_PAGES {
        let page = app.table.rollouts(site, &request).await?;
        for (_, rollout) in page.items {
            // What a rollout that can't be read would go back to is not known, so nothing is deregistered.
            history.push(rollout.map_err(StoreError::Unreadable)?);
        }
        for made in history.iter().filter_map(|rollout| rollout.task_definition.after.as_ref()) {
            unknown.remove(made);
        }
        request.after = page.next;
        if unknown.is_empty() || request.after.is_none() {
            break;
        }
    }
    Ok(history)
}

/// The revisions of `active`, which lists the newest first, that the rollouts of `history`, the latest first, made,
/// without the `keep` newest, the latest good ones, and what the latest rollout started from.
fn beyond<'a>(active: &'a [String], history: &[Rollout], keep: usize) -> Vec<&'a String> {
    let made: BTreeSet<&String> = history.iter().filter_map(|it| it.task_definition.after.as_ref()).collect();
    let good = history.iter().filter(|it| it.state == State::Succeeded).take(GOOD_KEPT);
    let mut kept: BTreeSet<&String> = good.filter_map(|it| it.task_definition.after.as_ref()).collect();
    kept.extend(history.first().and_then(|latest| latest.task_definition.before.as_ref()));
    active.iter().filter(|arn| made.contains(arn)).skip(keep).filter(|arn| !kept.contains(arn)).collect()
}
