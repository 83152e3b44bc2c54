//! Plays many seeds, or one of them aloud.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use simulation::{
    Find, Player,
    plant::Plant,
    story::{Feature, Mix, Story},
};

/// How many plays may be spent on making a failing story shorter.
const SHRINKING: usize = 60;

/// Plays years of Wharfinger on an emulated region, each drawn from a seed.
#[derive(Parser)]
struct Arguments {
    /// How many seeds to play, from 0 on.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Plays this seed alone, and tells everything that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// For how many hours things happen in each story.
    #[arg(long, default_value_t = 3)]
    hours: u64,
    /// Puts these into every story beside the usual. Repeatable.
    #[arg(long = "feature", value_enum)]
    features: Vec<Feature>,
    /// AWS has no moods.
    #[arg(long)]
    calm: bool,
    /// Plants a bug.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let Arguments { features, plant, calm, .. } = arguments;
    let mix = Mix { length: Duration::from_secs(arguments.hours * 3600), storms: !calm, features };
    let player = Player::new()?;
    if let Some(seed) = arguments.seed {
        let report = player.play(&Story::of(seed, &mix), plant)?;
        report.lines.iter().for_each(|line| println!("{line}"));
        return Ok(());
    }
    let (next, milliseconds, began) = (AtomicU64::new(0), AtomicU64::new(0), Instant::now());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let finds: Vec<Find> = std::thread::scope(|scope| {
        let work = || play_some(&player, (&mix, plant), arguments.seeds, (&next, &milliseconds));
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let days = Duration::from_millis(milliseconds.into_inner()).as_secs_f64() / 86_400.0;
    println!(
        "{} seeds in {seconds:.1} s: {:.1} seeds and {:.1} simulated days a second; {} seeds break a rule",
        arguments.seeds,
        count(arguments.seeds) / seconds,
        days / seconds,
        finds.len()
    );
    if let Some(first) = finds.into_iter().min_by_key(|find| find.story.seed) {
        println!("{}", player.shrink(first, plant, SHRINKING)?);
        anyhow::bail!("a rule does not hold");
    }
    Ok(())
}

fn play_some(
    player: &Player,
    (mix, plant): (&Mix, Option<Plant>),
    seeds: u64,
    (next, milliseconds): (&AtomicU64, &AtomicU64),
) -> Vec<Find> {
    let mut finds = Vec::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            return finds;
        }
        let story = Story::of(seed, mix);
        match player.play(&story, plant) {
            Ok(report) => {
                let passed = u64::try_from(report.simulated.as_millis()).unwrap_or_default();
                milliseconds.fetch_add(passed, Ordering::Relaxed);
                for violation in &report.violations {
                    println!("seed {seed}: {}: {}", violation.rule, violation.seen);
                }
                if report.breaks(None) {
                    finds.push(Find { story, report, seeds: seed + 1 });
                }
            }
            Err(error) => eprintln!("seed {seed} can't be played: {error:#}"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody plays 2^53 seeds")]
fn count(seeds: u64) -> f64 {
    seeds as f64
}
