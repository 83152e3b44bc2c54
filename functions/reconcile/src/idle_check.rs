//! Repeats the idle check just before a stop that the idle sweep asked for.

use wharfinger_decisions::{
    idle::{self, Decision, Signs},
    server::ServerPhase,
};

use crate::visit::Visit;

impl Visit<'_> {
    /// Decides anew whether the server `id`, which is online, is idle.
    pub(crate) async fn idle_decision(&self, id: &str) -> Decision {
        let (app, record, now) = (self.app, self.record, self.moment.present());
        let spec = &record.intent.spec;
        let period = app.metrics.period();
        let window = spec.idle.as_ref().map_or(period, |policy| idle::window(policy, period));
        let traffic = app.metrics.traffic(id, window, now);
        let signs = app.table.signs_of_use(record, id, traffic, app.table.site_signs(&spec.file_system_id)).await;
        idle::decide(spec.idle.as_ref(), period, &Signs { phase: ServerPhase::Online, ..signs }, now)
    }
}
