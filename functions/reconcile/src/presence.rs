//! Asks once more whether anybody is there, just before the idle sweep's stop is carried out.

use jiff::Timestamp;
use wharfinger_decisions::{
    idle::{self, Decision, Signs},
    server::ServerPhase,
};
use wharfinger_store::servers::ServerRecord;

use crate::app::App;

/// The idle decision for the server `id`, which is online, as things are now.
pub(crate) async fn decide(app: &App, record: &ServerRecord, id: &str, now: Timestamp) -> Decision {
    let spec = &record.intent.spec;
    let period = app.metrics.period();
    let window = spec.idle.as_ref().map_or(period, |policy| idle::window(policy, period));
    // Boxed: the SDK's calls make large futures.
    let traffic = Box::pin(app.metrics.traffic(id, window, now));
    let sites = Box::pin(app.table.site_signs(&spec.file_system_id));
    let signs = app.table.signs_of_use(record, id, traffic, sites).await;
    idle::decide(spec.idle.as_ref(), period, &Signs { phase: ServerPhase::Online, ..signs }, now)
}
