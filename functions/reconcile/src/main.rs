//! The `reconcile` function.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    wharfinger_reconcile::run().await
}
