//! One visit to a server: what is known before it begins. Its methods are spread over the crate, one module per
//! concern.

use wharfinger_decisions::{names::ServerName, power::Wanted, rebuild::Lack, server::Network};
use wharfinger_runtime::Moment;
use wharfinger_store::servers::{ServerItem, ServerRecord};

use crate::app::App;

/// One visit to one server.
pub(crate) struct Visit<'a> {
    pub(crate) app: &'a App,
    pub(crate) server: &'a ServerName,
    pub(crate) item: &'a ServerItem,
    pub(crate) record: &'a ServerRecord,
    pub(crate) wanted: Wanted,
    /// Why it can't be put to sleep as it should.
    pub(crate) lacks: Vec<Lack>,
    pub(crate) moment: Moment,
}

impl<'a> Visit<'a> {
    /// A visit to `server`, given its current item.
    pub(crate) fn new(app: &'a App, server: &'a ServerName, item: &'a ServerItem, moment: Moment) -> Self {
        let record = &item.record;
        let wanted = Wanted::of(&record.intent.spec, item.wish(moment.present()), record.deleting);
        Self { app, server, item, record, wanted, lacks: Vec::new(), moment }
    }

    pub(crate) fn network(&self) -> &'a Network {
        &self.record.intent.spec.network
    }
}
