//! One visit to a server: what is known before it begins. Its methods are spread over the crate, one module per
//! concern.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

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
    /// The record's id, as soon as it is recorded.
    record_id: Mutex<Option<String>>,
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
        let record_id = Mutex::new(item.record_id.clone());
        Self { app, deployment, server, lease, item, record, wanted, until, lacks: Vec::new(), moment, record_id }
    }

    /// The same visit, to a server of which less is wanted because of these `lacks`.
    pub(crate) fn with_less(&self, wanted: Wanted, lacks: Vec<Lack>) -> Self {
        Self { wanted, lacks, record_id: Mutex::new(self.record_id()), ..*self }
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

    /// The record's id, if it has one.
    pub(crate) fn record_id(&self) -> Option<String> {
        self.record_id.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn know_record_id(&self, id: &str) {
        *self.record_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
    }

    /// Gives the record another id, which no server on AWS bears.
    ///
    /// # Errors
    /// When it can't be recorded.
    pub(crate) async fn renew_record_id(&self) -> Result<(), StoreError> {
        self.know_record_id(&self.app.table.renew_record_id(self.lease).await?);
        Ok(())
    }

    /// The tags of the server. The record is given its id before, so that whatever bears it is known.
    ///
    /// # Errors
    /// When the id can't be recorded.
    pub(crate) async fn server_tags(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let id = match self.record_id() {
            Some(id) => id,
            None => self.app.table.give_record_id(self.lease).await?,
        };
        self.know_record_id(&id);
        Ok(self.deployment.server_tags(self.server, &id))
    }

    /// The tags of the server's users.
    pub(crate) fn tags(&self) -> BTreeMap<String, String> {
        self.deployment.tags(self.server)
    }

    pub(crate) fn network(&self) -> &'a Network {
        &self.record.intent.spec.network
    }
}
