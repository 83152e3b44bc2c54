//! Rollouts in the table: partition `ROLLOUTS#{site}`, one item a rollout, in the order of their ids and so of time.
//! A rollout begins in one transaction with its site's window, which holds the lock, and its service's turns. It ends in
//! its verdict: a window or a turn that is still held by a rollout with a verdict is free.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{
    names::SiteName,
    rollout::Rollout,
    site::{Mount, SiteSpec},
};

use crate::{
    page::{Page, PageRequest},
    stored::intent_beside,
    table::{Guard, Key, StoreError, Table},
    turns::TurnsRecord,
    windows::{self, WindowRecord},
};

/// A rollout as the table holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutRecord {
    /// The rollout, as the API shows it.
    pub rollout: Rollout,
    /// Until then one invocation alone takes its steps. In the past: that one has crashed.
    #[serde(default)]
    pub leased_until: Option<Timestamp>,
    /// When the tick that tries it again is due.
    #[serde(default)]
    pub armed_until: Option<Timestamp>,
    /// Ticks armed to try it again, by which the delays grow.
    #[serde(default, rename = "looks")]
    pub tries: u32,
    /// When ECS took its deployment on.
    #[serde(default)]
    pub deploying_since: Option<Timestamp>,
    /// The site as the rollout was made from. Earlier versions kept it in the window.
    #[serde(default, deserialize_with = "intent_beside", skip_serializing_if = "Option::is_none")]
    pub spec: Option<SiteSpec>,
    /// The places that the site has left since: it is unmounted there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Mount>,
    /// The rollout's own revision that the service runs, though it is not made of what it replaced: another one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
    /// When the latest deployment was begun that the service had when the base was read. Later ones were not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_since: Option<Timestamp>,
    /// Since when its deployment stands still until a person lets it go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_since: Option<Timestamp>,
    /// Counts the writes, from 1.
    pub version: u64,
    /// When DynamoDB may remove it, in seconds: a year after it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// How long a rollout is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How many rollouts are read to find what a rollback goes back to.
const HISTORY: u16 = 100;

/// The partition of a site's rollouts.
#[must_use]
pub fn partition(site: &SiteName) -> String {
    format!("ROLLOUTS#{site}")
}

/// Where a rollout lies.
#[must_use]
pub fn key(site: &SiteName, id: &str) -> Key {
    Key::new(partition(site), id)
}

impl Table {
    /// Reads a rollout.
    ///
    /// # Errors
    /// When DynamoDB fails or the item has another form.
    pub async fn rollout(&self, site: &SiteName, id: &str) -> Result<Option<Rollout>, StoreError> {
        Ok(self.rollout_record(site, id).await?.map(|record| record.rollout))
    }

    /// Reads a rollout with what its steps need.
    ///
    /// # Errors
    /// When DynamoDB fails or the item has another form.
    pub async fn rollout_record(&self, site: &SiteName, id: &str) -> Result<Option<RolloutRecord>, StoreError> {
        self.get(&key(site, id)).await
    }

    /// Reads a page of a site's rollouts, the latest first whatever `request` says. The page's keys are their ids.
    ///
    /// # Errors
    /// When DynamoDB fails or an item has another form.
    pub async fn rollouts(&self, site: &SiteName, request: &PageRequest) -> Result<Page<Rollout>, StoreError> {
        let request = PageRequest { newest_first: true, ..request.clone() };
        let page: Page<RolloutRecord> = self.page(&partition(site), &request).await?;
        let items = page.items.into_iter().map(|(id, record)| (id, record.map(|record| record.rollout))).collect();
        Ok(Page { items, next: page.next })
    }

    /// Reads a site's rollouts, the latest first, as far as they tell what a rollback goes back to. What can't be read is
    /// left out.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn rollout_history(&self, site: &SiteName) -> Result<Vec<Rollout>, StoreError> {
        let page = self.rollouts(site, &PageRequest::first(HISTORY)).await?;
        Ok(page.items.into_iter().filter_map(|(_, rollout)| rollout.ok()).collect())
    }

    /// Reads the latest rollout of a site.
    ///
    /// # Errors
    /// When DynamoDB fails or the item has another form.
    pub async fn latest_rollout(&self, site: &SiteName) -> Result<Option<RolloutRecord>, StoreError> {
        let request = PageRequest { newest_first: true, ..PageRequest::first(1) };
        let page: Page<RolloutRecord> = self.page(&partition(site), &request).await?;
        let latest = page.items.into_iter().next().map(|(_, record)| record);
        latest.transpose().map_err(StoreError::Unreadable)
    }

    /// Starts `rollout`, and writes its site's window and its service's turns, which were read at their versions: all or
    /// none. Window and turns are given as the rollout's.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another window or other turns were written since they were read.
    pub async fn claim(
        &self,
        window: &WindowRecord,
        turns: &TurnsRecord,
        record: &RolloutRecord,
    ) -> Result<(), StoreError> {
        let site = &record.rollout.site;
        let window = self.window_in_transaction(site, window)?;
        let turns = self.turns_in_transaction(turns)?;
        let rollout = self.put_in_transaction(&key(site, &record.rollout.id), record, Guard::absent())?;
        self.transact("claim a window", vec![window, turns, rollout]).await
    }

    /// Writes a rollout that was read at `record.version`. Returns it as it now is.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another was written since.
    pub async fn write_rollout(&self, record: &RolloutRecord) -> Result<RolloutRecord, StoreError> {
        let (next, unchanged) = record.next()?;
        let key = key(&record.rollout.site, &record.rollout.id);
        match self.put(&key, &next, unchanged).await {
            Ok(()) => Ok(next),
            // The SDK sent it again because the answer was lost: the conflict with itself is none.
            Err(StoreError::Conflict) if self.get(&key).await?.as_ref() == Some(&next) => Ok(next),
            Err(error) => Err(error),
        }
    }

    /// Frees the window of a site for the next rollout, where `rollout`, which is over, holds it. Returns whether
    /// changes wait in it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it does not hold it.
    pub async fn free_window(&self, rollout: &Rollout) -> Result<bool, StoreError> {
        let change = "REMOVE #rollout, rollout_spec SET version = version + :one";
        let held = Guard::that("#rollout = :id").name("#rollout", "rollout").value(":id", &rollout.id)?;
        let freed = self.update_and_read(&windows::key(&rollout.site), change, held.value(":one", 1)?).await?;
        // What can't be read may hold changes: whoever reads it next will say.
        Ok(freed.map_or(true, |window: WindowRecord| window.wants()))
    }
}

impl RolloutRecord {
    /// A rollout that begins, whose steps one invocation alone takes until `leased_until`.
    #[must_use]
    pub fn begun(rollout: Rollout, leased_until: Timestamp) -> Self {
        let expires_at = rollout.started_at.as_second() + KEPT_FOR.as_secs();
        Self {
            rollout,
            leased_until: Some(leased_until),
            armed_until: None,
            tries: 0,
            deploying_since: None,
            spec: None,
            left: Vec::new(),
            outdated: None,
            base_since: None,
            paused_since: None,
            version: 1,
            expires_at: Some(expires_at),
        }
    }

    /// Since when it goes on: its deployment, or as long as there is none the rollout itself.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.deploying_since.unwrap_or(self.rollout.started_at)
    }

    fn next(&self) -> Result<(Self, Guard), StoreError> {
        let unchanged = Guard::that("version = :seen").value(":seen", self.version)?;
        Ok((Self { version: self.version + 1, ..self.clone() }, unchanged))
    }
}
