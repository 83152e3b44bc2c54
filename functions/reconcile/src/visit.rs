//! One visit to a server: what is known before it begins. Its methods are spread over the crate, one module per
//! concern.

use wharfinger_decisions::{names::ServerName, power::Wanted, server::Network};
use wharfinger_runtime::Moment;
use wharfinger_store::servers::ServerRecord;

use crate::app::App;

/// One visit to one server.
pub(crate) struct Visit<'a> {
    pub(crate) app: &'a App,
    pub(crate) server: &'a ServerName,
    pub(crate) record: &'a ServerRecord,
    pub(crate) wanted: Wanted,
    pub(crate) moment: Moment,
}

impl<'a> Visit<'a> {
    /// A visit to `server`, given its current record.
    pub(crate) fn new(app: &'a App, server: &'a ServerName, record: &'a ServerRecord, moment: Moment) -> Self {
        let wanted = Wanted::of(&record.intent, record.deleting);
        Self { app, server, record, wanted, moment }
    }

    pub(crate) fn network(&self) -> &'a Network {
        &self.record.intent.spec.network
    }
}
