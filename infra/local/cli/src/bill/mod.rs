//! What the control plane itself costs: counted on a region of its own, and priced at AWS's list prices.
//!
//! [`scene`] makes things happen once, [`count`] counts what they use, [`month`] says how often they happen, and
//! [`prices`] what that costs. `infra/COST.md` holds what [`tell`] prints.

pub mod count;
pub mod month;
pub mod prices;
pub mod scene;
mod table;

use std::{path::PathBuf, time::Instant};

use serde_json::Value;
use wharfinger_emulator::endpoint::traffic::Latency;
use wharfinger_region::{template::document, wiring::Mapping};

use self::{
    count::Count,
    month::{Counted, Line, POLLERS},
    scene::Scene,
};

/// Servers that are brought up to see what grows.
const MANY: u8 = 10;

/// Files in one burst.
const BURST: u16 = 500;

/// How to count.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long AWS calls are on their way: assumed, on the high side. Calls of DynamoDB and SQS in the same Region take
    /// single digits.
    #[arg(
        long,
        value_name = "SERVICE=TIME",
        value_delimiter = ',',
        default_value = "dynamodb=10ms,sqs=10ms,cloudwatch=50ms,ec2=100ms,ecs=100ms,efs=100ms,secretsmanager=100ms,transfer=100ms"
    )]
    pub latency: Vec<Latency>,
}

/// The template, for what it declares that the region does not run.
const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// What was counted, before it is summed up.
struct Counts {
    sweep: [Count; 2],
    look: [Count; 2],
    /// A look at a rollout while ECS deploys.
    deploying: Count,
    single: Count,
    burst: Count,
    /// The sweep after an upload.
    closing: Count,
    /// Secrets of each server.
    secrets: f64,
}

/// Counts, and prints the bill.
///
/// # Errors
/// When something that is counted fails.
pub async fn tell(program: PathBuf, options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    eprintln!("Counting on a region of its own; this takes a minute or two.");
    let scene = Scene::open(program, &options.latency).await?;
    let counts = count(&scene).await;
    let counted = counts.as_ref().ok().map(|counts| sum_up(&scene, counts)).transpose();
    scene.close().await;
    let (counts, counted) = (counts?, counted?.expect("what could be counted can be summed up"));
    table::print(&counts, &counted);
    eprintln!("\nCounted in {:.0} s.", started.elapsed().as_secs_f64());
    Ok(())
}

async fn count(scene: &Scene) -> anyhow::Result<Counts> {
    scene.grow_to(1).await?;
    // The first of each starts an instance: what is counted is warm.
    scene.sweep().await?;
    let (sweep_one, look_one) = (scene.sweep().await?, scene.look().await?);
    eprintln!("One server is counted.");
    // The lone upload comes last: it meets the events of a burst, and each rollout retires an old revision by then.
    scene.upload(1).await?;
    let (burst, deploying) = (scene.upload(BURST.into()).await?, scene.look_at_a_deployment().await?);
    let (single, closing) = (scene.upload(1).await?, scene.sweep().await?);
    eprintln!("Uploads are counted.");
    scene.grow_to(MANY.into()).await?;
    let (sweep_many, look_many) = (scene.sweep().await?, scene.look().await?);
    let (sweep, look) = ([sweep_one, sweep_many], [look_one, look_many]);
    Ok(Counts { sweep, look, deploying, single, burst, closing, secrets: secrets(scene) / f64::from(MANY) })
}

/// How many secrets the functions have made.
#[must_use]
pub fn secrets(scene: &Scene) -> f64 {
    small(Count::read(&scene.region).calls_of("secretsmanager", "CreateSecret"))
}

fn sum_up(scene: &Scene, counts: &Counts) -> anyhow::Result<Counted> {
    let line = |[one, many]: &[Count; 2]| Line { with_one: one.usage(), with_many: many.usage(), many: MANY.into() };
    let (sweep, look) = (line(&counts.sweep), line(&counts.look));
    let closing = counts.closing.usage().minus(&counts.sweep[0].usage()).at_least_zero();
    Ok(Counted {
        single: counts.single.usage(),
        burst: counts.burst.usage(),
        burst_files: BURST.into(),
        rollout_look: counts.deploying.usage(),
        closing,
        ..upkeep(scene, sweep, look, counts.secrets)?
    })
}

/// What a month is made of in which nobody does anything, with so many secrets a server.
///
/// # Errors
/// When the template can't be read.
pub fn upkeep(scene: &Scene, sweep: Line, look: Line, secrets: f64) -> anyhow::Result<Counted> {
    let plan = scene.region.plan();
    let mappings = plan.functions.iter().flat_map(|function| &function.mappings);
    let pollers = |mapping: &Mapping| if mapping.maximum_concurrency.is_some() { POLLERS.0 } else { POLLERS.1 };
    let days = plan.parameters.get("LogRetentionDays").and_then(|days| days.parse().ok());
    Ok(Counted {
        sweep,
        look,
        secrets,
        pollers: mappings.map(pollers).sum(),
        alarm_metrics: small(alarm_metrics(TEMPLATE)?),
        log_days: days.unwrap_or(30.0),
        ..Counted::default()
    })
}

/// How many metrics the alarms of a template watch. An alarm is billed for each metric that it watches.
fn alarm_metrics(template: &str) -> anyhow::Result<u64> {
    let document = document::read(template)?;
    let resources = document.get("Resources").and_then(Value::as_object).into_iter().flat_map(|all| all.values());
    let watched = |alarm: &Value| match alarm["Properties"]["Metrics"].as_array() {
        Some(metrics) => metrics.iter().filter(|metric| metric.get("MetricStat").is_some()).count() as u64,
        None => 1,
    };
    Ok(resources.filter(|resource| resource["Type"] == "AWS::CloudWatch::Alarm").map(watched).sum())
}

fn small(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_counts_by_the_metrics_that_it_watches() {
        let template = "Resources:\n  One: { Type: AWS::CloudWatch::Alarm, Properties: { MetricName: a } }\n  \
                        Two: { Type: AWS::CloudWatch::Alarm, Properties: { Metrics: [{ Expression: 'MAX([a, b])' }, \
                        { MetricStat: a }, { MetricStat: b }] } }\n  Other: { Type: AWS::SQS::Queue }\n";
        assert_eq!(alarm_metrics(template).unwrap(), 3);
    }
}
