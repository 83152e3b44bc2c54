//! What the functions took: cold starts and memory, as measured in this run.

use std::time::Duration;

use wharfinger_region::{lambda::statistics::Statistics, region::Region};

pub(super) fn print(region: &Region) {
    println!("\nThe functions in this run (this build, on this machine):\n");
    println!("      {:<30} {:>12} {:>12} {:>12}", "function", "invocations", "cold start", "peak memory");
    for function in region.lambda().statistics() {
        println!(
            "      {:<30} {:>12} {:>12} {:>12}",
            function.function,
            function.invocations,
            cold_start(&function),
            memory(&function)
        );
    }
}

fn cold_start(function: &Statistics) -> String {
    let slowest: Option<&Duration> = function.cold_starts.iter().max();
    slowest.map_or_else(|| "-".into(), |start| format!("{:.0} ms", start.as_secs_f64() * 1000.0))
}

fn memory(function: &Statistics) -> String {
    function.peak_memory_bytes.map_or_else(|| "-".into(), |bytes| format!("{} MiB", bytes / (1024 * 1024)))
}
