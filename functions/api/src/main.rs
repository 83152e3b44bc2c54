//! The `api` function: Lambda starts this.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    wharfinger_api::run().await
}
