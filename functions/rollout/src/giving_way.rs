//! How long a rollout may have its turn on a service while other sites wait for theirs.

use jiff::{SignedDuration, Timestamp};
use wharfinger_decisions::site::{SiteSpec, VERDICT_AFTER};
use wharfinger_store::{
    rollouts::RolloutRecord,
    sites::{self, SiteRecord},
    table::StoreError,
};

use crate::App;

/// How long the rollout may go on at most: for as long as the least patient of those who wait would have, and as long as a
/// site that says nothing has in any case. `None`: nobody waits, or it is not that late yet.
///
/// # Errors
/// When the table fails.
pub(crate) async fn limit(
    app: &App,
    spec: &SiteSpec,
    record: &RolloutRecord,
    now: Timestamp,
) -> Result<Option<SignedDuration>, StoreError> {
    if now.duration_since(record.since()) <= VERDICT_AFTER {
        return Ok(None);
    }
    let mut least = None;
    for waiting in app.table.turns(spec).await?.turns.waiting {
        let Some(Ok(site)) = app.table.read::<SiteRecord>(&sites::key(&waiting.site)).await? else { continue };
        if site.intent.shares_service_with(spec) && !site.deleting && waiting.site != record.rollout.site {
            let patience = site.intent.patience().max(VERDICT_AFTER);
            least = Some(least.map_or(patience, |least: SignedDuration| least.min(patience)));
        }
    }
    Ok(least)
}
