//! The `autostop` function: the sweep over all servers.

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    wharfinger_autostop::run().await
}
