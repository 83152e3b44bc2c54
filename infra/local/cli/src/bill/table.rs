//! The bill as Markdown tables: what was counted, and what it costs.

use std::collections::BTreeMap;

use super::{
    Counts, MANY,
    count::Count,
    month::{Counted, LOOKS, SWEEPS},
    prices::{Item, LINES, PRICES, RECORDED_ON, Usage},
};

/// The memory of `autostop` in GB, and the time that it may take.
const SWEEP_GB: f64 = 0.125;

pub(super) fn print(counts: &Counts, counted: &Counted) {
    print_calls(counts);
    print_units(counts);
    print_costs(counted);
    print_prices();
    let sweep_seconds = |servers: f64| counted.sweep.at(servers).of(Item::GbSecond) / SWEEP_GB;
    println!("\nA month has {SWEEPS:.0} sweeps, and {LOOKS:.0} looks at each server.");
    println!(
        "A sweep takes {:.2} s with 1 server, and {:.2} s with {MANY}.",
        sweep_seconds(1.0),
        sweep_seconds(MANY.into())
    );
}

fn columns(counts: &Counts) -> [(&'static str, &Count); 7] {
    [
        ("sweep, 1 server", &counts.sweep[0]),
        ("sweep, 10 servers", &counts.sweep[1]),
        ("look, 1 server", &counts.look[0]),
        ("look, 10 servers", &counts.look[1]),
        ("look, deploying", &counts.deploying),
        ("1 upload", &counts.single),
        ("burst of 500", &counts.burst),
    ]
}

fn print_calls(counts: &Counts) {
    let columns = columns(counts);
    head("counted", &columns.map(|(name, _)| name));
    let mut rows: BTreeMap<String, [u64; 7]> = BTreeMap::new();
    for (place, (_, count)) in columns.iter().enumerate() {
        for (kind, calls) in &count.calls {
            rows.entry(format!("{} {}", kind.service, kind.operation)).or_default()[place] += calls;
        }
        rows.entry("Lambda invocations".into()).or_default()[place] = count.invocations.values().sum();
    }
    for (name, calls) in rows {
        row(&name, &calls.map(|calls| calls.to_string()));
    }
}

fn print_units(counts: &Counts) {
    let columns = columns(counts).map(|(_, count)| count.usage());
    for (name, item, factor) in [
        ("**billed:** DynamoDB read units", Item::ReadUnit, 1.0),
        ("DynamoDB write units", Item::WriteUnit, 1.0),
        ("SQS requests, without empty polls", Item::QueueRequest, 1.0),
        ("CloudWatch metrics", Item::Metric, 1.0),
        ("Lambda MB-seconds", Item::GbSecond, 1024.0),
        ("log bytes", Item::LogGb, 1e9),
    ] {
        row(name, &columns.each_ref().map(|usage| format!("{:.0}", usage.of(item) * factor)));
    }
}

fn print_costs(counted: &Counted) {
    println!();
    head(
        "USD a month",
        &["1 server", "10 servers", "1,000 servers", "1 million uploads, bursts of 500", "1 million, each alone"],
    );
    let usages = [
        counted.idle_month(1.0),
        counted.idle_month(10.0),
        counted.idle_month(1000.0),
        counted.million_in_bursts(),
        counted.million_singles(),
    ];
    let costs = usages.each_ref().map(Usage::cost);
    for line in LINES {
        row(line, &costs.each_ref().map(|cost| format!("{:.2}", cost[line])));
    }
    row("**in all**", &usages.each_ref().map(|usage| format!("**{:.2}**", usage.total())));
}

fn print_prices() {
    println!("\nPrices of {RECORDED_ON}, us-east-1:\n");
    println!("| unit | USD | page |\n|---|---:|---|");
    for price in PRICES {
        let per = match price.per {
            1e6 => " a million",
            1e4 => " for 10,000",
            1e3 => " for 1,000",
            _ => "",
        };
        println!("| {} | {}{per} | <{}> |", price.unit, price.usd, price.page);
    }
}

fn head<const N: usize>(first: &str, names: &[&str; N]) {
    println!("| {first} | {} |\n|---|{}", names.join(" | "), "---:|".repeat(N));
}

fn row<const N: usize>(name: &str, cells: &[String; N]) {
    println!("| {name} | {} |", cells.join(" | "));
}
