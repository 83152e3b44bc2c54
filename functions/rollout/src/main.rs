//! Gathers uploads into windows, rolls each out once, and follows the deployment to its verdict.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    wharfinger_rollout::run().await
}
