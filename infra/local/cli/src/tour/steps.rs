//! How a step is told: its number, what it is, how long it took, and what is shown.

use std::time::Instant;

use anyhow::Context as _;

/// Counts and tells the steps.
#[derive(Debug, Default)]
pub(super) struct Steps(u32);

impl Steps {
    /// Tells a step and does it. What it gives is shown line by line.
    pub(super) async fn step<T>(
        &mut self,
        title: &str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        self.0 += 1;
        let number = self.0;
        println!("{number:>2}. {title}");
        let started = Instant::now();
        let (value, shown) = work.await.with_context(|| format!("step {number} does not hold: {title}"))?;
        for line in shown.lines() {
            println!("      {line}");
        }
        println!("      ({:.2} s)", started.elapsed().as_secs_f64());
        Ok(value)
    }
}
