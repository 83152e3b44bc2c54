//! Sites in the table: partition `SITES`, one item a site. Windows and rollouts have items of their own.

use wharfinger_decisions::{names::SiteName, site::SiteSpec};

use crate::{record::Record, table::Key};

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
