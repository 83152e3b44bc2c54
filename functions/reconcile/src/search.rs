//! The search for servers with our tags, which AWS lists without their tags. Of those that were described lately for any
//! of our servers, the search for second ones describes none again whose tags are others'.

use wharfinger_aws::{error::AwsError, transfer::Server};

use crate::{
    seen_tags::{REMEMBERED_FOR, has},
    visit::Visit,
};

impl Visit<'_> {
    /// The servers with our tags. Every server is described.
    pub(crate) async fn tagged_servers(&self) -> Result<Vec<Server>, AwsError> {
        self.tagged_among(self.app.transfer.server_ids().await?).await
    }

    /// The ids of the servers with our tags beside the one that is `known`, as far as was seen within an hour.
    pub(crate) async fn others_like(&self, known: &str) -> Result<Vec<String>, AwsError> {
        let (tags, since) = (self.deployment.search_tags(self.server), self.moment.now - REMEMBERED_FOR);
        let mut ids = self.app.transfer.server_ids().await?;
        ids.retain(|id| id != known && !self.app.seen_tags.differ(id, &tags, since));
        let found = self.tagged_among(ids).await?.into_iter().filter(|server| !self.is_others(server));
        Ok(found.map(|server| server.id).collect())
    }

    async fn tagged_among(&self, ids: Vec<String>) -> Result<Vec<Server>, AwsError> {
        let tags = self.deployment.search_tags(self.server);
        let mut found = Vec::new();
        for id in ids {
            let Some(server) = self.app.transfer.server(&id).await? else { continue };
            self.app.seen_tags.remember(&id, &server.tags, self.moment.present());
            found.extend(Some(server).filter(|server| has(&server.tags, &tags)));
        }
        Ok(found)
    }
}
