//! The region is wired from the template: what the template says is what happens.

use wharfinger_region::region::Region;

use crate::support::{LocalRegion, brisk, program};

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_the_template_lacks_or_refuses_is_a_clear_error() {
    for (name, value, says) in [
        ("SweepSchedul", "rate(1 minute)", "SweepSchedule"),
        ("SweepSchedule", "often", "SweepSchedule"),
        ("MetricPeriodSeconds", "soon", "MetricPeriodSeconds"),
        ("LogLevel", "loud", "debug"),
    ] {
        let refused = Region::start(brisk().with(name, value), program().to_owned()).await;
        let refusal = format!("{:#}", refused.err().unwrap_or_else(|| panic!("{name}={value} was taken")));
        assert!(refusal.contains(says), "{name}={value}: {refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_runs_on_the_templates_schedule() {
    let local = LocalRegion::open(brisk()).await;
    local
        .until("the sweep has run three times", || async {
            let sweeps = local.region.lambda().statistics();
            let autostop = sweeps.iter().find(|function| function.function.to_lowercase().contains("autostop"));
            Ok(autostop.is_some_and(|function| function.invocations >= 3 && function.errors == 0).then_some(()))
        })
        .await;
    local.close().await;
}
