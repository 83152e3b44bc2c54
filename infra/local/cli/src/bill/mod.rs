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

use self::{
    count::Count,
    month::{Counted, Line},
    scene::Scene,
};

/// Servers that are brought up to see what grows.
const MANY: u8 = 10;

/// Files in one burst.
const BURST: u16 = 500;

/// The template, for what it declares that the region does not run.
const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// What was counted, before it is summed up.
struct Counts {
    sweep: [Count; 2],
    look: [Count; 2],
    single: Count,
    burst: Count,
}

/// Counts, and prints the bill.
///
/// # Errors
/// When something that is counted fails.
pub async fn tell(program: PathBuf) -> anyhow::Result<()> {
    let started = Instant::now();
    eprintln!("Counting on a region of its own; this takes a minute or two.");
    let scene = Scene::open(program).await?;
    let counts = count(&scene).await;
    let counted = counts.as_ref().ok().map(|counts| sum_up(&scene, counts));
    scene.close().await;
    let (counts, counted) = (counts?, counted.expect("what could be counted can be summed up"));
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
    scene.upload(1).await?;
    let (single, burst) = (scene.upload(1).await?, scene.upload(BURST.into()).await?);
    eprintln!("Uploads are counted.");
    scene.grow_to(MANY.into()).await?;
    let (sweep_many, look_many) = (scene.sweep().await?, scene.look().await?);
    Ok(Counts { sweep: [sweep_one, sweep_many], look: [look_one, look_many], single, burst })
}

fn sum_up(scene: &Scene, counts: &Counts) -> Counted {
    let line = |[one, many]: &[Count; 2]| Line { with_one: one.usage(), with_many: many.usage(), many: MANY.into() };
    let rollout_looks: u64 = counts.single.invocations.values().sum();
    let plan = scene.region.plan();
    let mappings: usize = plan.functions.iter().map(|function| function.mappings.len()).sum();
    let days = plan.parameters.get("LogRetentionDays").and_then(|days| days.parse().ok());
    Counted {
        sweep: line(&counts.sweep),
        look: line(&counts.look),
        single: counts.single.usage(),
        burst: counts.burst.usage(),
        burst_files: BURST.into(),
        rollout_look: counts.single.usage().times(1.0 / small(rollout_looks)),
        polled_queues: small(mappings as u64),
        alarms: small(TEMPLATE.matches("Type: AWS::CloudWatch::Alarm").count() as u64),
        log_days: days.unwrap_or(30.0),
    }
}

fn small(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
