//! The whole story by itself, on free ports: what is done, what is shown, and how long it took. It fails at the first
//! step that does not hold.

mod figures;
mod steps;
mod story;

use std::{path::PathBuf, time::Instant};

use wharfinger_region::{options::Options, region::Region};

/// Tells the story.
///
/// # Errors
/// When a step does not hold.
pub async fn tell(program: PathBuf) -> anyhow::Result<()> {
    let started = Instant::now();
    println!("Wharfinger, from an empty region to a sleeping server and back.\n");
    let options = Options::on_free_ports()
        .with("SweepSchedule", "rate(2 seconds)")
        .with("MetricPeriodSeconds", "1")
        .with("LogLevel", "warn");
    let region = Region::start(options, program).await?;
    let told = story::tell(&region).await;
    if told.is_ok() {
        figures::print(&region);
    }
    region.stop().await;
    told?;
    println!("\nEvery step held, in {:.1} s.", started.elapsed().as_secs_f64());
    Ok(())
}
