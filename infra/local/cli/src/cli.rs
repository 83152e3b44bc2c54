//! The command line: start a region, tell the tour, or be one of its functions.

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use wharfinger_region::{options::Options, region::Region};

use crate::{bill, tour, transfer_only, welcome};

/// Wharfinger on a laptop: the whole product on an embedded region, without an AWS account.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the whole story on free ports, step by step; fails when a step does not hold.
    Tour,
    /// Run Transfer Family alone, with real SFTP, beside another emulator's region.
    Transfer(transfer_only::Options),
    /// Count what the control plane uses, and print what that costs a month on AWS.
    Bill(bill::Options),
    /// Be one function of the template, as the region starts it.
    #[command(hide = true)]
    Function {
        /// Its binary's name, e.g. wharfinger-api.
        binary: String,
    },
}

/// Does what the command line says. Failures are told on standard error.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharfinger: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Some(Command::Function { binary }) => be_function(&binary),
        Some(Command::Bill(options)) => {
            log_at("warn");
            many_threads()?.block_on(bill::tell(program()?, &options))
        }
        Some(Command::Tour) => {
            log_at("warn");
            many_threads()?.block_on(tour::tell(program()?))
        }
        Some(Command::Transfer(options)) => {
            log_at("warn");
            many_threads()?.block_on(transfer_only::run(options, wait_for_end()))
        }
        None => {
            log_at("info");
            many_threads()?.block_on(keep_region(cli.options))
        }
    }
}

async fn keep_region(options: Options) -> anyhow::Result<()> {
    let region = Region::start(options, program()?).await?;
    welcome::print(&region);
    wait_for_end().await?;
    eprintln!("\nEnding the region …");
    region.stop().await;
    Ok(())
}

/// Waits for Ctrl-C, or for the signal by which service managers end a process.
async fn wait_for_end() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.context("listen for Ctrl-C")?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.context("listen for Ctrl-C")?;
    Ok(())
}

/// Runs a function as Lambda would: one thread, one event at a time.
fn be_function(binary: &str) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build().context("start the function's runtime")?;
    match binary {
        "wharfinger-api" => runtime.block_on(wharfinger_api::run()),
        "wharfinger-autostop" => runtime.block_on(wharfinger_autostop::run()),
        "wharfinger-reconcile" => runtime.block_on(wharfinger_reconcile::run()),
        "wharfinger-rollout" => runtime.block_on(wharfinger_rollout::run()),
        other => bail!("there is no function {other}: the template's CodeUri must end in the name of one"),
    }
}

fn many_threads() -> anyhow::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().context("start the region's runtime")
}

fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find this program, which runs the functions too")
}

/// Logs to standard error; `RUST_LOG` overrides `level`.
fn log_at(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(format!(
            "warn,wharfinger_cli={level},wharfinger_region={level},wharfinger_emulator={level},function=warn"
        ))
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
