//! Sites in the table: partition `SITES`, one item a site. Windows and rollouts have items of their own.

use wharfinger_decisions::{names::SiteName, site::SiteSpec};

use crate::{
    record::Record,
    table::{Guard, Key, StoreError, Table},
    windows::WindowRecord,
};

/// The partition of all sites.
pub const PARTITION: &str = "SITES";

/// What is known of a site is kept with its window and its rollouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NoStatus {}

/// A site as the table holds it.
pub type SiteRecord = Record<SiteSpec, NoStatus>;

/// Where a site lies.
#[must_use]
pub fn key(site: &SiteName) -> Key {
    Key::new(PARTITION, site.as_str())
}

impl Table {
    /// Forgets a site that was seen at version `seen`, and its window, which was read as `window` without a rollout in
    /// flight: both or none. A rollout that begins meanwhile writes the window, so none is left without its site.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when either has changed since, or the window holds a rollout.
    pub async fn forget_site(&self, site: &SiteName, seen: u64, window: &WindowRecord) -> Result<(), StoreError> {
        let as_seen = Guard::that("version = :seen").value(":seen", seen)?;
        let site_gone = self.delete_in_transaction(&key(site), as_seen);
        let [window_gone, old_window_gone] = self.forget_window(site, window)?;
        self.transact("forget a site", vec![site_gone, window_gone, old_window_gone]).await
    }
}
