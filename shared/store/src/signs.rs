//! The signs that somebody uses a server: what keeps it online. The sweep and the last look before a stop gather them
//! here, so that both ask the same.

use std::{fmt::Display, future::Future};

use futures::future;
use jiff::Timestamp;
use wharfinger_decisions::{
    idle::{Answer, Signs, SiteSign, Traffic},
    ids::FileSystemId,
    names::SiteName,
    site::SiteSpec,
};

use crate::{
    item::Read,
    servers::ServerItem,
    sites::{self, SiteRecord, SiteStatus},
    table::{StoreError, Table},
    windows::WindowRecord,
};

/// What is known of the sites, and which are not known.
#[derive(Clone, Debug, Default)]
pub struct SiteSigns {
    /// Those that could be looked at.
    pub known: Vec<SiteSign>,
    /// Those that could not.
    pub unknown: Vec<UnknownSite>,
}

/// A site that could not be looked at.
#[derive(Clone, Debug)]
pub struct UnknownSite {
    /// Its name, as the table has it.
    pub name: String,
    /// Its file system, if that can be told.
    pub file_system: Option<String>,
    /// What is left of its spec, if file system and directory are.
    pub remains: Option<Box<SiteSpec>>,
    /// Its record or its window has a form that this version does not know. Else the table failed, which passes.
    pub unreadable: bool,
    /// Why.
    pub reason: String,
}

/// A site's record, or what is left of it where this version can't read it.
pub type ReadSite = Result<(SiteName, SiteRecord), UnknownSite>;

impl SiteSigns {
    /// The signs of the sites on `file_system`: not known if one of them could not be looked at, or one that could lie
    /// anywhere.
    #[must_use]
    pub fn on(&self, file_system: &FileSystemId) -> Answer<Vec<SiteSign>> {
        let there = |site: &&UnknownSite| site.file_system.as_deref().is_none_or(|id| id == file_system.as_str());
        if let Some(site) = self.unknown.iter().find(there) {
            return Answer::Unknown(format!("site {}: {}", site.name, site.reason));
        }
        Answer::Known(self.known.iter().filter(|site| site.file_system_id == *file_system).cloned().collect())
    }
}

/// What a site is at at `now`.
#[must_use]
pub fn site_sign(site: SiteName, record: &SiteRecord, window: &WindowRecord, now: Timestamp) -> SiteSign {
    SiteSign {
        site,
        file_system_id: record.intent.file_system_id.clone(),
        last_change: window.window.last_change,
        window_open: window.needs_server(&record.intent, now),
        rollout_in_flight: window.rollout.is_some(),
    }
}

fn read_site((name, read): (String, Read<SiteRecord>)) -> ReadSite {
    match read {
        Ok(record) => Ok((SiteName::from_stored(name), record)),
        Err(unreadable) => {
            let remains = unreadable.remains::<SiteSpec, SiteStatus>().intent;
            let file_system = Some(remains.file_system_id.to_string()).filter(|id| !id.is_empty());
            let lies_somewhere = file_system.is_some() && !remains.directory.as_str().is_empty();
            Err(UnknownSite {
                name,
                file_system,
                remains: lies_somewhere.then(|| Box::new(remains)),
                unreadable: true,
                reason: format!("its record can't be read: {}", unreadable.reason),
            })
        }
    }
}

impl Table {
    /// Reads all sites. One that can't be read holds up no other.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn sites(&self) -> Result<Vec<ReadSite>, StoreError> {
        Ok(self.all::<SiteRecord>(sites::PARTITION).await?.into_iter().map(read_site).collect())
    }

    /// Reads all sites, where what was written in the last second or so may be missing.
    ///
    /// # Errors
    /// When DynamoDB fails.
    pub async fn sites_may_lag(&self) -> Result<Vec<ReadSite>, StoreError> {
        Ok(self.all_may_lag::<SiteRecord>(sites::PARTITION).await?.into_iter().map(read_site).collect())
    }

    /// What the sites on `file_system` are at at `now`.
    pub async fn site_signs(&self, file_system: &FileSystemId, now: Timestamp) -> Answer<Vec<SiteSign>> {
        let sites = match Box::pin(self.sites()).await {
            Ok(sites) => sites,
            Err(error) => return Answer::Unknown(error.to_string()),
        };
        let mut signs = SiteSigns::default();
        for site in sites {
            match site {
                Err(unknown) => signs.unknown.push(unknown),
                Ok((site, record)) if record.intent.file_system_id == *file_system => {
                    match Box::pin(self.window(&site)).await {
                        Ok(window) => signs.known.push(site_sign(site, &record, &window, now)),
                        Err(error) => return Answer::Unknown(error.to_string()),
                    }
                }
                Ok(_) => {}
            }
        }
        signs.on(file_system)
    }

    /// All signs of use of the server `item`, which AWS knows as `id`: what `traffic` and `sites` answer, and what
    /// the table knows.
    pub async fn signs_of_use<E: Display>(
        &self,
        item: &ServerItem,
        id: &str,
        traffic: impl Future<Output = Result<Traffic, E>>,
        sites: impl Future<Output = Answer<Vec<SiteSign>>>,
    ) -> Signs {
        // Boxed: the SDK's calls make large futures.
        let answers = future::join3(Box::pin(traffic), Box::pin(self.last_activity(id)), Box::pin(sites));
        let (traffic, last_event, sites) = answers.await;
        Signs::new(item.order().as_ref(), &item.record.status, traffic, last_event, sites)
    }
}
