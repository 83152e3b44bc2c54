//! Waiting for a condition, never for a time.

use std::{future::Future, time::Duration};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `probe` gives something, and fails with what was awaited after `limit`.
///
/// # Errors
/// When the limit has passed, or the probe fails.
pub async fn until<T, F>(what: &str, limit: Duration, mut probe: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
