//! `cold-start`: each function beside one that does nothing, and beside Python with boto3.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    build::build,
    function::{Function, Start},
};

/// Starts Python as a Lambda function that has made the clients `api` makes, and asks for its first event.
const PYTHON: &str = "
import os, urllib.request
import boto3
boto3.client('dynamodb'); boto3.client('sqs')
urllib.request.urlopen(f\"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/next\")
";

/// How to measure.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// How often each is started, one after the other in turn.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure these functions only.
    #[arg(long, value_delimiter = ',', default_value = "api,autostop,rollout,reconcile")]
    functions: Vec<FunctionName>,
    /// Measure the functions in this directory, as `cargo lambda build` or cargo left them, instead of building them.
    #[arg(long, value_name = "DIRECTORY")]
    built: Option<PathBuf>,
}

impl Options {
    fn binary(&self, function: FunctionName) -> anyhow::Result<PathBuf> {
        let name = function.package();
        let Some(directory) = &self.built else { return build(name, name) };
        let places = [directory.join(name).join("bootstrap"), directory.join(name)];
        let found = places.iter().find(|place| place.is_file());
        found.cloned().with_context(|| format!("find {name} in {}", directory.display()))
    }
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum FunctionName {
    Api,
    Autostop,
    Rollout,
    Reconcile,
}

impl FunctionName {
    fn package(self) -> &'static str {
        match self {
            Self::Api => "wharfinger-api",
            Self::Autostop => "wharfinger-autostop",
            Self::Rollout => "wharfinger-rollout",
            Self::Reconcile => "wharfinger-reconcile",
        }
    }
}

/// Builds what is missing, starts each function `rounds` times, and prints the figures.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut functions = vec![Function::new("empty", build("bench", "empty")?)];
    for name in &options.functions {
        functions.push(Function::new(name.package(), options.binary(*name)?));
    }
    match python() {
        Some(python) => functions.push(python),
        None => println!("Python is left out: there is no python3 with boto3 here."),
    }
    let mut starts = vec![Vec::new(); functions.len()];
    // The first round only brings the binaries into memory.
    for round in 0..=options.rounds {
        for (function, starts) in functions.iter().zip(&mut starts) {
            let start = function.start()?;
            if round > 0 {
                starts.push(start);
            }
        }
    }
    print(&functions, &starts);
    Ok(())
}

/// Python with boto3, if it is here.
fn python() -> Option<Function> {
    let mut command = Command::new("python3");
    let status = command.args(["-c", "import boto3"]).stderr(Stdio::null()).status().ok()?;
    status.success().then(|| Function::new("Python with boto3", "python3").with_arguments(["-c", PYTHON]))
}

fn print(functions: &[Function], starts: &[Vec<Start>]) {
    let figures: Vec<Figures> = starts.iter().map(|starts| Figures::of(starts)).collect();
    let empty = figures[0];
    println!("From the start of the process to its first request for an event; {} starts of each:", starts[0].len());
    println!("{:<22}{:>10}{:>10}{:>10}{:>9}{:>11}{:>10}", "", "min", "median", "max", "ratio", "max RSS", "more");
    for (function, figures) in functions.iter().zip(&figures) {
        let ratio = figures.median.as_secs_f64() / empty.median.as_secs_f64();
        println!(
            "{:<22}{:>10}{:>10}{:>10}{ratio:>8.2}x{:>11}{:>10}",
            function.name,
            milliseconds(figures.min),
            milliseconds(figures.median),
            milliseconds(figures.max),
            megabytes(figures.max_rss_bytes),
            megabytes(figures.max_rss_bytes.zip(empty.max_rss_bytes).map(|(own, empty)| own.saturating_sub(empty))),
        );
    }
    println!(
        "The ratio is that of the medians to the empty function's; \"more\" is memory beyond the empty function's."
    );
}

/// Many starts in brief.
#[derive(Clone, Copy, Debug)]
struct Figures {
    min: Duration,
    median: Duration,
    max: Duration,
    max_rss_bytes: Option<u64>,
}

impl Figures {
    /// Of at least one start.
    fn of(starts: &[Start]) -> Self {
        let mut times: Vec<Duration> = starts.iter().map(|start| start.init).collect();
        times.sort_unstable();
        Self {
            min: times[0],
            median: times[times.len() / 2],
            max: times[times.len() - 1],
            max_rss_bytes: starts.iter().filter_map(|start| start.max_rss_bytes).max(),
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".into(), |bytes| format!("{:.1} MB", bytes as f64 / 1e6))
}
