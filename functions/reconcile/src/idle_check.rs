//! Asks once more whether anybody is there, just before the idle sweep's stop is carried out.

use wharfinger_decisions::{
    idle::{self, Decision, Signs},
    server::ServerPhase,
};

use crate::visit::Visit;

impl Visit<'_> {
    /// The idle decision for the server `id`, which is online, as things are now.
    pub(crate) async fn idle_decision(&self, id: &str) -> Decision {
        let (app, record, now) = (self.app, self.record, self.moment.present());
        let spec = &record.intent.spec;
        let period = app.metrics.period();
        let window = spec.idle.as_ref().map_or(period, |policy| idle::window(policy, period));
        let (traffic, last_event, sites) = tokio::join!(
            app.metrics.traffic(id, window, now),
            app.table.last_activity(id),
            app.table.site_signs(&spec.file_system_id),
        );
        let signs = Signs::new(
            &record.intent,
            &record.status,
            traffic.map_err(|error| error.to_string()),
            last_event.map_err(|error| error.to_string()),
            sites.map_err(|error| error.to_string()),
        );
        idle::decide(spec.idle.as_ref(), period, &Signs { phase: ServerPhase::Online, ..signs }, now)
    }
}
