//! The `reconcile` function: brings one server and its users to what is wanted.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    wharfinger_reconcile::run().await
}
