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

/// How many rollouts beyond the number of active revisions are read: some made none, or theirs is gone. What lay further
/// back when it could not be deregistered is found by every [`THOROUGH`]th revision, which reads all.
const SPARE: usize = 10;
const THOROUGH: u64 = 50;

/// How many rollouts are read at once.
const PAGE: u16 = 500;

/// Deregisters the old revisions of the site, after `rollout` succeeded.
pub(crate) async fn deregister(app: &App, spec: &SiteSpec, rollout: &Rollout) {
    if let Err(error) = try_deregister(app, spec, rollout).await {
        tracing::warn!(site = %rollout.site, error = format!("{error:#}"), "old revisions stay until the next rollout");
    }
}

async fn try_deregister(app: &App, spec: &SiteSpec, rollout: &Rollout) -> anyhow::Result<()> {
    let arn = rollout.task_definition.after.as_deref().context("a rollout without a revision")?;
    let (family, number) = family_and_revision(arn).context("an ARN without family and revision")?;
    let active = app.ecs.revisions(family).await?;
    let keep = usize::try_from(spec.keep_revisions).unwrap_or(usize::MAX);
    if active.len() <= keep {
        return Ok(());
    }
    let history = history(app, &rollout.site, reach(number, active.len())).await?;
    let candidates = beyond(&active, &history, keep);
    if candidates.is_empty() {
        return Ok(());
    }
    let service = app.ecs.service(spec.cluster.as_str(), spec.service.as_str()).await?.context("no service")?;
    let deployed = service.deployments.iter().map(|it| &it.task_definition);
    let deploying = service.service_deployments.iter().filter_map(|it| it.task_definition.as_ref());
    let used: BTreeSet<&String> = deployed.chain(deploying).chain(&service.task_definition).collect();
    for arn in candidates.into_iter().filter(|arn| !used.contains(arn)) {
        if revision::is_of_site(&app.ecs.task_definition(arn).await?, &rollout.site) {
            app.ecs.deregister(arn).await?;
            tracing::info!(site = %rollout.site, revision = arn, "an old revision is deregistered");
        }
    }
    Ok(())
}

/// Takes a revision that was never deployed out of use: the table forgets it, so nobody retires it later. Should this
/// fail, it lies there and harms nothing.
pub(crate) async fn discard(app: &App, site: &SiteName, arn: &str) {
    match app.ecs.deregister(arn).await {
        Ok(()) => tracing::info!(%site, revision = arn, "an unused revision is deregistered"),
        Err(error) => tracing::warn!(%site, revision = arn, %error, "an unused revision could not be deregistered"),
    }
}

/// How many rollouts are read after the revision `number`, when `active` ones are listed.
fn reach(number: u64, active: usize) -> usize {
    if number.is_multiple_of(THOROUGH) { usize::MAX } else { active + SPARE }
}

/// The latest `most` rollouts of the site, the latest first.
pub(crate) async fn history(app: &App, site: &SiteName, most: usize) -> anyhow::Result<Vec<Rollout>> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let limit = u16::try_from(most - found.len()).unwrap_or(PAGE).min(PAGE);
        // Rollouts are minutes apart. Should the read lag behind even so, the latest revision is among those to keep.
        let request = PageRequest { may_lag: true, after, ..PageRequest::first(limit) };
        let page = app.table.rollouts(site, &request).await?;
        // What a rollout that can't be read would go back to is not known, so nothing is deregistered.
        for (_, rollout) in page.items {
            found.push(rollout.map_err(StoreError::Unreadable)?);
        }
        after = page.next;
        if after.is_none() || found.len() >= most {
            return Ok(found);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_is_read_as_far_as_needed_and_now_and_then_further() {
        let reached = [(49, 12), (50, 12), (51, 12), (51, 900)].map(|(number, active)| reach(number, active));
        assert_eq!(reached, [22, usize::MAX, 22, 910]);
    }
}
