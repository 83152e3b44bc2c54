//! One visit to a server: what is known before it begins. Its methods are spread over the crate, one module per
//! concern.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wharfinger_decisions::{deployment::Deployment, names::ServerName, power::Wanted, rebuild::Lack, server::Network};
use wharfinger_runtime::Moment;
use wharfinger_store::{
    lease::Lease,
    servers::{ServerItem, ServerRecord, Standing},
    table::StoreError,
};

use crate::{app::App, error::Error};

/// One visit to one server.
pub(crate) struct Visit<'a> {
    pub(crate) app: &'a App,
    pub(crate) deployment: &'a Deployment,
    pub(crate) server: &'a ServerName,
    pub(crate) lease: &'a Lease,
    pub(crate) item: &'a ServerItem,
    pub(crate) record: &'a ServerRecord,
    pub(crate) wanted: Wanted,
    /// When time alone makes something else wanted.
    pub(crate) until: Option<Timestamp>,
    /// Why it can't be put to sleep as it should.
    pub(crate) lacks: Vec<Lack>,
    pub(crate) moment: Moment,
}

impl<'a> Visit<'a> {
    /// A visit to `server` of `deployment`, given its current item and the lease on it.
    pub(crate) fn new(
        app: &'a App,
        deployment: &'a Deployment,
        server: &'a ServerName,
        lease: &'a Lease,
        item: &'a ServerItem,
        moment: Moment,
    ) -> Self {
        let record = &item.record;
        let wish = item.wish(moment.present());
        let until = wish.until;
        let wanted = Wanted::of(&record.intent.spec, wish, record.deleting);
        Self { app, deployment, server, lease, item, record, wanted, until, lacks: Vec::new(), moment }
    }

    /// Asked before each call that changes the server or lets clients in: a lease may expire while its holder waits for
    /// AWS, and two visits at once would make two servers, or cut people off whom the other one lets in. A person who
    /// takes back an order meanwhile is heard too: whoever gave the order has left a mark, so that the next visit follows
    /// at once.
    ///
    /// # Errors
    /// When another visit has taken over, something else is wanted by now, or the table does not answer.
    pub(crate) async fn check_lease(&self) -> Result<(), Error> {
        match self.app.table.stands(self.lease, self.item).await? {
            Standing::Holds => Ok(()),
            Standing::Outdated => {
                let sentence = "what is wanted was changed meanwhile".into();
                Err(Error::Unknown { sentence, temporary: true })
            }
            Standing::Replaced => Err(StoreError::Conflict.into()),
        }
    }

    /// The tags of the server and its users.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        self.deployment.tags(self.server)
    }

    pub(crate) fn network(&self) -> &'a Network {
        &self.record.intent.spec.network
    }
}
