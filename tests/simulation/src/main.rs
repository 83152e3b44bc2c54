//! Plays many seeds, one of them aloud, or hunts planted bugs.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum as _};
use simulation::{
    Find, Player,
    plant::Plant,
    story::{Feature, Mix, Story},
    summary::{BITES, Bite, Summary},
};

/// How many plays may be spent on making a failing story shorter.
const SHRINKING: usize = 60;

/// Plays years of Wharfinger on an emulated region, each drawn from a seed.
#[derive(Parser)]
struct Arguments {
    /// How many seeds to play, from 0 on [default: 1000, and 2000 for each planted bug].
    #[arg(long)]
    seeds: Option<u64>,
    /// Plays this seed alone, and tells everything that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// For how many hours things happen in each story [default: 3, and for a planted bug what shows it soonest].
    #[arg(long)]
    hours: Option<u64>,
    /// Puts these into every story beside the usual. Repeatable.
    #[arg(long = "feature", value_enum)]
    features: Vec<Feature>,
    /// AWS has no moods.
    #[arg(long)]
    calm: bool,
    /// Plants a bug.
    #[arg(long, value_enum)]
    plant: Option<Plant>,
    /// Plants every bug, or the one that is named, and hunts it: each must be found.
    #[arg(long)]
    bite: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let player = Player::new()?;
    if arguments.bite {
        return bite(&player, &arguments);
    }
    let length = Duration::from_secs(arguments.hours.unwrap_or(3) * 3600);
    let mix = Mix { length, storms: !arguments.calm, features: arguments.features.clone() };
    match arguments.seed {
        Some(seed) => {
            let report = player.play(&Story::of(seed, &mix), arguments.plant)?;
            report.lines.iter().for_each(|line| println!("{line}"));
            Ok(())
        }
        None => play_all(&player, &mix, arguments.plant, arguments.seeds.unwrap_or(1000)),
    }
}

fn play_all(player: &Player, mix: &Mix, plant: Option<Plant>, seeds: u64) -> anyhow::Result<()> {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let mut summary = Summary::default();
    let mut first: Option<Find> = None;
    for (of_it, find) in side_by_side(|| play_some(player, (mix, plant), seeds, &next)) {
        summary.join(of_it);
        first = [first, find].into_iter().flatten().min_by_key(|find| find.story.seed);
    }
    println!("{}\n{summary}", summary.pace(began.elapsed()));
    match first {
        Some(first) => {
            println!("{}", player.shrink(first, plant, SHRINKING)?);
            anyhow::bail!("a rule does not hold")
        }
        None => Ok(()),
    }
}

/// Plays seeds until none is left: what they came to, and the first story in which a rule does not hold.
fn play_some(
    player: &Player,
    (mix, plant): (&Mix, Option<Plant>),
    seeds: u64,
    next: &AtomicU64,
) -> (Summary, Option<Find>) {
    let (mut summary, mut first) = (Summary::default(), None);
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            return (summary, first);
        }
        let story = Story::of(seed, mix);
        match player.play(&story, plant) {
            Ok(report) => {
                summary.count(seed, &report);
                for violation in &report.violations {
                    println!("seed {seed}: {}: {}", violation.rule, violation.seen);
                }
                if first.is_none() && report.breaks(None) {
                    first = Some(Find { story, report, seeds: seed + 1 });
                }
            }
            Err(error) => eprintln!("seed {seed} can't be played: {error:#}"),
        }
    }
}

/// Hunts every planted bug, or the one that is named.
fn bite(player: &Player, arguments: &Arguments) -> anyhow::Result<()> {
    let plants: Vec<Plant> = arguments.plant.map_or_else(|| Plant::value_variants().to_vec(), |plant| vec![plant]);
    let next = AtomicUsize::new(0);
    println!("{BITES}");
    let bites = side_by_side(|| {
        let mut bites = Vec::new();
        while let Some(plant) = plants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let bite = hunt(player, *plant, arguments);
            if let Ok(bite) = &bite {
                println!("{bite}");
            }
            bites.push(bite);
        }
        bites
    });
    let bites = bites.into_iter().flatten().collect::<anyhow::Result<Vec<_>>>()?;
    let escaped = bites.iter().filter(|bite| bite.seed.is_none()).count();
    anyhow::ensure!(escaped == 0, "{escaped} planted bugs are not found");
    Ok(())
}

fn hunt(player: &Player, plant: Plant, arguments: &Arguments) -> anyhow::Result<Bite> {
    let mut mix = plant.mix();
    mix.length = arguments.hours.map_or(mix.length, |hours| Duration::from_secs(hours * 3600));
    mix.features.extend(&arguments.features);
    let began = Instant::now();
    let found = player.hunt(&mix, Some(plant), Some(plant.rule()), 0..arguments.seeds.unwrap_or(2000))?;
    let took = began.elapsed();
    if let Some(find) = &found {
        let clean = !player.play(&find.story, None)?.breaks(Some(plant.rule()));
        anyhow::ensure!(clean, "seed {} breaks the rule without {plant:?} too", find.story.seed);
    }
    Ok(Bite { plant, seed: found.map(|find| find.story.seed), took })
}

/// Does `work` on all processors.
fn side_by_side<T: Send>(work: impl Fn() -> T + Sync) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}
