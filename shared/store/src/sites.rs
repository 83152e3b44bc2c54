//! Sites in the table: partition `SITES`, one item a site. Windows and rollouts have items of their own.

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};
use wharfinger_decisions::{condition::Condition, names::SiteName, site::SiteSpec};

use crate::{
    record::{Record, Seen},
    table::{Guard, Key, StoreError, Table},
    unique::Claim,
    windows::WindowRecord,
};

/// The partition of all sites.
pub const PARTITION: &str = "SITES";

/// A site's status, apart from its window and rollouts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A site as the table holds it.
pub type SiteRecord = Record<SiteSpec, SiteStatus>;

/// The key of a site.
#[must_use]
pub fn key(site: &SiteName) -> Key {
    Key::new(PARTITION, site.as_str())
}

/// What only one site may have: its directory, and its mount paths in the containers. An upload must belong to one site.
#[must_use]
pub fn claims(spec: &SiteSpec) -> Vec<Claim> {
    let directory = Claim::new("directory", &[spec.file_system_id.as_str(), spec.directory.as_str()]);
    let places = spec.places().into_iter().map(|place| {
        let within = [spec.cluster.as_str(), spec.service.as_str(), place.container.as_str(), place.path.as_str()];
        Claim::new("mount", &within)
    });
    std::iter::once(directory).chain(places).flatten().collect()
}

/// How often a user has been linked to a site. A write that depends on the site's users is conditional on the count
/// that was read before them, so that no user is added in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links(u64);

#[derive(Deserialize)]
struct Linked {
    #[serde(default)]
    links: u64,
}

impl Links {
    const FIELD: &str = "links";

    fn unchanged(self, guard: &Guard) -> Result<Guard, StoreError> {
        let same = match self.0 {
            0 => "attribute_not_exists(#links)",
            _ => "#links = :links",
        };
        let guard = guard.clone().and(same).name("#links", Self::FIELD);
        if self.0 == 0 { Ok(guard) } else { guard.value(":links", self.0) }
    }
}

impl Table {
    /// Reads how often a user has been linked to `site`. Call it before the users are read.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn links(&self, site: &SiteName) -> Result<Links, StoreError> {
        let linked = self.read::<Linked>(&key(site)).await?.and_then(Result::ok);
        Ok(Links(linked.map_or(0, |linked| linked.links)))
    }

    /// The write that links a user to `site`. It fails if the site has changed since version `seen`.
    ///
    /// # Errors
    /// When the value can't be represented in DynamoDB.
    pub fn linking(&self, site: &SiteName, seen: u64) -> Result<TransactWriteItem, StoreError> {
        let guard = Guard::that("version = :seen AND deleting = :no").value(":seen", seen)?.value(":no", false)?;
        let guard = guard.name("#links", Links::FIELD).value(":one", 1)?;
        Ok(self.update_in_transaction(&key(site), "ADD #links :one", guard))
    }

    /// Removes a site that was read as `seen`, its claims, and its window, which was read as `window` without a rollout
    /// in flight, in one transaction. A rollout that begins in between writes the window, and a user who is linked in
    /// between counts in `links`, so neither is left without its site.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when any of them has changed since, or the window is locked by a rollout.
    pub async fn forget_site(
        &self,
        site: &SiteName,
        seen: Seen<'_>,
        had: &[Claim],
        links: Links,
        window: &WindowRecord,
    ) -> Result<(), StoreError> {
        let as_seen = match seen {
            Seen::Nothing => Guard::absent(),
            Seen::Version(version) => Guard::that("version = :seen").value(":seen", version)?,
            Seen::Unreadable(unreadable) => unreadable.unchanged(),
        };
        let key = key(site);
        let mut writes = self.freeing(&key, had).await?;
        writes.push(self.delete_in_transaction(&key, links.unchanged(&as_seen)?));
        writes.extend(self.forget_window(site, window)?);
        self.transact("forget a site", writes).await
    }
}
