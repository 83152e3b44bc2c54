//! What the table knows of the sites on a file system: signs of use that keep a server online.

use wharfinger_decisions::{idle::SiteSign, ids::FileSystemId, names::SiteName};

use crate::{
    sites::{self, SiteRecord},
    table::{StoreError, Table},
};

impl Table {
    /// The sites on `file_system`, with their windows and rollouts.
    ///
    /// # Errors
    /// When DynamoDB fails or an item can't be read: what is not known may be a sign of use.
    pub async fn site_signs(&self, file_system: &FileSystemId) -> Result<Vec<SiteSign>, StoreError> {
        let sites = self.all::<SiteRecord>(sites::PARTITION).await?;
        let mut signs = Vec::new();
        for (name, record) in sites {
            let (site, record) = (SiteName::from_stored(name), record.map_err(StoreError::Unreadable)?);
            if record.intent.file_system_id == *file_system {
                let window = self.window(&site).await?;
                signs.push(SiteSign {
                    site,
                    last_change: window.window.last_change,
                    window_open: window.window.is_open(),
                    rollout_in_flight: window.rollout.is_some(),
                });
            }
        }
        Ok(signs)
    }
}
