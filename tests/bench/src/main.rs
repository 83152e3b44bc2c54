//! Measures what Wharfinger claims to be fast at, beside what one would use instead, in the same run.

mod build;
mod cold_start;
mod function;
mod runtime_api;

use clap::Parser;

/// `cargo run --release -p bench -- cold-start`
#[derive(Debug, Parser)]
#[command(about)]
enum Bench {
    /// Time and memory from a function's start until it asks for its first event.
    ColdStart(cold_start::Options),
}

fn main() -> anyhow::Result<()> {
    match Bench::parse() {
        Bench::ColdStart(options) => cold_start::run(&options),
    }
}
