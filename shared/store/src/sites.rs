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

/// What is known of a site beside its window and its rollouts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// What holds of it and somebody should know.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// A site as the table holds it.
pub type SiteRecord = Record<SiteSpec, SiteStatus>;

/// Where a site lies.
#[must_use]
pub fn key(site: &SiteName) -> Key {
    Key::new(PARTITION, site.as_str())
}

/// What a site with `spec` must have alone: its directory, and its place in the container. An upload has one meaning.
#[must_use]
pub fn claims(spec: &SiteSpec) -> Vec<Claim> {
    let directory = [spec.file_system_id.as_str(), spec.directory.as_str()];
    let place = [spec.cluster.as_str(), spec.service.as_str(), spec.container.as_str(), spec.mount_path.as_str()];
    [Claim::new("directory", &directory), Claim::new("mount", &place)].into_iter().flatten().collect()
}

/// How often a user was linked to a site. Whoever decides by the site's users names the count that was read before
/// them, so that no user comes between.
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
    /// How often a user was linked to `site`. Read it before the users.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn links(&self, site: &SiteName) -> Result<Links, StoreError> {
        let linked = self.read::<Linked>(&key(site)).await?.and_then(Result::ok);
        Ok(Links(linked.map_or(0, |linked| linked.links)))
    }

    /// The write that links a user to `site`, which was seen at version `seen`: neither goes or moves meanwhile.
    ///
    /// # Errors
    /// When a value has no form in DynamoDB.
    pub fn linking(&self, site: &SiteName, seen: u64) -> Result<TransactWriteItem, StoreError> {
        let guard = Guard::that("version = :seen AND deleting = :no").value(":seen", seen)?.value(":no", false)?;
        let guard = guard.name("#links", Links::FIELD).value(":one", 1)?;
        Ok(self.update_in_transaction(&key(site), "ADD #links :one", guard))
    }

    /// Forgets a site that was read as `seen`, with what it had alone and its window, which was read as `window`
    /// without a rollout in flight: all or none. A rollout that begins meanwhile writes the window, and a user who is
    /// linked meanwhile counts in `links`, so none is left without its site.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when any has changed since, or the window holds a rollout.
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
