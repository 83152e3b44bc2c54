//! Measures what Wharfinger claims to be fast at, beside what one would use instead, in the same run.

mod build;
mod cold_start;
mod function;
mod runtime_api;
#[cfg(feature = "region")]
mod scale;

use clap::Parser;

/// `cargo run --release -p bench -- cold-start`
#[derive(Debug, Parser)]
#[command(about)]
enum Bench {
    /// Time and memory from a function's start until it asks for its first event.
    ColdStart(cold_start::Options),
    /// One server that is put to sleep and woken.
    #[cfg(feature = "region")]
    Sleep(scale::sleep::Options),
    /// One sweep over 500 servers, ten times AWS's quota.
    #[cfg(feature = "region")]
    Sweep(scale::sweep::Options),
    /// 10,000 users on one server: all made anew, one removed, and a look when all is quiet.
    #[cfg(feature = "region")]
    Users(scale::users::Options),
}

fn main() -> anyhow::Result<()> {
    match Bench::parse() {
        Bench::ColdStart(options) => cold_start::run(&options),
        #[cfg(feature = "region")]
        Bench::Sleep(options) => scale::sleep::run(&options),
        #[cfg(feature = "region")]
        Bench::Sweep(options) => scale::sweep::run(&options),
        #[cfg(feature = "region")]
        Bench::Users(options) => scale::users::run(&options),
    }
}
